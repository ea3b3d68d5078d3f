"""The tear-down: what the runbook made goes, what was there before comes back, data and authority stay unless named.

What is the runbook's is told by its mark, and never by its place or name: a header, a label, a marked block, a
certificate of its authority's.

Notebook: 90-tear-down.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runbook.changes import (
    Change,
    LeftToUser,
    RemoveObject,
    RemoveSite,
    RemoveTree,
    RestoreEngineFile,
    RestoreFile,
    Supervisor,
    WriteFile,
)
from runbook.checks import Result, refused, works
from runbook.outside import (
    client_kit,
    compose,
    daemon_json,
    drift,
    engine,
    files,
    hosts_file,
    images,
    kernel,
    nginx,
    proof_timer,
    registry_api,
    tls,
    yaml_text,
)
from runbook.parameters import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFile:
    """A daemon.json that the runbook has changed: where its earlier version is kept, that text, and the one of now.

    Each is None where there was, or is, no file.
    """

    kept: Path | None
    earlier: str | None
    text: str | None
    supervisor: Supervisor


@dataclass(frozen=True, kw_only=True, slots=True)
class TearDownFacts:
    """What is there of all that the runbook has made.

    `objects` are containers, networks, the volume and the image, by kind and name; `present` the files that carry its
    mark, and folders, with what lies in them; `kept` the earlier version of each file that was not its own;
    `nginx_site` the text of its site of nginx; `timer` the units that prove it again. `states` tells of each place
    that may go or be put back whether it changes later.
    """

    objects: tuple[tuple[str, str], ...]
    hosts: str
    hosts_kept: str | None
    present: tuple[tuple[Path, tuple[str, ...]], ...]
    kept: tuple[tuple[Path, Path], ...]
    engine_file: EngineFile | None = None
    nginx_site: str | None
    timer: tuple[tuple[Path, str], ...] = ()
    states: tuple[tuple[Path, str | None], ...] = ()

    def state(self, path: Path) -> str | None:
        """Return what tells whether a place has changed since; None where there was nothing."""
        return dict(self.states).get(path)

    def has(self, path: Path) -> bool:
        """Return whether a place is there."""
        return path in dict(self.present)


def _made(parameters: Parameters) -> tuple[Path, ...]:
    """Return the files that the sections make, beside /etc/hosts, the authority and the secrets."""
    return (
        kernel.DROP_IN,
        parameters.trust_path,
        parameters.certificate_path,
        parameters.configuration_path,
        parameters.compose_path,
        parameters.accepted_path,
        *(Path(parameters.client_kit_directory, name) for name in client_kit.FILES),
    )


def _named(parameters: Parameters) -> dict[str, tuple[Path, ...]]:
    """Return what goes only when it is asked for by name, and that lies in files of this host."""
    return {
        "basic-data": (Path(parameters.basic_data_directory),),
        "authority": (parameters.ca_key_path.parent,),
        "secrets": (parameters.htpasswd_path, parameters.http_secret_path.parent),
    }


def _folders(parameters: Parameters) -> tuple[Path, ...]:
    """Return the folders that go once nothing is left in them, those inside first."""
    return (
        parameters.trust_path.parent,
        parameters.trust_path.parent.parent,
        parameters.certificate_path.parent,
        parameters.htpasswd_path.parent,
        Path(parameters.configuration_directory),
        Path(parameters.client_kit_directory),
        Path(parameters.private_directory),
    )


def gather(parameters: Parameters) -> TearDownFacts:
    """Return what is there; raises MissingError where an engine is installed and does not answer."""
    made = tuple(path for path in _made(parameters) if _is_marked(parameters, path))
    named = [path for paths in _named(parameters).values() for path in paths]
    places = (*made, *named, *_folders(parameters))
    hosts_kept = files.kept_version(hosts_file.PATH)
    return TearDownFacts(
        objects=tuple(_objects(parameters)) if engine.is_installed() else (),
        hosts=files.read_text(hosts_file.PATH) or "",
        hosts_kept=files.read_text(hosts_kept) if hosts_kept else None,
        present=tuple((path, files.names_in(path)) for path in places if files.mode_of(path) is not None),
        kept=tuple((path, kept) for path in made if (kept := files.kept_version(path)) is not None),
        engine_file=_engine_file(),
        nginx_site=nginx.read_site(),
        timer=proof_timer.states(),
        states=tuple((path, drift.state(path)) for path in (*made, *named, hosts_file.PATH, daemon_json.PATH)),
    )


def _is_marked(parameters: Parameters, path: Path) -> bool:
    """Return whether a file carries a mark of the runbook's, or lies where nothing else does."""
    if path.is_symlink() or not path.is_file():
        return False
    if path in (parameters.configuration_path, parameters.compose_path):
        return _has_header(path)
    if path == parameters.trust_path:
        return files.read_bytes(path) == files.read_bytes(parameters.ca_certificate_path)
    if path == parameters.certificate_path:
        return _is_issued_by_authority(parameters)
    if path.parent == Path(parameters.client_kit_directory):
        return client_kit.MARK.encode() in (files.read_bytes(path.with_name(client_kit.SCRIPT)) or b"")
    return True  # the runbook's name is in its own, or in that of its folder


def _has_header(path: Path) -> bool:
    return (files.read_bytes(path) or b"").startswith(yaml_text.HEADER.encode())


def _is_issued_by_authority(parameters: Parameters) -> bool:
    """Return whether the authority in its place has signed the server certificate, or one of those that lead to it."""
    text, pair = files.read_bytes(parameters.ca_certificate_path), files.read_bytes(parameters.certificate_path)
    try:
        authority = x509.load_pem_x509_certificate(text or b"")
        chain = x509.load_pem_x509_certificates(pair or b"")
    except ValueError:
        return False
    return any(certificate == authority or _is_signed_by(certificate, authority) for certificate in chain)


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 (whatever does not fit, it is not signed by it)
        return False
    return True


def _engine_file() -> EngineFile | None:
    kept = files.kept_version(daemon_json.PATH)
    if kept is None and not files.made_path(daemon_json.PATH).exists():
        return None
    return EngineFile(
        kept=kept,
        earlier=files.read_text(kept) if kept else None,
        text=files.read_text(daemon_json.PATH),
        supervisor=engine.supervisor(),
    )


def _objects(parameters: Parameters) -> list[tuple[str, str]]:
    client, project = engine.require(parameters.timeout_seconds), parameters.compose_project
    volume = f"{project}_{parameters.data_volume}"
    image = images.find(client, parameters)
    networks = engine.networks(client, f"{compose.PROJECT_LABEL}={project}")
    is_own = _is_own_project(client, parameters)
    return [
        *[("container", name) for name in _own_containers(client, parameters)],
        *[("network", name) for name in networks if is_own],
        *([("volume", volume)] if is_own and engine.has_volume(client, volume) else []),
        *([("image", image.reference)] if image is not None else []),
    ]


def _own_containers(client: engine.Client, parameters: Parameters) -> list[str]:
    """Return the names of the containers that carry the runbook's label, of its project and the basic one."""
    basic = engine.container(client, parameters.basic_container)
    found = [*compose.containers(client, parameters.compose_project), *([] if basic is None else [basic])]
    return [container.name for container in found if container.label(engine.LABEL)]


def _is_own_project(client: engine.Client, parameters: Parameters) -> bool:
    """Return whether the Compose project is the runbook's alone, told by its containers or by its file."""
    found = compose.containers(client, parameters.compose_project)
    if found:
        return all(container.label(engine.LABEL) for container in found)
    return _has_header(parameters.compose_path)


def is_made(facts: TearDownFacts) -> bool:
    """Return whether this section was carried out before: nothing is left then that it could tell by."""
    return not facts.present


def _is_any(parameters: Parameters, facts: TearDownFacts) -> bool:
    """Return whether anything of the runbook's is on this host; where nothing is, no folder goes for being empty."""
    marked = (*_made(parameters), Path(parameters.private_directory))
    elsewhere = facts.objects or facts.kept or facts.timer or facts.engine_file or facts.nginx_site
    has_block = hosts_file.without_block(facts.hosts) != facts.hosts or facts.hosts_kept is not None
    return bool(elsewhere) or has_block or any(facts.has(path) for path in marked)


def plan(parameters: Parameters, facts: TearDownFacts) -> list[Change]:
    """Return what takes away what the runbook made; data, authority, secrets and image only where they are named."""
    if not _is_any(parameters, facts):
        return []
    asked = {"volume": "data", "image": "image"}
    changes: list[Change] = proof_timer.plan_removal(facts.timer)
    if facts.nginx_site is not None:
        changes.append(RemoveSite(path=nginx.PATH, before=facts.nginx_site, frees_port=None))
    changes += [
        RemoveObject(kind=kind, name=name)  # type: ignore[arg-type] # the kinds that _objects gives
        for kind, name in facts.objects
        if kind not in asked or asked[kind] in parameters.also_remove
    ]
    changes += _plan_hosts(facts)
    changes += _plan_engine_file(parameters, facts)
    kept = dict(facts.kept)
    gone: set[Path] = set()
    for path in _made(parameters):
        if path in kept:
            changes.append(RestoreFile(path=path, kept=kept[path], before=facts.state(path)))
        elif facts.has(path):
            changes.append(RemoveTree(path=path, before=facts.state(path)))
            gone.add(path)
    for path in (path for name in parameters.also_remove for path in _named(parameters).get(name, ())):
        if facts.has(path):
            changes.append(RemoveTree(path=path, before=facts.state(path)))
            gone.add(path)
    return changes + _plan_folders(parameters, facts, gone)


def _plan_hosts(facts: TearDownFacts) -> list[Change]:
    """Return what gives /etc/hosts its earlier text: the kept version, where nobody has changed the rest since."""
    kept = facts.hosts_kept
    if kept is not None and (facts.hosts == kept or hosts_file.is_made_from(facts.hosts, kept)):
        kept_path = files.kept_path(hosts_file.PATH)
        return [RestoreFile(path=hosts_file.PATH, kept=kept_path, before=facts.state(hosts_file.PATH))]
    without = hosts_file.without_block(facts.hosts)
    if without == facts.hosts:
        return []
    return [WriteFile(path=hosts_file.PATH, before=facts.hosts, after=without, mode=0o644)]


def _plan_engine_file(parameters: Parameters, facts: TearDownFacts) -> list[Change]:
    """Return what gives daemon.json its earlier text; one that somebody has changed since is left to the user."""
    found = facts.engine_file
    if found is None:
        return []
    if found.text in _engine_texts(parameters, found.earlier):
        restored = RestoreEngineFile(
            path=daemon_json.PATH,
            kept=found.kept,
            supervisor=found.supervisor,
            insecure_registries=tuple(parameters.insecure_registries),
            registry_mirrors=tuple(parameters.registry_mirrors),
            before=facts.state(daemon_json.PATH),
        )
        return [restored]
    beside = found.kept or files.made_path(daemon_json.PATH)
    before = f"as {found.kept}" if found.kept else "no file"
    text = f"before the first run: {before}\n"
    text += "give the same insecure_registries and registry_mirrors as to the runs that listed them;\n"
    text += f"or take them out of {daemon_json.PATH}, let the engine read it, and remove {beside}\n"
    return [LeftToUser(task=f"{daemon_json.PATH} was changed since, or by another list", text=text)]


def _engine_texts(parameters: Parameters, earlier: str | None) -> list[str | None]:
    """Return each text of daemon.json that runs leave, whole or cut off, from the earlier one and back to it.

    One that was cut off on its way back may have been followed by one that merged its lists into what was there then.
    """
    insecure, mirrors = parameters.insecure_registries, parameters.registry_mirrors
    merged = daemon_json.merge(earlier, insecure_registries=insecure, registry_mirrors=mirrors)
    without = daemon_json.without_registries(earlier)
    again = daemon_json.merge(without, insecure_registries=insecure, registry_mirrors=mirrors)
    return [earlier, merged, without, again]


def _plan_folders(parameters: Parameters, facts: TearDownFacts, gone: set[Path]) -> list[Change]:
    """Return the folders that hold nothing any more once `gone` is gone."""
    inside = dict(facts.present)
    changes: list[Change] = []
    for folder in _folders(parameters):
        if folder in inside and all(folder / name in gone for name in inside[folder]):
            changes.append(RemoveTree(path=folder, before=drift.EMPTY))
            gone.add(folder)
    return changes


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that no registry of the runbook answers any more, and that what was named is gone."""
    own = _own_containers(engine.require(parameters.timeout_seconds), parameters) if engine.is_installed() else []
    secured = registry_api.ask(f"https://127.0.0.1:{parameters.port}/v2/", tls=tls.trusting_anybody())
    basic = registry_api.ask(f"http://127.0.0.1:{parameters.basic_port}/v2/")
    named = {name: paths for name, paths in _named(parameters).items() if name in parameters.also_remove}
    return [
        refused("the registry over TLS", expected="no registry", found=_who(secured, own), remedy=_LISTENING),
        refused("the basic registry", expected="no registry", found=_who(basic, own), remedy=_LISTENING),
        *[
            works(
                f"{name}, which was named",
                expected="gone",
                found="there" if any(path.exists() for path in paths) else "gone",
                remedy="run this notebook again",
            )
            for name, paths in named.items()
        ],
    ]


_LISTENING = "another registry listens there: find it with `ss -ltnp`"


def _who(answer: registry_api.Answer, own: list[str]) -> str:
    """Return whether a registry of the runbook's answered: one names the version of its API, and a container is left.

    Source: Docker Registry HTTP API V2, "API Version Check".
    """
    return "a registry" if own and "docker-distribution-api-version" in answer.headers else "no registry"
