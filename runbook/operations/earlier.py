"""What a version without a ledger has made on this host, identified by its mark and never by its path or name.

A mark is a header, a label, a marked block, a certificate of the runbook's authority, or a path with its name.
"""

from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from runbook.changes import ledger
from runbook.changes.ledger import Earlier
from runbook.changes.made import Belonging, Kind, Thing
from runbook.model.parameters import Parameters
from runbook.operations import proof_timer
from runbook.system import nginx
from runbook.system.certificates import validation
from runbook.system.docker import compose, daemon_json, engine, images
from runbook.system.docker.images import PACKAGE_REPOSITORY
from runbook.system.host import files, hosts_file, network
from runbook.system.registry import client_kit

_HEADER = b"# Made by registry-runbook"  # the common start of all headers
_MADE_ENGINE_FILE = daemon_json.PATH.with_name(f"{daemon_json.PATH.name}.made-by-registry-runbook")


def files_of(parameters: Parameters) -> dict[Path, Belonging]:
    """Return the files that the sections make, in their order, except those of the host and the engine."""
    kit = Path(parameters.client_kit_directory)
    return {
        network.DROP_IN: "",
        parameters.ca_key_path: "authority",
        parameters.ca_certificate_path: "authority",
        parameters.certificate_path: "",
        parameters.trust_path: "",
        parameters.http_secret_path: "secrets",
        parameters.password_path: "secrets",
        **{parameters.user_password_path(user): "secrets" for user in parameters.users},
        parameters.htpasswd_path: "secrets",
        parameters.configuration_path: "",
        parameters.compose_path: "",
        parameters.baseline_path: "",
        **dict.fromkeys((kit / name for name in client_kit.FILES), ""),
    }


def names_of(parameters: Parameters) -> frozenset[str]:
    """Return the names of all things that a run with these parameters makes or needs, except folders."""
    template = hosts_file.template(files.read_text(hosts_file.PATH) or "")
    hosts = (hosts_file.PATH, *([template] if template else []))
    names = [str(path) for path in (*files_of(parameters), *hosts, daemon_json.PATH, *nginx.PLACES)]
    units = (*map(str, (proof_timer.SERVICE, proof_timer.TIMER, proof_timer.FAILED)), proof_timer.TIMER.name)
    objects = (
        parameters.basic_container,
        parameters.compose_project,
        compose.volume_name(parameters.compose_project, parameters.data_volume),
        parameters.basic_data_directory,
    )
    return frozenset((*names, *(f"{name}{files.KEPT}" for name in names), *units, *objects))


def find(parameters: Parameters) -> tuple[Earlier, ...]:
    """Return what carries a mark, in the order in which the sections make it; nothing if there is a ledger.

    The authority and the secrets cannot carry a mark: they count as the runbook's if something else has one.
    """
    if ledger.is_begun() or not _is_any_marked(parameters):
        return ()
    places = files_of(parameters) | dict.fromkeys(_of_other_domains(parameters), "")
    found = [_earlier("file", path, belongs) for path, belongs in places.items() if _is_marked(parameters, path)]
    found += _of_host(parameters)
    if engine.is_installed():
        found += _of_engine(parameters)
    if nginx.read_site() is not None:
        found.append(_earlier("site", nginx.path()))
    units = [path for path, _ in proof_timer.states()]
    found += [_earlier("file", path) for path in units]
    if proof_timer.TIMER in units:
        found.append(Earlier(thing=Thing(kind="timer", name=proof_timer.TIMER.name)))
    backups = [_earlier("file", item.kept) for item in found if item.kept]
    return (*_folders([Path(item.thing.name) for item in (*found, *backups)]), *backups, *found)


def _is_any_marked(parameters: Parameters) -> bool:
    """Return whether anything on this host carries the runbook's mark."""
    paths = (
        network.DROP_IN,
        parameters.configuration_path,
        parameters.compose_path,
        *nginx.PLACES,
        proof_timer.SERVICE,
    )
    if any(_has_header(path) for path in paths):
        return True
    text = files.read_text(hosts_file.PATH) or ""
    client = engine.connect(parameters.timeout_seconds) if engine.is_installed() else None
    labelled = client is not None and bool(engine.containers(client, (engine.LABEL,)))
    return hosts_file.without_block(text) != text or labelled


def _of_other_domains(parameters: Parameters) -> list[Path]:
    """Return the possible paths of trust and server certificates for other domains or ports."""
    trusts = parameters.trust_path.parent.parent.glob(f"*/{parameters.trust_path.name}")
    return sorted({*trusts, *parameters.certificate_path.parent.glob("*.pem")})


def _earlier(kind: Kind, path: Path, belongs: Belonging = "") -> Earlier:
    return Earlier(thing=Thing(kind=kind, name=str(path), belongs=belongs), kept=files.existing_backup(path))


def _folders(paths: Iterable[Path]) -> list[Earlier]:
    """Return the folders that contain only these paths, outermost first."""
    known, folders = set(paths), list[Path]()
    for folder in sorted({parent for path in known for parent in path.parents}, key=lambda path: -len(path.parts)):
        if folder.is_dir() and all(folder / name in known for name in files.names_in(folder)):
            known.add(folder)
            folders.insert(0, folder)
    return [Earlier(thing=Thing(kind="folder", name=str(folder))) for folder in folders]


def _of_host(parameters: Parameters) -> list[Earlier]:
    """Return the block in /etc/hosts, and daemon.json if it holds what these parameters merge into it."""
    found = []
    text = files.read_text(hosts_file.PATH) or ""
    if hosts_file.without_block(text) != text:
        found.append(_earlier("hosts file", hosts_file.PATH))
    backup = files.existing_backup(daemon_json.PATH)
    if backup is not None or _MADE_ENGINE_FILE.exists():
        before = files.read_text(backup) if backup else None
        insecure, mirrors = parameters.insecure_registries, parameters.registry_mirrors
        merged = daemon_json.merge(before, insecure_registries=insecure, registry_mirrors=mirrors)
        if files.read_text(daemon_json.PATH) == merged:
            found.append(_earlier("engine file", daemon_json.PATH))
    if _MADE_ENGINE_FILE.exists():
        found.append(_earlier("file", _MADE_ENGINE_FILE))
    return found


def _of_engine(parameters: Parameters) -> list[Earlier]:
    """Return the engine's objects with the runbook's label or, if it is stopped, what the Compose file declares."""
    project, client = parameters.compose_project, engine.connect(parameters.timeout_seconds)
    basic = None if client is None else engine.container(client, parameters.basic_container)
    found: list[Thing] = []
    if client is not None and images.ours(client, PACKAGE_REPOSITORY):
        found.append(Thing(kind="image", name=PACKAGE_REPOSITORY, belongs="image"))
    if basic is not None and basic.label(engine.LABEL):
        found.append(Thing(kind="folder", name=parameters.basic_data_directory, belongs="basic-data"))
        found.append(Thing(kind="container", name=basic.name))
    if client is None:
        is_own = _has_header(parameters.compose_path)
    else:
        own = compose.own_containers(client, project)
        is_own = bool(own) and len(own) == len(compose.containers(client, project))
    if is_own:
        volume = compose.volume_name(project, parameters.data_volume)
        found += [Thing(kind="volume", name=volume, belongs="data"), Thing(kind="project", name=project)]
    return [Earlier(thing=thing) for thing in found]


def _is_marked(parameters: Parameters, path: Path) -> bool:  # noqa: PLR0911 (one return a kind of file)
    """Return whether a file carries the runbook's mark, or has a path that only the runbook uses."""
    if path.is_symlink() or not path.is_file():
        return False
    if path in (network.DROP_IN, parameters.configuration_path, parameters.compose_path):
        return _has_header(path)
    if path == parameters.htpasswd_path:  # it cannot carry a mark
        return _has_header(parameters.configuration_path) and parameters.http_secret_path.is_file()
    if path.parent.parent == parameters.trust_path.parent.parent:
        return files.read_bytes(path) == files.read_bytes(parameters.ca_certificate_path)
    if path.parent == parameters.certificate_path.parent:
        return _is_issued_by_authority(parameters, path)
    if path.parent == Path(parameters.client_kit_directory):
        return client_kit.MARK.encode() in (files.read_bytes(path.with_name(client_kit.SCRIPT)) or b"")
    return True  # the runbook's own path, and something else on this host carries a mark


def _has_header(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return path.read_bytes().startswith(_HEADER)


def _is_issued_by_authority(parameters: Parameters, path: Path) -> bool:
    """Return whether the current authority has signed a certificate of the chain in a file, or is in it."""
    try:
        authority = x509.load_pem_x509_certificate(files.read_bytes(parameters.ca_certificate_path) or b"")
        chain = x509.load_pem_x509_certificates(files.read_bytes(path) or b"")
    except ValueError:
        return False
    return any(certificate == authority or validation.is_issued(certificate, authority) for certificate in chain)
