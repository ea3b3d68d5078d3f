"""Messages of Compose, and about names: each brought about for real, recognised, and its cause confirmed."""

import random

import pytest

from .faults import Fault, FaultyHosts

ZEROS = f"sha256:{'0' * 64}"
DELETE = f"curl $KNOWN -X DELETE https://registry.test/v2/x/manifests/{ZEROS}"
FLAT = 'version: "3"\nservices:\nregistry:\nimage: a\nports:\n- "443:443"'
COMPOSE = "docker-compose --file /root/c.yml config"


def compose(text: str) -> str:
    """Return the script that lets Compose read a text."""
    return f"cat >/root/c.yml <<'END'\n{text}\nEND\n{COMPOSE}"


FAULTS = {
    "capitals": Fault(
        messages=("invalid reference format: repository name must be lowercase",),
        cause="name-has-capitals",
        say="docker pull registry.test/A/b; echo docker pull registry.test/A/b",
        repair=":",
        lasts=True,
    ),
    "no-name": Fault(
        messages=("invalid reference format",),
        cause="name-invalid",
        say="docker pull registry.test/a_/b; echo docker pull registry.test/a_/b",
        repair=":",
        lasts=True,
    ),
    "not-tagged": Fault(
        messages=("An image does not exist locally with the tag: …",),
        cause="tag-not-local",
        say="docker push registry.test/no/such:1",
        repair=":",
        lasts=True,
    ),
    "name-of-a-container": Fault(
        messages=('Conflict. The container name "…" is already in use',),
        cause="container-name-taken",
        say="docker create --name one $IMAGE >/dev/null; docker create --name one $IMAGE",
        repair="docker rm one",
    ),
    "no-mapping": Fault(
        messages=("service must be a mapping, not a NoneType",),
        cause="named-compose-file-broken",
        say=compose("services:\n  registry:") + "; echo /root/c.yml",
        repair="printf 'services: {a: {image: a}}' >/root/c.yml",
    ),
    "no-indentation": Fault(
        messages=("service must be a mapping, not a NoneType",),
        cause="compose-file-broken",
        say=f"cat >/etc/docker/registry/docker-compose.yml <<'END'\n{FLAT}\nEND\n"
        "docker-compose --file /etc/docker/registry/docker-compose.yml config",
    ),
    "no-such-option": Fault(
        messages=("Additional property … is not allowed",),
        cause="named-compose-file-broken",
        say=compose('version: "3"\nservices: {a: {image: a, imagee: b}}') + "; echo /root/c.yml",
        repair="printf 'services: {a: {image: a}}' >/root/c.yml",
    ),
    "tab": Fault(
        messages=("yaml: … found character that cannot start any token",),
        cause="named-compose-file-broken",
        say=compose("services:\n\tregistry:") + "; echo /root/c.yml",
        repair="printf 'services: {a: {image: a}}' >/root/c.yml",
    ),
    "version-obsolete": Fault(
        messages=("the attribute `version` is obsolete",),
        cause="compose-version-obsolete",
        say=compose('version: "3"\nservices: {a: {image: a}}'),
        repair="printf 'services: {a: {image: a}}' >/root/c.yml",
        only="trixie",
    ),
    "dollar": Fault(
        messages=('The "…" variable is not set. Defaulting to a blank string.',),
        cause="",
        say=compose('services: {a: {image: "x$apr1"}}'),
        repair=":",
    ),
    "version-of-tomorrow": Fault(
        messages=('Version in "…" is unsupported',),
        cause="compose-too-old",
        say=compose('version: "9.9"\nservices: {a: {image: x}}'),
        repair=":",
        only="bookworm",
        lasts=True,
    ),
    "no-compose-file": Fault(
        messages=("no configuration file provided: not found",),
        cause="compose-other-folder",
        say="cd /srv; docker-compose ps",
        repair=":",
        folder="/srv",
        lasts=True,
    ),
    "no-plugin": Fault(
        messages=("docker: 'compose' is not a docker command",),
        cause="compose-other-name",
        say="docker compose version",
        repair=":",
        only="bookworm",
        lasts=True,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recognised_and_confirmed(faulty_hosts: FaultyHosts, name: str, seeded: random.Random) -> None:
    """Fails where the client's words are not known, their cause not confirmed, or still confirmed once it is gone."""
    faulty_hosts.reproduce(FAULTS[name], seeded)
