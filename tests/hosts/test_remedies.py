"""A remedy works as it is said: a fault is brought about, what is said of it carried out, and the host is whole again.

Each row with `script/test --all`, otherwise a sample by the session's seed. What was pushed before must be there after
each. More than 250 lines, since it is a table.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from runbook.diagnosis import catalogue
from tests import draws
from tests.draws import tries_all

from .document import DAEMON_JSON, NAT_GONE
from .lab import Host
from .product import PROJECT, run
from .test_sabotages import Finished, prepare

SAMPLE = 1  # rows; each takes half a minute
FRONT = ("-f", "parameters/nginx.yml", "-p", "proxy_layer_megabytes", "2")
KEPT = "registry.test/kept/a:1"
SHORT = rf"""
PASSWORD=$P/secrets/password-admin
up_again() {{
    until_so "the registry to answer" answers https://registry.test/v2/
    until_so "the basic registry to answer" answers http://127.0.0.1:5000/v2/
}}
engine_with() {{ echo "$1" >{DAEMON_JSON}; restart_engine; }}
engine_again() {{ rm -f {DAEMON_JSON}; restart_engine; up_again; }}
squatter() {{ docker run --detach --name=squatter "$@" $(image); }}
cd {PROJECT}
"""
PUSH = rf"""
docker login registry.test -u admin --password-stdin <$PASSWORD
docker tag $(image) {KEPT}; docker push {KEPT}; docker rmi {KEPT}; docker logout registry.test
"""
# What was pushed, with each blob of it; the login goes through a file.
STILL_THERE = r"""
(umask 077; printf 'machine registry.test login admin password %s\n' "$(tr -d '\r' <$PASSWORD)" >/root/netrc)
ask() { curl -sSf --cacert $P/ca/ca.crt --netrc-file /root/netrc "$@"; }
V2='Accept: application/vnd.docker.distribution.manifest.v2+json' IMAGE=https://registry.test/v2/kept/a
ask -H "$V2" $IMAGE/manifests/1 >/root/manifest
for digest in $(grep -o 'sha256:[0-9a-f]*' /root/manifest); do ask -o /dev/null $IMAGE/blobs/$digest; done
test -n "$digest"; rm /root/netrc /root/manifest
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """A fault, and the remedy that is said.

    `how` brings it about. `cause` is what a diagnosis must name first, `by` the notebooks that must end with an error;
    both say `said`. `by_hand` is what the remedy leaves to a person; then the commands are typed that it has in
    backticks, where `typed`. `notebooks` are run last. Where nothing is `said`, the fault is none: all must be whole
    with it. `undo` takes away what no remedy is for.
    """

    name: str
    how: str
    said: str = ""
    cause: str = ""
    by: tuple[str, ...] = ()
    by_hand: str = ""
    typed: bool = False
    notebooks: tuple[str, ...] = ()
    undo: str = ""
    options: Sequence[str] = ()


COMPOSE, CONFIGURATION = ("50-compose",), ("40-configuration", "50-compose")
CERTIFICATES = ("30-certificates", "50-compose")


def _engines() -> Iterator[Remedy]:
    """Yield what is wrong with the engine, or with whom the client asks."""
    other = "--data-root=/root/other --exec-root=/run/other --pidfile=/run/other.pid --host=unix:///run/other.sock"
    yield Remedy(
        name="context-of-another-engine",
        how=f"setsid unshare --net dockerd {other} --iptables=false --storage-driver=vfs >/root/other.log 2>&1 &\n"
        "until_so 'the other engine to answer' docker --host=unix:///run/other.sock info\n"
        "docker context create other --docker host=unix:///run/other.sock; docker context use other",
        said="the client asks the Docker context other, unix:///run/other.sock|docker context use default",
        cause="engine-elsewhere",
        by=("10-host", "50-compose"),
        typed=True,
        undo="docker context use default; docker context rm other; kill $(cat /run/other.pid)\n"
        "gone() { ! test -e /run/other.pid; }; until_so 'the end of the other engine' gone; rm -rf /root/other",
    )
    for name, options, units in (
        ("stopped-and-masked", "", "docker.service docker.socket"),
        ("masked-until-reboot", "--runtime", "docker.service"),
    ):
        stop = "" if options else "systemctl stop docker.socket docker.service; "
        yield Remedy(
            name=name,
            how=f"{stop}systemctl mask {options} {units}",
            said=f"masked|systemctl unmask {options}",
            cause="engine-masked",
            by=("10-host",),
            typed=True,
            notebooks=("10-host",),
            undo="up_again",
        )
    yield Remedy(
        name="engine-without-iptables",
        how=f"""engine_with '{{"iptables": false}}'; {NAT_GONE}; up_again""",
        undo="engine_again",
    )
    yield Remedy(
        name="engine-without-its-proxy",
        how="""engine_with '{"userland-proxy": false}'; up_again""",
        undo="engine_again",
    )
    yield Remedy(
        name="engine-with-neither",
        how=f"""engine_with '{{"iptables": false, "userland-proxy": false}}'; {NAT_GONE}""",
        said="iptables and userland-proxy are both off",
        cause="engine-deaf",
        by=("10-host",),
        by_hand=f"""echo '{{"userland-proxy": false}}' >{DAEMON_JSON}; systemctl reset-failed docker""",
        typed=True,
        undo="engine_again",
    )
    for key, value in (("userns-remap", "default"), ("data-root", "/var/lib/docker/other")):
        yield Remedy(
            name=f"engine-with-{key}",
            how=f"""engine_with '{{"{key}": "{value}"}}'""",
            said=f"{key} is set, so it stores in /var/lib/docker/.*; the volume registry_registry-data is in|{key}",
            cause="engine-stores-apart",
            by=("10-host", "50-compose", "90-tear-down"),
            by_hand=f"rm {DAEMON_JSON}; systemctl reset-failed docker",
            typed=True,
            undo="up_again; rm -rf /var/lib/docker/other",
        )


def _proxies() -> Iterator[Remedy]:
    """Yield proxies of the engine that take what is for the registry, set in each of their places."""
    proxies = '"http-proxy": "http://10.1.1.1:3128", "https-proxy": "http://10.1.1.1:3128"'
    of_file = f"""engine_with '{{{{"proxies": {{{{{proxies}, "no-proxy": "localhost{{}}"}}}}}}}}'"""
    folder = "/etc/systemd/system/docker.service.d"
    of_unit = rf"""mkdir -p {folder}
    printf '[Service]\nEnvironment=HTTPS_PROXY=http://me:hidden@10.1.1.1:3128 NO_PROXY=localhost{{}}\n' >{folder}/p.conf
    systemctl daemon-reload; restart_engine"""
    for name, set_up, place, undo in (
        ("proxy-of-daemon-json", of_file, DAEMON_JSON, "engine_again"),
        ("proxy-of-the-unit", of_unit, f"{folder}/p.conf", f"rm -r {folder}; systemctl daemon-reload; engine_again"),
    ):
        yield Remedy(
            name=name,
            how=set_up.format(""),
            said=rf"the proxy http://\S*10.1.1.1:3128, set in {place}, with localhost in no-proxy",
            cause="engine-proxy",
            by=("10-host",),
            by_hand=f"{set_up.format(',registry.test')}; up_again",
            undo=undo,
        )


def _ports() -> Iterator[Remedy]:
    """Yield who has a port that the registry needs: always a container is named, and never a process of the engine."""
    for name, how, by, notebooks in (
        ("port-of-a-container", "docker stop $(ours); squatter --publish=443:5000", COMPOSE, COMPOSE),
        ("port-of-a-range", "docker stop $(ours); squatter --publish=443-444:5000", ("10-host",), COMPOSE),
        (
            "port-of-a-container-in-this-host-s-network",
            "docker stop registry; squatter --network=host; up_again",
            ("10-host",),
            ("20-basic-registry",),
        ),
    ):
        yield Remedy(
            name=name,
            how=how.replace("; up_again", "; until_so 'it to answer' answers http://127.0.0.1:5000/v2/"),
            said=r"the container squatter listens .*To repair: stop it \(`docker stop squatter`\)",
            by=by,
            typed=True,
            notebooks=notebooks,
            undo="docker rm --force --volumes squatter",
        )


def _containers() -> Iterator[Remedy]:
    """Yield what is wrong with the registry's container, its network, and with Compose."""
    yield Remedy(
        name="off-its-network",
        how="docker network disconnect registry_default $(ours)",
        said="it is on no network, expected registry_default",
        cause="container-off-network",
        notebooks=COMPOSE,
    )
    yield Remedy(
        name="basic-registry-off-its-network",
        how="docker network disconnect bridge registry",
        said="it is not connected to its network",
        cause="basic-registry-differs",
        notebooks=("20-basic-registry",),
    )
    yield Remedy(
        name="larger-packets-than-pass",
        how="ip link set dev lan0 mtu 1400",
        said="1500 bytes inside, 1400 outside",
        cause="network-takes-larger",
        notebooks=COMPOSE,
        undo='docker network inspect registry_default | grep \'"com.docker.network.driver.mtu": "1400"\'\n'
        "ip link set dev lan0 mtu 1500; ./script/run 50-compose",
    )
    yield Remedy(
        name="read-only-root",
        how="echo 'services: {registry: {read_only: true}}' >/root/sabotage/read-only.yml\n"
        "docker-compose -p registry -f $R/docker-compose.yml -f /root/sabotage/read-only.yml up -d --force-recreate\n"
        "up_again; docker inspect $(ours) | grep '\"ReadonlyRootfs\": true'",
        undo="up",
    )
    yield Remedy(
        name="broken-env-beside-the-compose-file",
        how="""printf 'A="never closed' >$R/.env; docker stop $(ours)""",
        said="is exited",
        cause="container-stopped",
        notebooks=COMPOSE,
        undo="rm $R/.env",
    )
    yield Remedy(
        name="folder-in-place-of-env",
        how="mkdir $R/.env; docker stop $(ours)",
        said="is exited",
        cause="container-stopped",
        notebooks=COMPOSE,
        undo="rmdir $R/.env",
    )
    orphan = (
        "d=$(echo $i | sha256sum | cut -c1-64); b=$DATA/docker/registry/v2/blobs/sha256/$(echo $d | cut -c1-2)/$d\n"
        "mkdir -p $b; echo $i >$b/data"
    )
    yield Remedy(
        name="no-inode-left",
        how="cp -a $DATA /root/sabotage/data; mount -t tmpfs tmpfs $DATA; cp -a /root/sabotage/data/. $DATA/\n"
        f"for i in $(seq 30); do {orphan}; done\n"
        "mount -o remount,nr_inodes=$(df --output=iused $DATA | tail -n 1 | tr -d ' ') $DATA; load",
        said="no inode is free at /var/lib/registry|garbage-collect",
        cause="storage-full",
        typed=True,
        undo="umount $DATA; rm -rf /root/sabotage/data; load",
    )


def _files() -> Iterator[Remedy]:
    """Yield files that cannot be used as they are."""
    moved = "/root/sabotage/moved"
    for name, path, target, by, cause in (
        ("config-yml-a-link", "$R/config.yml", moved, CONFIGURATION, "configuration-missing"),
        ("config-yml-a-dangling-link", "$R/config.yml", "/nowhere", CONFIGURATION, "configuration-missing"),
        ("compose-file-a-link", "$R/docker-compose.yml", moved, COMPOSE, "compose-differs"),
        ("users-a-link", "$USERS", moved, CONFIGURATION, "users-missing"),
        ("certificate-a-link", "$PEM", moved, CERTIFICATES, "certificates-differ"),
    ):
        yield Remedy(
            name=name,
            how=f"mv {path} {moved}; ln -s {target} {path}",
            said="a symbolic link to",
            cause=cause,
            by=by[:1],
            typed=True,
            notebooks=by,
            undo=f"rm -f {moved}",
        )
    for name, path, how, notebook, notebooks in (
        ("compose-file-in-latin-1", "$R/docker-compose.yml", r"printf '# caf\351\n' >>", "50-compose", COMPOSE),
        ("config-yml-in-latin-1", "$R/config.yml", r"printf '# caf\351\n' >>", "40-configuration", CONFIGURATION),
    ):
        yield Remedy(
            name=name,
            how=f"{how}{path}",
            said="byte 0xe9.*To repair: ([Cc]orrect or move the file|[Ww]rite that letter in UTF-8)",
            cause="compose-differs" if notebooks == COMPOSE else "configuration-no-yaml",
            by=(notebook,),
            by_hand=f"mv {path} /root/sabotage/moved",
            notebooks=notebooks,
            undo="rm -f /root/sabotage/moved",
        )
    for name, how, by_hand in (
        ("password-written-again", ": >$PASSWORD", "cat /root/sabotage/kept >$PASSWORD"),
        ("password-made-anew", ": >$PASSWORD", "mv $PASSWORD /root/sabotage/moved"),
        ("password-of-two-lines", "echo more >>$PASSWORD", "mv $PASSWORD /root/sabotage/moved"),
    ):
        yield Remedy(
            name=name,
            how=f"cp -p $PASSWORD /root/sabotage/kept; {how}",
            said="a password of 1 to 72 bytes|[Ww]rite the right one into",
            cause="configuration-differs",
            by=("40-configuration",),
            by_hand=by_hand,
            notebooks=CONFIGURATION,
            undo="rm -f /root/sabotage/moved",
        )
    for name, path in (("password-of-windows", "$PASSWORD"), ("users-of-windows", "$USERS")):
        yield Remedy(
            name=name, how=rf"sed -i 's/$/\r/' {path}", by=("40-configuration",), undo=rf"sed -i 's/\r$//' {path}"
        )
    yield Remedy(
        name="names-not-looked-up-in-etc-hosts",
        how="cp /etc/nsswitch.conf /root/sabotage/switch; sed -i '/^hosts:/s/files//' /etc/nsswitch.conf",
        said="`?hosts: .*without files|nsswitch.conf",
        cause="hosts-file-not-read",
        by=COMPOSE,
        typed=True,
        undo="cat /root/sabotage/switch >/etc/nsswitch.conf",
    )


def _fronts() -> Iterator[Remedy]:
    """Yield what is wrong with the nginx in front; it is put there first, and taken away at the end."""
    limit = "sed -i 's/worker_connections .*;/worker_connections {};/' /etc/nginx/nginx.conf"
    yield Remedy(
        name="nginx-out-of-connections",
        how=f"./script/run {' '.join(FRONT)}; {limit.format(6)}; nginx -s reload",
        said="worker_connections",
        cause="nginx-out-of-connections",
        by_hand=limit.format(768),
        typed=True,
        notebooks=("55-nginx",),
        undo="./script/run -f parameters/local.yml",
        options=FRONT,
    )


REMEDIES = (*_engines(), *_proxies(), *_ports(), *_containers(), *_files(), *_fronts())
CHOSEN = REMEDIES if tries_all() else draws.source("remedies").sample(REMEDIES, SAMPLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultyHost:
    """A host with a finished registry that has an image, and what is done to it."""

    finished: Finished

    def shell(self, commands: str) -> None:
        """Run commands that a person could type, with what the rows share."""
        self.finished.shell(SHORT + commands, timeout_seconds=300)

    def diagnose(self, options: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        """Return the causes that a diagnosis confirms, in its order."""
        argv = (".venv/bin/registry-runbook", "diagnose", "--json", *options)
        done = self.finished.host.run(*argv, directory=PROJECT, check=False)
        return [cause for cause in json.loads(done.stdout)["causes"] if cause["confirmed"]]

    def told(self, row: Remedy) -> list[str]:
        """Return what is said: the remedy of the diagnosis after what it found, and the errors of the notebooks."""
        told: list[str] = []
        if row.cause:
            confirmed = self.diagnose(row.options)
            assert [cause["name"] for cause in confirmed][:1] == [row.cause], confirmed
            first = confirmed[0]
            assert first["notebook"] in ("", *row.notebooks[:1])
            told.append(f"{first['found']}. To repair: {first['remedy']}")
        errors = (run(self.finished.host, notebook, *row.options, check=False).error for notebook in row.by)
        return [*told, *map(str, errors)]

    def carry_out(self, row: Remedy, told: Sequence[str]) -> None:
        """Do what the remedies leave to a person, type the commands that they have, and run the notebooks."""
        self.shell(row.by_hand)
        if row.typed:
            remedies = [text.rpartition("To repair: ")[2] for text in told]
            typed = next(found for text in remedies if (found := re.findall(r"`([^`]+)`", text)))
            commands = "\n".join(typed)
            names = "name=$(ours) image=$(image)\n" if "NAME" in commands else ""
            self.shell(names + commands.replace("NAME", "$name").replace("IMAGE", "$image"))
        if row.notebooks:
            assert run(self.finished.host, *row.notebooks, *row.options).error is None

    def assert_whole(self, options: Sequence[str] = ()) -> None:
        """Fail where a proof or a diagnosis finds anything, or what was pushed is gone."""
        found = Finished(host=self.finished.host, kind=self.finished.kind, options=options).look()
        assert (found.codes, found.failed, found.confirmed) == ((0, 0), [], [])
        self.shell(STILL_THERE)

    def reproduce(self, row: Remedy) -> None:
        """Bring a fault about, carry out what is said of it, and prove that all is whole; it is so in any case."""
        is_whole = False
        try:
            self.shell(row.how)
            if row.said:
                told = self.told(row)
                assert [text for text in told if not re.search(row.said, text)] == []
                self.carry_out(row, told)
            else:
                assert [run(self.finished.host, notebook).changes for notebook in row.by] == [[]] * len(row.by)
            self.assert_whole(row.options)
            is_whole = True
        finally:
            self.shell(row.undo if is_whole else f"set +e\n{row.undo}\ntrue")
            if not is_whole:
                self.finished.restore()


@pytest.fixture(scope="module")
def faulty_host(proven_trixie: Host) -> Iterator[FaultyHost]:
    """Give a host with a finished registry and an image in it, which must be as good at the end."""
    found = FaultyHost(finished=prepare(Finished(host=proven_trixie, kind="trixie")))
    found.shell(PUSH)
    yield found
    assert run(proven_trixie).failed == []


def test_each_cause_of_the_table_is_in_the_catalogue() -> None:
    """Fails where the table expects a name that no diagnosis can give."""
    known = {cause.name for cause in catalogue.causes()}
    assert {row.cause for row in REMEDIES} - known == {""}


def test_healthy_host_is_told_none_of_it(faulty_host: FaultyHost) -> None:
    """Fails where a fault of the table is seen on a host that has none."""
    assert faulty_host.diagnose() == []
    done = run(faulty_host.finished.host)
    assert (done.error, done.changes, done.failed) == (None, [], [])
    faulty_host.assert_whole()


@pytest.mark.parametrize("row", CHOSEN, ids=[row.name for row in CHOSEN])
def test_remedy_works_as_it_is_said(faulty_host: FaultyHost, row: Remedy) -> None:
    """Fails where nothing is said of a fault, or what is said does not end in a whole host with all that it held."""
    faulty_host.reproduce(row)
