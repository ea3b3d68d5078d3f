"""The client kit: it makes another host trust the registry, and verifies that with a pull.

Notebook: 70-clients. Source: Docker Engine documentation, "Verify repository client with certificates";
containers-certs.d(5) for Podman.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runbook.changes.base import Change
from runbook.changes.containers import PushClientImage
from runbook.changes.files import CopyFile, MakeDirectory, SetMode, WriteFile
from runbook.model.errors import HostError, MissingError
from runbook.model.parameters import Parameters
from runbook.model.results import Result, refused, says, works
from runbook.system import credentials
from runbook.system.certificates import tls
from runbook.system.host import commands, file_state, files, hosts_file, network
from runbook.system.registry import api, client_kit

_AGAIN = "run the notebook 70-clients again"
_REGISTRY = "run the notebooks 30-certificates to 50-compose, then this one"
_UNTRUSTED = "certificate verify failed"
_MODES = {client_kit.SCRIPT: 0o755, client_kit.CERTIFICATE: 0o644, client_kit.FINGERPRINT: 0o644}
_NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientFacts:
    """What the kit is made from, and what exists of it.

    `kit` holds the text and the permission bits of each existing file of the kit, `others` the other names in its
    folder. `in_registry` is the digest of its image, None if the registry has none. `certificate_state` is the
    fingerprint that shows a later change of the kit's ca.crt.
    """

    address: str
    authority: str
    fingerprint: str
    directory_exists: bool
    kit: tuple[tuple[str, tuple[str, int]], ...]
    others: tuple[str, ...]
    in_registry: str | None
    certificate_state: str | None = None


def gather(parameters: Parameters) -> ClientFacts:
    """Return the facts; raises MissingError without an authority, or a registry that accepts the login."""
    directory = Path(parameters.client_kit_directory)
    authority = files.read_text(parameters.ca_certificate_path)
    if authority is None:
        raise MissingError(
            f"the authority's certificate in {parameters.ca_certificate_path}",
            "none",
            "run the notebook 30-certificates",
        )
    found = {name: (files.read_text(directory / name), files.mode_of(directory / name)) for name in _MODES}
    return ClientFacts(
        address=network.address_of(parameters.address),
        authority=authority,
        fingerprint=tls.fingerprint(x509.load_pem_x509_certificate(authority.encode())),
        directory_exists=directory.is_dir(),
        kit=tuple(
            (name, (text, mode)) for name, (text, mode) in found.items() if text is not None and mode is not None
        ),
        others=tuple(name for name in files.names_in(directory) if files.final_name(name) not in _MODES),
        in_registry=_in_registry(parameters, _registry(parameters, authority)),
        certificate_state=file_state.fingerprint(directory / client_kit.CERTIFICATE),
    )


def _registry(parameters: Parameters, authority: str) -> api.Registry:
    login = (parameters.username, credentials.require_password(parameters.password_path))
    return api.Registry(url=f"https://{parameters.registry_host}", login=login, tls=tls.client_context(authority))


def _in_registry(parameters: Parameters, registry: api.Registry) -> str | None:
    """Return the digest of the kit's image, None if the registry has none."""
    answer = registry.ask(client_kit.manifest_path(parameters.client_test_reference), method="HEAD")
    if answer.status == _NOT_FOUND:
        return None
    digest = answer.headers.get("docker-content-digest")
    if digest is None:
        raise MissingError(
            f"a registry at {parameters.registry_host} that takes the login of {parameters.username}",
            str(answer),
            "run the notebook 50-compose",
        )
    return digest


def plan(parameters: Parameters, facts: ClientFacts) -> list[Change]:
    """Return the changes that bring the kit's folder and image to the wanted state; empty if there are none.

    Raises HostError if the folder, or the image's reference in the registry, holds something that is not the kit's.
    """
    _refuse_occupied(parameters, facts)
    directory = Path(parameters.client_kit_directory)
    changes: list[Change] = []
    if not facts.directory_exists:
        changes.append(MakeDirectory(path=directory, mode=0o755))
    script = client_kit.script(
        registry=parameters.registry_host,
        name=parameters.domain,
        address=facts.address,
        reference=parameters.client_test_reference,
    )
    texts = {
        client_kit.SCRIPT: script,  # first: it identifies the folder as the kit's on the next run
        client_kit.CERTIFICATE: facts.authority,
        client_kit.FINGERPRINT: client_kit.fingerprint_text(facts.fingerprint),
    }
    found = dict(facts.kit)
    for name, text in texts.items():
        before, mode = found.get(name, (None, None))
        if before != text and name == client_kit.CERTIFICATE:
            source, state = parameters.ca_certificate_path, facts.certificate_state
            changes.append(CopyFile(source=source, path=directory / name, mode=_MODES[name], before=state))
        elif before != text:
            changes.append(WriteFile(path=directory / name, before=before, after=text, mode=_MODES[name]))
        elif mode != _MODES[name]:
            changes.append(SetMode(path=directory / name, before=mode or 0, after=_MODES[name]))
    if facts.in_registry is None:
        changes.append(_push(parameters))
    return changes


def _push(parameters: Parameters) -> PushClientImage:
    return PushClientImage(
        registry=parameters.registry_host,
        reference=parameters.client_test_reference,
        digest=client_kit.image().digest,
        authority_path=parameters.ca_certificate_path,
        username=parameters.username,
        password_file=parameters.password_path,
    )


def _refuse_occupied(parameters: Parameters, facts: ClientFacts) -> None:
    """Raise HostError if the folder or the image's reference is in use; a folder without the script is not a kit."""
    foreign = [*facts.others, *(name for name, _ in facts.kit if client_kit.SCRIPT not in dict(facts.kit))]
    if foreign:
        raise HostError(
            f"nothing in {parameters.client_kit_directory} but the kit: all of it is handed to others",
            ", ".join(foreign),
            "move it away, or set client_kit_directory to another folder",
        )
    if facts.in_registry not in (None, client_kit.image().digest):
        raise HostError(
            f"nobody's image at {parameters.client_test_reference} in the registry",
            str(facts.in_registry),
            "set client_test_reference to another repository or tag",
        )


def check(parameters: Parameters) -> list[Result]:
    """Return the proof that only the kit's authority and fingerprint let a client in; leaves the host unchanged.

    The script runs here too: this host already trusts the registry, so the script only pulls.
    """
    directory = Path(parameters.client_kit_directory)
    authority = (directory / client_kit.CERTIFICATE).read_text(encoding="ascii")
    digest = client_kit.digest_in((directory / client_kit.SCRIPT).read_text(encoding="ascii"))
    registry = _registry(parameters, authority)
    return [
        *_check_certificate(parameters, authority),
        *_check_image(parameters, registry, digest),
        *_check_script(parameters, authority, digest),
    ]


def _check_certificate(parameters: Parameters, authority: str) -> list[Result]:
    url = f"https://{parameters.registry_host}/v2/"
    certificate = x509.load_pem_x509_certificate(authority.encode())
    untrusted = tls.untrusted_authority(certificate.subject)
    accepted = api.ask(url, tls=tls.client_context(authority))
    other = api.ask(url, tls=tls.client_context(tls.certificate_text(untrusted).decode()))
    written = (Path(parameters.client_kit_directory) / client_kit.FINGERPRINT).read_text(encoding="ascii")
    return [
        works(
            f"a client that trusts only the kit's ca.crt is asked for a login by {parameters.registry_host}",
            expected="401",
            found=str(accepted),
            remedy=_REGISTRY,
        ),
        refused(
            "the same by a client that trusts another authority of the same name",
            expected=_UNTRUSTED,
            found=says(str(other), expected=_UNTRUSTED),
            remedy=_REGISTRY,
        ),
        works(
            "the fingerprint of the kit's ca.crt, to tell whoever gets the kit",
            expected=client_kit.fingerprint_text(tls.fingerprint(certificate)).strip(),
            found=written.strip(),
            remedy=_AGAIN,
        ),
    ]


def _check_image(parameters: Parameters, registry: api.Registry, digest: str) -> list[Result]:
    path = client_kit.manifest_path(parameters.client_test_reference)
    anonymous = api.ask(registry.url + path, method="HEAD", tls=registry.tls)
    return [
        works(
            f"{parameters.client_test_reference} has the digest that the script expects",
            expected=digest,
            found=_in_registry(parameters, registry),
            remedy=_AGAIN,
        ),
        refused("the same without a login", expected=401, found=anonymous.status, remedy=_REGISTRY),
    ]


def _check_script(parameters: Parameters, authority: str, digest: str) -> list[Result]:
    fingerprint = tls.fingerprint(x509.load_pem_x509_certificate(authority.encode()))
    before = _texts(parameters)
    wrong = _run_script(parameters, "0" * len(fingerprint))
    unchanged = _texts(parameters) == before
    right = _run_script(parameters, fingerprint)
    return [
        refused(
            "the script, told another fingerprint",
            expected="refused, and nothing changed",
            found="refused, and nothing changed" if wrong.code != 0 and unchanged else f"exit code {wrong.code}",
            remedy="do not hand this kit out; report this",
        ),
        works(
            f"the script, told the right one, logs in as {parameters.username} and pulls",
            expected=digest,
            found=says(right.text, expected=digest) if right.code == 0 else right.text.rpartition("\n")[2],
            remedy=f"see what it says: sh {parameters.client_kit_directory}/{client_kit.SCRIPT}",
        ),
        works(
            "it has changed nothing on this host, which trusts the registry already",
            expected="nothing changed",
            found="nothing changed" if _texts(parameters) == before else "something changed",
            remedy=_REGISTRY,
        ),
    ]


def _run_script(parameters: Parameters, fingerprint: str) -> commands.Completed:
    script = Path(parameters.client_kit_directory) / client_kit.SCRIPT
    return commands.run(
        *("sh", str(script), "--docker", "--fingerprint", fingerprint, "--user", parameters.username),
        allowed=None,
        stdin=f"{credentials.require_password(parameters.password_path)}\n",
        timeout_seconds=parameters.timeout_seconds,
    )


def _texts(parameters: Parameters) -> tuple[str | None, str | None]:
    """Return the contents of the two files that the script may change."""
    return files.read_text(hosts_file.PATH), files.read_text(parameters.trust_path)
