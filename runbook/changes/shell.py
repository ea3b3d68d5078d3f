"""Commands for a POSIX shell that do by hand what changes do, for root."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from runbook.system import credentials
from runbook.system.host.systemd import Supervisor


def command(*words: object) -> str:
    """Return a command, each word quoted where a shell needs that."""
    return shlex.join(map(str, words))


def lines(*commands: str) -> str:
    """Return commands one below the other, without those that are empty."""
    return "\n".join(text for text in commands if text)


def keep(path: Path, kept: Path) -> str:
    """Return what keeps the earlier version of a file beside it, where it is not kept already."""
    return f"[ -e {command(kept)} ] || {command('cp', '-p', path, kept)}"


def write(path: Path, text: str, mode: int, secrets: tuple[Path, ...] = ()) -> str:
    """Return what writes a text file, which only root can read until it has its mode.

    The placeholder of a secret becomes what is in the secret's file: the shell reads it, and no program is given it as
    an argument.
    """
    mark = "EOF"
    while mark in text:
        mark += "_"
    if secrets:
        text = re.sub(r"([\\$`])", r"\\\1", text)
    for secret in secrets:
        text = text.replace(credentials.placeholder(secret), f"$({command('cat', secret)})")
    ending = "" if text.endswith("\n") else "\n"
    quoted = mark if secrets else f"'{mark}'"
    target = command(path)
    return lines(
        command("mkdir", "-p", path.parent),
        f"(umask 077 && cat >{target}) <<{quoted}\n{text}{ending}{mark}",
        f"chmod {mode:04o} {target}",
    )


def service(by: Supervisor, verb: str, unit: str) -> str:
    """Return what starts, stops, restarts or reloads a service, with systemd or by its init script."""
    return command("systemctl", verb, unit) if by == "systemd" else command("service", unit, verb)


def key(path: str, key_type: str, passphrase: Path | None = None) -> str:
    """Return what makes a private key in a file that only root can read; `path` is quoted already."""
    kind, _, size = key_type.partition("-")
    option = (
        f"EC -pkeyopt ec_paramgen_curve:P-{size[1:]}" if kind == "ecdsa" else f"RSA -pkeyopt rsa_keygen_bits:{size}"
    )
    encrypted = f" -aes256 -pass {command(f'file:{passphrase}')}" if passphrase else ""
    return f"(umask 077 && openssl genpkey -algorithm {option}{encrypted} -out {path})"


def passphrase(file: Path | None) -> str:
    """Return the option for the passphrase of the authority's key, with a space after it; empty where it has none."""
    return f"{command('-passin', f'file:{file}')} " if file else ""


def subject(names: Iterable[tuple[str, str]]) -> str:
    """Return a subject as openssl-req(1) takes it, quoted."""
    parts = (f"/{name}=" + re.sub(r"([/+\\])", r"\\\1", value) for name, value in names)
    return command("-utf8", "-subj", "".join(parts) or "/")
