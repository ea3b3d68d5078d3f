"""nginx of this host: the runbook's site file, its test and reload, and what nginx serves.

Source: nginx.org, "How nginx processes a request" and "Controlling nginx", ngx_http_core_module,
ngx_http_ssl_module and ngx_http_proxy_module; distribution.github.io, "Authenticate proxy with nginx".
"""

import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography import x509

from runbook.model.errors import HostError, RunbookError
from runbook.system import nginx_configuration
from runbook.system.certificates import tls
from runbook.system.host import commands, file_state, files, network, polling, systemd, temporary, yaml_text
from runbook.system.host.systemd import Supervisor
from runbook.system.registry import api

# Sorted last: the first site of a port answers requests for unknown names.
PATH = Path("/etc/nginx/sites-enabled/zz-registry-runbook")
PLACES = (PATH, Path("/etc/nginx/conf.d/zz-registry-runbook.conf"))  # the second if nginx has no folder for sites
HEADER = yaml_text.HEADER
UNREAD = "# nginx has not read this yet\n"
# Source: ssl-config.mozilla.org, "Intermediate"; all sites of one port use the curves of the first site.
_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
_PID_FILE = Path("/run/nginx.pid")
NO_CONNECTION = "worker_connections are not enough"
_MORE_CONNECTIONS = "raise worker_connections in /etc/nginx/nginx.conf (its block events), `nginx -s reload`"
_ERROR_LOG = Path("/var/log/nginx/error.log")
_WORKER = "nginx: worker process"  # the title of a worker that shuts down is longer
_GRACE_SECONDS = 3.0  # nginx tries five times in 2.5 s to bind a port, and logs each failure
_TRIAL_SECONDS = 120  # time limit of the second nginx, even if this process is killed


# What a registry answers to whoever may not do that (OCI Distribution Specification 1.1, "Error Codes").
_DENIED = '{"errors":[{"code":"DENIED","message":"this user may only pull"}]}'


def _rights(pushers: Sequence[str]) -> str:
    """Return the variables that say whether to refuse a request: one that changes the registry, by another user.

    nginx takes the user from the header, and the registry checks the password. A request without a login goes through,
    so that the registry asks for one; one whose login nginx cannot read does not. Regular expressions, unlike names,
    are compared with upper and lower case.
    """
    names = "|".join(re.escape(name).replace('"', r"\"") for name in pushers)
    return f"""map "$request_method $http_authorization" $registry_runbook_writes {{
    default 1;
    "~^(?:GET|HEAD|OPTIONS) " 0;
    "~^[A-Z]+ $" 0;
}}
map "$registry_runbook_writes $remote_user" $registry_runbook_refuses {{
    default 0;
    "~^1 (?:{names})$" 0;
    "~^1 " 1;
}}
"""


_REFUSE = f"""
    error_page 418 = @refused;
    location @refused {{
        default_type application/json;
        return 403 '{_DENIED}';
    }}
"""


def site(  # noqa: PLR0913 (each is a part of the site)
    names: Sequence[str],
    listen: Sequence[str],
    *,
    certificate: Path,
    backend_port: int,
    body_limit: str = "0",
    pushers: Sequence[str] = (),
) -> str:
    """Return the text of the site, which terminates TLS and passes requests to the registry on loopback.

    If there are `pushers`, no other user may change the registry; else each user may.

    A body limit of 0 means no limit. Layers are streamed: nginx buffers them neither in memory nor on disk. The
    registry builds upload addresses from `Host` and `X-Forwarded-Proto`.
    """
    listening = "".join(f"    listen {place} ssl;\n" for place in listen)
    refuse = "        if ($registry_runbook_refuses) { return 418; }\n" if pushers else ""
    return f"""{HEADER}{_rights(pushers) if pushers else ""}server {{
{listening}    server_name {" ".join(names)};
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers {_CIPHERS};
    ssl_ecdh_curve X25519:prime256v1:secp384r1;
    client_max_body_size {body_limit};
{_REFUSE if pushers else ""}
    location / {{
{refuse}        proxy_pass http://127.0.0.1:{backend_port};
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_read_timeout 900s;
        proxy_send_timeout 900s;
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
}}
"""


def path(found: Sequence[nginx_configuration.Directive] | None = None) -> Path:
    """Return the path of the runbook's site; without one, the first place that nginx reads, or else the first place."""
    for place in PLACES:
        if files.mode_of(place) is not None:
            return place
    found = nginx_configuration.read() if found is None else found
    return next((place for place in PLACES if _is_read(found, place)), PLACES[0])


def _is_read(found: Sequence[nginx_configuration.Directive], place: Path) -> bool:
    return place.parent.is_dir() and (not found or nginx_configuration.includes(found, place))


def read_site() -> str | None:
    """Return the text of the runbook's site, or None; raises HostError for a file that the runbook did not write."""
    text = files.read_text(place := path(()))
    if text is not None and not text.startswith(HEADER):
        raise HostError(f"only the runbook's own site at {place}", "a file that it did not make", "move it elsewhere")
    return text


def is_installed() -> bool:
    """Return whether nginx is installed."""
    return commands.which("nginx") is not None


def reads_sites(found: Sequence[nginx_configuration.Directive]) -> bool:
    """Return whether nginx's configuration includes the runbook's site, as those of Debian and nginx.org do."""
    return _is_read(found, path(found))


def _master() -> psutil.Process:
    return psutil.Process(int(_PID_FILE.read_text(encoding="ascii")))


def is_running() -> bool:
    """Return whether this host's nginx runs."""
    try:
        return _master().name() == "nginx"
    except (OSError, ValueError, psutil.NoSuchProcess):
        return False


def is_enabled() -> bool:
    """Return whether systemd starts nginx at boot."""
    return systemd.is_enabled("nginx.service")


def served(domain: str, address: str) -> str:
    """Return the fingerprint of the certificate served for a name at ADDRESS:PORT, or the error."""
    answer = api.ask(f"https://{address}/", tls=tls.unverified_context(), server_name=domain)
    if not answer.server_certificate:
        return str(answer)
    return tls.fingerprint(x509.load_der_x509_certificate(answer.server_certificate))


class ErrorLog:
    """nginx's error log from now on."""

    def __init__(self) -> None:
        """Remember the current end of the log."""
        self._offset = _ERROR_LOG.stat().st_size if _ERROR_LOG.exists() else 0

    def complaints(self) -> list[str]:
        """Return the messages since then about a refused configuration or connection, without duplicates."""
        if not os.access(_ERROR_LOG, os.R_OK, effective_ids=True):
            return []
        with _ERROR_LOG.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().decode(errors="replace").splitlines()
        return _refusals(lines)


def _refusals(lines: Sequence[str]) -> list[str]:
    """Return the messages of fatal errors and refused connections, without time, process and duplicates."""
    matches = (re.search(rf"\[emerg\] (?:\d+#\d+: )?(.*)|\[alert\] .*?(\d+ {NO_CONNECTION}.*)", line) for line in lines)
    return list(dict.fromkeys(match[1] or match[2] for match in matches if match))


def _test() -> None:
    """Test nginx's whole configuration; raises HostError with its messages if it is invalid."""
    done = commands.run("nginx", "-t", "-q", allowed=None)
    if done.code != 0:
        messages = "; ".join(_refusals(done.text.splitlines())) or done.text
        raise HostError("`nginx -t` to pass", messages, "mend what nginx names, which runs on as it was")


def _reload(by: Supervisor, timeout_seconds: float) -> str:
    """Reload nginx, or start it if it does not run; return its output if that fails, else an empty text."""
    start = ("systemctl", "start", "nginx.service") if by == "systemd" else ("nginx",)
    argv = ("nginx", "-s", "reload") if is_running() else start
    done = commands.run(*argv, allowed=None, timeout_seconds=timeout_seconds)
    return "" if done.code == 0 else done.text


def _workers() -> set[int]:
    """Return the pids of the workers that accept connections, without those that shut down after a reload."""
    try:
        return {child.pid for child in _master().children() if " ".join(child.cmdline()).strip() == _WORKER}
    except (OSError, ValueError, psutil.NoSuchProcess):
        return set()


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What nginx must serve: the certificate with this fingerprint, for a domain at ADDRESS:PORT."""

    domain: str
    address: str
    fingerprint: str


def load(by: Supervisor, wanted: Served, timeout_seconds: float) -> None:
    """Load nginx's sites, now and at boot, and wait until it serves the wanted certificate.

    Raises HostError with nginx's messages if it does not.
    """
    _test()
    log = ErrorLog()
    if by == "systemd" and not is_enabled():
        commands.run("systemctl", "enable", "nginx.service")
    earlier = _workers()
    refusal = _reload(by, timeout_seconds)

    def missing() -> str:
        if earlier & _workers():
            return "there are workers of the earlier configuration"
        found = served(wanted.domain, wanted.address)
        return "" if found == wanted.fingerprint else f"there is {found}"

    remedy = f"see which site of nginx takes {wanted.address}, and what else listens there (`ss -ltnp`)"
    expected = f"nginx to serve the certificate on disk for {wanted.domain} at {wanted.address}"
    _wait(missing, (expected, remedy), log, refusal, timeout_seconds)


def stop_listening(frees_port: int | None, timeout_seconds: float) -> None:
    """Reload a running nginx after its site was removed, and wait until it no longer listens on `frees_port`.

    Raises HostError if it still does, for example because another site uses that port.
    """
    if not is_running():
        return
    _test()
    log = ErrorLog()
    refusal = _reload("none", timeout_seconds)

    def holders() -> str:
        found = network.listeners({frees_port} if frees_port is not None else set())
        return ", ".join(str(item) for item in found if item.process == "nginx")

    expected = f"port {frees_port} to be free once the runbook's site of nginx is gone"
    _wait(holders, (expected, "set proxy: nginx, or another port"), log, refusal, timeout_seconds)


def _wait(
    missing: Callable[[], str], error: tuple[str, str], log: ErrorLog, refusal: str, timeout_seconds: float
) -> None:
    """Wait until `missing` returns an empty text; `error` has the expectation and the remedy for the HostError."""
    expected, remedy = error

    def complaints() -> list[str]:
        return [text for text in (refusal, *log.complaints()) if text]

    found = polling.until_empty(missing, complaints, timeout_seconds=timeout_seconds, grace_seconds=_GRACE_SECONDS)
    if found:
        messages = "; ".join(complaints())
        remedy = _MORE_CONNECTIONS if NO_CONNECTION in messages else remedy
        raise HostError(expected, f"{found}, and nginx says: {messages}" if messages else found, remedy)


def remove(path: Path, before: str, frees_port: int | None, timeout_seconds: float) -> None:
    """Remove the site after nginx has reloaded without it; restore the site if nginx fails.

    `before` is its text in the plan. Raises ChangedError if the site has changed since, HostError if nginx fails.
    """
    file_state.refuse_changed(path, files.read_text(path), before)
    files.write(path, HEADER.encode(), 0o644)  # first without a site: the file is removed after the reload
    try:
        stop_listening(frees_port, timeout_seconds)
    except RunbookError as error:
        raise put_back(path, before, error) from error
    files.remove_tree(path)


def put_back(path: Path, before: str | None, error: RunbookError) -> HostError:
    """Restore the site after a change that nginx refused, and return the error to raise."""
    if before is None:
        files.remove_tree(path)
    else:
        files.write(path, before.encode(), 0o644)
    recover()
    return HostError(error.expected, f"{error.found} (so {path} is as it was before)", error.remedy)


def recover() -> None:
    """Reload a running nginx with the restored files, if they pass its test."""
    if is_running() and commands.run("nginx", "-t", "-q", allowed=None).code == 0:
        _reload("none", _GRACE_SECONDS)


@contextmanager
def dry_run(render: Callable[[str], str]) -> Iterator[str]:
    """Run a second nginx with a single site in this context, and yield its ADDRESS:PORT on loopback.

    Its files are in a temporary folder. It ends after a time limit even if this process is killed.
    """
    with socket.socket() as probe, temporary.folder() as folder:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        configuration = folder / "nginx.conf"
        configuration.write_text(_TRIAL.format(folder=folder, site=render(address)), encoding="ascii")
        limit = ("timeout", "--kill-after=5", str(_TRIAL_SECONDS))
        argv = (*limit, str(commands.which("nginx")), "-e", f"{folder}/error.log", "-c", str(configuration))
        null = subprocess.DEVNULL
        process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, env=commands.passed_environment())
        try:
            _wait_until_up(process, address, folder / "error.log")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=10)


_TRIAL = """daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}}}
"""


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    def missing() -> str:
        answer = api.ask(f"https://{address}/", tls=tls.unverified_context())
        return "" if answer.server_certificate else files.read_text(log) or "no message"

    def complaints() -> list[str]:
        return [] if process.poll() is None else ["it has ended"]

    if found := polling.until_empty(missing, complaints, timeout_seconds=10, grace_seconds=0):
        raise HostError("a second nginx to start", found, "see `nginx -V`")
