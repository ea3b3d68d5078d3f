"""The document's twenty faults: followed to the letter on a host of today, then repaired by the runbook.

docs/document-faults.md is the same table for people; tests/notebooks/test_document_faults.py holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .document import COMPOSE, DAEMON, DAEMON_JSON, FLAGS, FOLDER, Reader, start_followed
from .lab import Host
from .product import Report, run

PRIVATE = "/etc/registry-runbook/document"
# The image is that of today, and the repository that the document pushes to is its reader's: the proof leaves it alone.
PARAMETERS = ("-f", "parameters/document.yml", "-p", "registry_image", "registry:latest")
RUN = (*PARAMETERS, "-p", "test_reference", "runbook/proof:1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """What the reader saw, and the run of the runbook on the host as the document had left it."""

    reader: Reader
    host: Host
    proven: Report

    def passed(self, claim: str) -> str | None:
        """Return what was found for a claim that passed, None where it failed or was not tried."""
        return next((item["found"] for item in self.proven.results if item["claim"] == claim and item["passed"]), None)

    def log(self) -> str:
        """Return the log of the registry with TLS."""
        return self.reader.type("docker logs $(docker ps --quiet --filter label=com.docker.compose.service=registry)")


@pytest.fixture(scope="module")
def followed() -> Iterator[Followed]:
    """Follow the document on a host that has an engine and an image, then run all notebooks with its values."""
    with start_followed() as reader:
        host = reader.host
        refused = run(host, *RUN, check=False)  # the reader's own containers, and their data, are not taken away
        assert "the volume registry_registry-data" in str(refused.error)
        assert "set compose_project to another name; or remove it, where nobody needs it" in str(refused.error)
        reader.type(f"cd {FOLDER}; docker-compose down --volumes")
        refused = run(host, *RUN, check=False)
        assert "`docker rm -f registry`" in str(refused.error)
        host.run("docker", "rm", "--force", "registry")
        proven = run(host, *RUN)
        assert (proven.error, proven.failed, len(proven.results)) == (None, [], 65)
        assert run(host, *RUN).changes == []
        yield Followed(reader=reader, host=host, proven=proven)


def test_today_s_image_ignores_the_configuration(followed: Followed) -> None:
    """Fails where the image of today, with config.yml where it does not look, asks nobody for a login in the end."""
    assert "status 200" in followed.reader.seen[1]
    containers = "docker ps --filter label=com.docker.compose.service=registry --format '{{.Image}} {{.Command}}'"
    assert "registry:latest" in followed.reader.type(containers)
    assert followed.passed("an anonymous request") == "401"
    assert followed.passed("the realm and the headers are those of config.yml") is not None


def test_keys_and_flags_of_the_engine(followed: Followed) -> None:
    """Fails where the wrong key is not ignored in silence, or the words of an engine that does not start are lost."""
    assert followed.reader.seen[2] == "[]\nexit code 0\n"
    host = followed.host
    own = host.read(DAEMON_JSON)
    for broken, path, words, told in (
        (DAEMON.rstrip()[:-1], DAEMON_JSON, "daemon.json: unexpected EOF", "one object in JSON"),
        (f"DOCKER_OPTS={FLAGS}\n", "/etc/default/docker", "unknown flag: --insecure-registries", "docker line 1"),
    ):
        before = host.read(path)
        host.write(path, broken)
        host.run("systemctl", "reset-failed", "docker.service", "docker.socket")
        host.run("sh", "-c", "for _ in 1 2 3 4; do systemctl restart docker; done", check=False)
        refused = run(host, "10-host", *PARAMETERS, check=False)
        assert told in str(refused.error)
        assert words in host.run("journalctl", "-u", "docker.service", "-o", "cat", "--no-pager", "-n", "40").stdout
        assert host.read(path) == broken
        host.write(path, before)
    assert host.read(DAEMON_JSON) == own
    again = run(host, "10-host", *PARAMETERS)  # the image is here, and cannot be had from anywhere else
    assert (again.error, again.changes[0]) == (None, "start the engine (systemctl start docker)")


def test_dead_mirror(followed: Followed) -> None:
    """Fails where a pull says that the mirror is dead, or the runbook names a mirror, or takes away the operator's."""
    said = followed.reader.seen[3]
    assert "[https://registry.docker-cn.com/]" in said
    assert "docker-cn" not in said.partition("\n")[2]
    assert "registry.docker-cn.com" in followed.host.read(DAEMON_JSON)
    assert [change for change in followed.proven.changes if "daemon.json" in change] == []


def test_forwarding_is_not_the_nat_chain(followed: Followed) -> None:
    """Fails where the document's remedy mends the message beside it, or the runbook does not mend both."""
    warning, _, rest = followed.reader.seen[4].partition("net.ipv4.ip_forward = 1")
    assert "WARNING: IPv4 forwarding is disabled. Networking will not work." in warning
    message = "iptables: No chain/target/match by that name."
    assert message in warning
    assert message in rest
    assert "WARNING" not in rest
    assert followed.host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
    followed.host.run("iptables", "-t", "nat", "-L", "DOCKER")


def test_line_in_hosts_the_wrong_way_round(followed: Followed) -> None:
    """Fails where the document's line is an entry, or the runbook's is none."""
    assert "no such host" in followed.reader.seen[5]
    found = followed.host.run("getent", "ahostsv4", "docker.funet8.com").stdout
    assert found.split()[0] == followed.host.address


def test_two_names(followed: Followed) -> None:
    """Fails where a login at one name counts for another, or the runbook's push does not get in."""
    assert "Login Succeeded" in followed.reader.seen[6]
    assert "no basic auth credentials" in followed.reader.seen[6]
    assert followed.passed("docker login") == "Login Succeeded"
    assert followed.passed("docker push") == "a digest"


def test_name_on_loopback(followed: Followed) -> None:
    """Fails where the engine verifies TLS on loopback, or the runbook proves anything there."""
    said = followed.reader.seen[7]
    assert "cannot access '/etc/docker/certs.d'" in said
    assert "Login Succeeded" in said
    assert "digest: sha256:" in said
    claim = "a client that verifies reaches docker.funet8.com at an address that is not loopback"
    assert followed.passed(claim) == followed.host.address


def test_no_trust(followed: Followed) -> None:
    """Fails where an engine takes the document's certificate off loopback, or the runbook places more than ca.crt."""
    assert "x509: certificate signed by unknown authority" in followed.reader.seen[8]
    assert followed.host.run("ls", "/etc/docker/certs.d/docker.funet8.com").stdout == "ca.crt\n"


def test_key_of_the_authority_is_kept(followed: Followed) -> None:
    """Fails where the document's certificate can be renewed, or the runbook's cannot, or its key lies open."""
    assert "Could not open file or uri for loading CA private key" in followed.reader.seen[9]
    host = followed.host
    assert host.run("stat", "-c", "%a", f"{PRIVATE}/ca", f"{PRIVATE}/ca/ca.key").stdout == "700\n600\n"
    assert host.run("find", FOLDER, "-name", "ca.*").stdout == ""
    authority = host.read(f"{PRIVATE}/ca/ca.crt")
    host.run("rm", f"{FOLDER}/ssl/docker.funet8.com.pem")
    renewed = run(host, "30-certificates", *PARAMETERS)
    assert any("issue a server certificate" in change for change in renewed.changes)
    assert host.read(f"{PRIVATE}/ca/ca.crt") == authority


def test_address_in_the_certificate(followed: Followed) -> None:
    """Fails where the document's certificate fits the host's address, or the runbook's does not."""
    assert f"x509: certificate is valid for 127.0.0.1, not {followed.host.address}" in followed.reader.seen[10]
    assert followed.passed(f"a client that verifies accepts it for {followed.host.address}") == "accepted"


def test_htpasswd_is_not_in_the_image(followed: Followed) -> None:
    """Fails where the image has `htpasswd`, or leaves more than an empty file, or the runbook's user gets no bcrypt."""
    assert 'exec: "htpasswd": executable file not found in $PATH' in followed.reader.seen[11]
    assert followed.reader.seen[11].endswith("exit code 0\nexit code 0\n")  # of ps; then of cat, which shows nothing
    assert followed.host.read(f"{FOLDER}/auth/htpasswd").startswith("admin:$2")
    assert followed.passed("the login of admin") == "200"


def test_password_in_the_process_list(followed: Followed) -> None:
    """Fails where the document's password is not seen by `ps`, or the runbook's is not in a file for root alone."""
    assert "-Bbn admin 123456" in followed.reader.seen[12]
    kept = f"{PRIVATE}/secrets/password-admin"
    assert followed.host.run("stat", "-c", "%a", kept).stdout == "600\n"
    assert followed.host.read(kept).strip() not in str(followed.proven.data)


def test_files_without_indentation(followed: Followed, proven_trixie: Host) -> None:
    """Fails where either Compose or the registry takes the document's files, or the runbook's do not read back."""
    assert "In file './docker-compose.yml', service must be a mapping, not a NoneType." in followed.reader.seen[13]
    assert "configuration error: error parsing /etc/docker/registry/config.yml" in followed.reader.seen[13]
    proven_trixie.write("/root/flat.yml", "\n".join(line.strip() for line in COMPOSE.splitlines()))
    newer = proven_trixie.run("docker", "compose", "--file", "/root/flat.yml", "config", check=False)
    assert 'mapping key "volumes" already defined' in newer.stderr
    proven_trixie.run("rm", "/root/flat.yml")
    assert followed.passed("config.yml reads back as the parameters say") == "True"
    assert followed.passed("Compose reads the image from the file") == "registry:latest"


def test_log_level(followed: Followed) -> None:
    """Fails where the document's level does not fill the log, or the runbook's does."""
    assert "level=debug" in followed.reader.seen[14]
    assert "level=info" in followed.log()
    assert "level=debug" not in followed.log()


def test_http_secret(followed: Followed) -> None:
    """Fails where the registry does not warn of a secret that is random at each start, or still does."""
    assert "No HTTP secret provided - generated random secret." in followed.reader.seen[15]
    assert "No HTTP secret provided" not in followed.log()


def test_fixed_address_of_the_registry(followed: Followed) -> None:
    """Fails where a client at another port is not sent to 443; that the runbook moves is shown by test_main_job.py."""
    assert "location: https://docker.funet8.com/v2/x/blobs/uploads/" in followed.reader.seen[16]


def test_no_restart_policy(followed: Followed) -> None:
    """Fails where the document's registry comes back; that the runbook's does is shown by test_restart.py."""
    assert followed.reader.seen[17] == "exit code 0\n"
    assert followed.passed("the container comes back after a restart of the engine") == "unless-stopped"


def test_registry_without_users_makes_one(followed: Followed) -> None:
    """Fails where the registry does not make a user of its own with its password in the log, or still has to."""
    assert "htpasswd is missing, provisioning with default user" in followed.reader.seen[18]
    assert "password=" in followed.reader.seen[18]
    assert "htpasswd is missing" not in followed.log()
    assert "docker:" not in followed.host.read(f"{FOLDER}/auth/htpasswd")


def test_images_of_a_public_registry(followed: Followed) -> None:
    """Fails where the document's test image can be had without a public registry, or the runbook needs one."""
    assert "registry-1.docker.io" in followed.reader.seen[19]
    assert followed.reader.seen[19].endswith("exit code 1\n")
    assert followed.passed("docker pull, after the image was removed, gives it too") is not None


def test_up_is_not_working(followed: Followed) -> None:
    """Fails where `up` tells the document's reader that nothing answers, or the runbook's proof does not."""
    up, _, answer = followed.reader.seen[20].partition("exit code 0\n")
    assert "done" in up
    assert "exit code 35\n" in answer  # no TLS there
    host = followed.host
    container = host.run("docker", "ps", "--quiet", "--filter=label=com.docker.compose.service=registry").stdout.strip()
    host.run("docker", "stop", container)
    refused = run(host, "60-push-pull", *RUN, check=False)
    assert "expected the registry over TLS; found it does not run" in str(refused.error)
    host.run("docker", "start", container)


ROWS = {
    1: (test_today_s_image_ignores_the_configuration, "50-compose", "a file mounted at the old place is ignored"),
    2: (test_keys_and_flags_of_the_engine, "20-basic-registry", "the engine takes it without a word"),
    3: (test_dead_mirror, "20-basic-registry", "it has been dead for years"),
    4: (test_forwarding_is_not_the_nat_chain, "10-host", "that message has another cause"),
    5: (test_line_in_hosts_the_wrong_way_round, "50-compose", "the other way round is no entry at all"),
    6: (test_two_names, "60-push-pull", "a login counts for exactly one host and port"),
    7: (test_name_on_loopback, "60-push-pull", "on loopback the engine does not verify"),
    8: (test_no_trust, "30-certificates", "without it the engine says `certificate signed by unknown authority`"),
    9: (test_key_of_the_authority_is_kept, "30-certificates", "without it nothing can be renewed"),
    10: (test_address_in_the_certificate, "30-certificates", "another name or address is refused"),
    11: (test_htpasswd_is_not_in_the_image, "40-configuration", "newer images have no `htpasswd`"),
    12: (test_password_in_the_process_list, "40-configuration", "stands in the process list"),
    13: (test_files_without_indentation, "50-compose", "`service must be a mapping, not a NoneType`"),
    14: (test_log_level, "40-configuration", "`debug` fills the disk"),
    15: (test_http_secret, "40-configuration", "else it is random at each start"),
    16: (test_fixed_address_of_the_registry, "40-configuration", "it is wrong as soon as the port is not 443"),
    17: (test_no_restart_policy, "50-compose", "it should come back by itself"),
    18: (test_registry_without_users_makes_one, "40-configuration", "a random password in its log"),
    19: (test_images_of_a_public_registry, "60-push-pull", "that image is at the end of its life"),
    20: (test_up_is_not_working, "50-compose", "up is not working"),
}
