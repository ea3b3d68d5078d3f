"""90-tear-down: what goes, what comes back, and what stays unless it is named."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.changes import (
    Change,
    LeftToUser,
    RemoveObject,
    RemoveSite,
    RemoveTree,
    RestoreEngineFile,
    RestoreFile,
    WriteFile,
)
from runbook.outside import client_kit, daemon_json, engine, files, hosts_file, kernel, nginx, tls, yaml_text
from runbook.parameters import Parameters, read
from runbook.sections import tear_down
from runbook.sections.tear_down import EngineFile, TearDownFacts
from tests import chains
from tests.hosts.product import make_files

PARAMETERS = read({}, where="a test")
BEFORE = "127.0.0.1 localhost registry.test\n"
AFTER = hosts_file.with_name(BEFORE, "192.168.1.2", "registry.test")
KEPT_HOSTS = files.kept_path(hosts_file.PATH)
FOLDER, PRIVATE = Path("/etc/docker/registry"), Path("/etc/registry-runbook")
TRUST = Path("/etc/docker/certs.d")
KIT = Path("/opt/registry-client-kit")
BARE = TearDownFacts(objects=(), hosts=BEFORE, hosts_kept=None, present=(), kept=(), nginx_site=None)
MADE = TearDownFacts(
    objects=(
        ("container", "registry_registry_1"),
        ("container", "registry"),
        ("network", "registry_default"),
        ("volume", "registry_registry-data"),
        ("image", "registry:3.1.1"),
    ),
    hosts=AFTER,
    hosts_kept=BEFORE,
    present=(
        (kernel.DROP_IN, ()),
        (TRUST / "registry.test" / "ca.crt", ()),
        (FOLDER / "ssl" / "registry.test.pem", ()),
        (FOLDER / "config.yml", ()),
        (FOLDER / "docker-compose.yml", ()),
        *((KIT / name, ()) for name in client_kit.FILES),
        (Path("/opt/data/registry"), ("docker",)),
        (PRIVATE / "ca", ("ca.crt", "ca.key")),
        (FOLDER / "auth" / "htpasswd", ()),
        (PRIVATE / "secrets", ("http-secret", "password-admin")),
        (TRUST / "registry.test", ("ca.crt",)),
        (TRUST, ("registry.test",)),
        (FOLDER / "ssl", ("registry.test.pem",)),
        (FOLDER / "auth", ("htpasswd",)),
        (FOLDER, ("auth", "config.yml", "docker-compose.yml", "ssl")),
        (KIT, tuple(sorted(client_kit.FILES))),
        (PRIVATE, ("ca", "secrets")),
    ),
    kept=(),
    nginx_site=None,
)
ALL = read({"also_remove": ["data", "basic-data", "authority", "secrets", "image"]}, where="a test")


def removed(changes: list[Change]) -> list[str]:
    """Return what is removed: paths, and the engine's objects by name."""
    trees = [str(change.path) for change in changes if isinstance(change, RemoveTree)]
    return trees + [change.name for change in changes if isinstance(change, RemoveObject)]


@pytest.mark.parametrize(
    "kept",
    ["registry_registry-data", "registry:3.1.1", "/opt/data/registry", f"{PRIVATE}/ca", f"{FOLDER}/auth/htpasswd"],
)
def test_plan_keeps_what_cannot_be_made_again(kept: str) -> None:
    """Fails if data, image, authority or users go without being named, or stay although they are."""
    assert kept not in removed(tear_down.plan(PARAMETERS, MADE))
    assert kept in removed(tear_down.plan(ALL, MADE))


def test_plan_removes_what_the_sections_made() -> None:
    """Fails if something of the runbook stays that was not to stay."""
    assert removed(tear_down.plan(PARAMETERS, MADE)) == [
        str(kernel.DROP_IN),
        f"{TRUST}/registry.test/ca.crt",
        f"{FOLDER}/ssl/registry.test.pem",
        f"{FOLDER}/config.yml",
        f"{FOLDER}/docker-compose.yml",
        *(f"{KIT}/{name}" for name in client_kit.FILES),
        f"{TRUST}/registry.test",
        str(TRUST),
        f"{FOLDER}/ssl",
        str(KIT),
        "registry_registry_1",
        "registry",
        "registry_default",
    ]
    assert {str(FOLDER), str(PRIVATE)} <= set(removed(tear_down.plan(ALL, MADE)))


def test_plan_keeps_a_folder_with_something_else_in_it() -> None:
    """Fails if a file of somebody else's goes with the folder that it lies in."""
    present = tuple((path, (*names, "theirs") if path == TRUST else names) for path, names in MADE.present)
    assert str(TRUST) not in removed(tear_down.plan(PARAMETERS, dataclasses.replace(MADE, present=present)))


@pytest.mark.parametrize(
    ("hosts", "kept", "expected"),
    [
        pytest.param(
            AFTER,
            BEFORE,
            [RestoreFile(path=hosts_file.PATH, kept=KEPT_HOSTS, before=None)],
            id="as-the-runbook-left-it",
        ),
        pytest.param(
            BEFORE, BEFORE, [RestoreFile(path=hosts_file.PATH, kept=KEPT_HOSTS, before=None)], id="a-copy-beside-it"
        ),
        pytest.param(f"10.0.0.9 later.test\n{BEFORE}", BEFORE, [], id="a-copy-beside-it-and-changed-since"),
        pytest.param(
            f"10.0.0.9 later.test\n{AFTER}",
            BEFORE,
            [
                WriteFile(
                    path=hosts_file.PATH,
                    before=f"10.0.0.9 later.test\n{AFTER}",
                    after="10.0.0.9 later.test\n127.0.0.1 localhost\n",
                    mode=0o644,
                )
            ],
            id="changed-since",
        ),
        pytest.param(BEFORE, None, [], id="no-block"),
    ],
)
def test_plan_gives_hosts_file_its_earlier_text(hosts: str, kept: str | None, expected: list[Change]) -> None:
    """Fails if a line that was there before is lost, or one that came later."""
    changes = tear_down.plan(PARAMETERS, dataclasses.replace(BARE, hosts=hosts, hosts_kept=kept))
    assert changes == expected


def test_plan_takes_nginx_s_site_away_before_its_certificate() -> None:
    """Fails if a site stays whose certificate is gone: nginx would not start with it any more."""
    changes = tear_down.plan(PARAMETERS, dataclasses.replace(MADE, nginx_site="server {}\n"))
    assert changes[0] == RemoveSite(path=nginx.PATH, before="server {}\n", frees_port=None)


def test_plan_puts_kept_files_back() -> None:
    """Fails if an operator's own file is removed in place of the runbook's, or its copy stays beside it."""
    path = FOLDER / "config.yml"
    kept = files.kept_path(path)
    facts = dataclasses.replace(MADE, kept=((path, kept),), states=((path, "ab"),))
    changes = tear_down.plan(PARAMETERS, facts)
    assert RestoreFile(path=path, kept=kept, before="ab") in changes
    assert str(path) not in removed(changes)


@pytest.mark.parametrize("parameters", [PARAMETERS, ALL], ids=["default", "all-named"])
def test_plan_changes_nothing_where_nothing_is(parameters: Parameters) -> None:
    """Fails if a second run would still change something."""
    assert tear_down.plan(parameters, BARE) == []


LISTED = read({"insecure_registries": ["r.test:5000"], "registry_mirrors": ["https://m.test"]}, where="a test")
KEPT_ENGINE_FILE = files.kept_path(daemon_json.PATH)
EARLIER = '{"log-driver": "local", "insecure-registries": ["theirs.test"]}\n'


def merged(text: str | None) -> str:
    """Return what a run with LISTED makes of a text of daemon.json."""
    return daemon_json.merge(
        text, insecure_registries=LISTED.insecure_registries, registry_mirrors=LISTED.registry_mirrors
    )


def plan_engine_file(earlier: str | None, text: str | None, *, parameters: Parameters = LISTED) -> list[Change]:
    """Return the plan for a host where nothing else is left."""
    kept = None if earlier is None else KEPT_ENGINE_FILE
    found = EngineFile(kept=kept, earlier=earlier, text=text, supervisor="none")
    return tear_down.plan(parameters, dataclasses.replace(BARE, engine_file=found))


@pytest.mark.parametrize("earlier", [EARLIER, None], ids=["a-file-before", "no-file-before"])
@pytest.mark.parametrize(
    "left",
    [
        pytest.param(merged, id="merged"),
        pytest.param(lambda earlier: earlier, id="as-before-with-its-copy-or-mark"),
        pytest.param(daemon_json.without_registries, id="before-the-engine-forgot"),
        pytest.param(lambda earlier: merged(daemon_json.without_registries(earlier)), id="merged-again-after-that"),
    ],
)
def test_plan_gives_daemon_json_back(left: Callable[[str | None], str | None], earlier: str | None) -> None:
    """Fails if the engine keeps a list of the runbook's, or a run that was killed on its way is not gone on with."""
    assert plan_engine_file(earlier, left(earlier)) == [
        RestoreEngineFile(
            path=daemon_json.PATH,
            kept=None if earlier is None else KEPT_ENGINE_FILE,
            supervisor="none",
            insecure_registries=("r.test:5000",),
            registry_mirrors=("https://m.test",),
            before=None,
        )
    ]


@pytest.mark.parametrize(
    ("earlier", "beside"),
    [
        pytest.param(EARLIER, "/etc/docker/daemon.json.before-registry-runbook", id="a-file-before"),
        pytest.param(None, "/etc/docker/daemon.json.made-by-registry-runbook", id="no-file-before"),
    ],
)
@pytest.mark.parametrize(
    "edited",
    [
        pytest.param(lambda earlier: merged(earlier).replace("{", '{"debug": true, ', 1), id="merged"),
        pytest.param(lambda _: '{"debug": true}\n', id="as-before-with-its-copy-or-mark"),
        pytest.param(
            lambda earlier: daemon_json.without_registries(earlier).replace("{", '{"debug": true, '),
            id="before-the-engine-forgot",
        ),
    ],
)
def test_plan_leaves_a_daemon_json_that_was_changed_since_to_the_user(
    edited: Callable[[str | None], str], earlier: str | None, beside: str
) -> None:
    """Fails if what somebody wrote after the runbook is lost, or nobody is told what is left of it."""
    [left] = plan_engine_file(earlier, edited(earlier))
    assert isinstance(left, LeftToUser)
    assert beside in left.text


def test_plan_leaves_what_another_list_was_merged_into_to_the_user() -> None:
    """Fails if the engine would keep what other parameters have listed."""
    assert isinstance(plan_engine_file(None, merged(None))[0], RestoreEngineFile)
    [left] = plan_engine_file(None, merged(None), parameters=PARAMETERS)
    assert isinstance(left, LeftToUser)


def test_plan_leaves_a_daemon_json_that_somebody_removed_to_the_user() -> None:
    """Fails if an engine's file comes back that somebody has taken away since."""
    [left] = plan_engine_file(EARLIER, None)
    assert isinstance(left, LeftToUser)


def marked(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Return the files that the tear-down takes for the runbook's, on a host without an engine."""
    monkeypatch.setattr(engine, "is_installed", lambda: False)
    return {path for path, _ in tear_down.gather(parameters).present if path.is_file()}


def test_gather_takes_files_by_their_mark_alone(
    make_parameters: Callable[..., Parameters], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fails if a file of somebody else's, at a place of the runbook's, is taken for its own, or one of its own is not.

    A link, or what is no text, is somebody else's too.
    """
    parameters = make_parameters(client_kit_directory=f"{tmp_path}/kit")
    pair, kit = parameters.certificate_path, Path(parameters.client_kit_directory)
    configuration, compose_file = parameters.configuration_path, parameters.compose_path
    make_files(parameters)
    own = {configuration, pair, parameters.htpasswd_path}
    assert marked(parameters, monkeypatch) == own

    chain = chains.issue(parameters.domain)
    compose_file.write_text("services: {}\n", encoding="ascii")
    kit.mkdir()
    (kit / "ca.crt").write_text("theirs\n", encoding="ascii")
    (kit / "trust-registry.sh").write_text("#!/bin/sh\n", encoding="ascii")
    chains.write(pair, tls.key_text(chain.key).decode() + chains.text(chain.server))
    configuration.write_bytes(b"# B\xfcro\nversion: 0.1\n")
    assert marked(parameters, monkeypatch) == {parameters.htpasswd_path}

    compose_file.write_text(f"{yaml_text.HEADER}services: {{}}\n", encoding="ascii")
    (kit / "trust-registry.sh").write_text(f"#!/bin/sh\n# {client_kit.MARK}\n", encoding="ascii")
    configuration.rename(tmp_path / "theirs")
    configuration.symlink_to(compose_file)
    kit_files = {kit / "ca.crt", kit / "trust-registry.sh"}
    assert marked(parameters, monkeypatch) == {parameters.htpasswd_path, compose_file, *kit_files}
