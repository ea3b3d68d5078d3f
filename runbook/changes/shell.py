"""The shell commands that make a change by hand: POSIX, run as root."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from runbook.system import credentials
from runbook.system.host.systemd import Supervisor


def command(*words: object) -> str:
    """Return a command with each word quoted if the shell requires it."""
    return shlex.join(map(str, words))


def lines(*commands: str) -> str:
    """Return the non-empty commands, one per line."""
    return "\n".join(text for text in commands if text)


def back_up(path: Path, backup: Path) -> str:
    """Return a command that copies a file to its backup, unless that exists."""
    return f"[ -e {command(backup)} ] || {command('cp', '-p', path, backup)}"


def write(path: Path, text: str, mode: int, secrets: tuple[Path, ...] = ()) -> str:
    """Return commands that write a text file, which only root can read until its mode is set.

    A secret's placeholder becomes a command substitution: the shell reads the secret's file, and no program gets the
    secret as an argument.
    """
    delimiter = "EOF"
    while delimiter in text:
        delimiter += "_"
    if secrets:
        text = re.sub(r"([\\$`])", r"\\\1", text)
    for secret in secrets:
        text = text.replace(credentials.placeholder(secret), f"$({command('cat', secret)})")
    ending = "" if text.endswith("\n") else "\n"
    start = delimiter if secrets else f"'{delimiter}'"
    target = command(path)
    return lines(
        command("mkdir", "-p", path.parent),
        f"(umask 077 && cat >{target}) <<{start}\n{text}{ending}{delimiter}",
        f"chmod {mode:04o} {target}",
    )


def service(supervisor: Supervisor, verb: str, unit: str) -> str:
    """Return a command that starts, stops, restarts or reloads a service, by systemd or its init script."""
    return command("systemctl", verb, unit) if supervisor == "systemd" else command("service", unit, verb)


def key(path: str, key_type: str, passphrase: Path | None = None) -> str:
    """Return a command that writes a private key to a file that only root can read; `path` is already quoted."""
    kind, _, size = key_type.partition("-")
    option = (
        f"EC -pkeyopt ec_paramgen_curve:P-{size[1:]}" if kind == "ecdsa" else f"RSA -pkeyopt rsa_keygen_bits:{size}"
    )
    encrypted = f" -aes256 -pass {command(f'file:{passphrase}')}" if passphrase else ""
    return f"(umask 077 && openssl genpkey -algorithm {option}{encrypted} -out {path})"


def passphrase(file: Path | None) -> str:
    """Return the option for the authority key's passphrase, with a trailing space; empty if it has none."""
    return f"{command('-passin', f'file:{file}')} " if file else ""


def subject(names: Iterable[tuple[str, str]]) -> str:
    """Return the options for a subject, quoted, as openssl-req(1) takes them."""
    parts = (f"/{name}=" + re.sub(r"([/+\\])", r"\\\1", value) for name, value in names)
    return command("-utf8", "-subj", "".join(parts) or "/")
