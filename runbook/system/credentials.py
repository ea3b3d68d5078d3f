"""Secrets, which are never parameters. A password comes from the environment, a 0600 file, a prompt or a generator.

Texts of files contain a placeholder for each secret. It is replaced only while the file is written, and put back when
the file is read as a fact. So no plan, diff or record contains a secret.
"""

import getpass
import os
import re
import secrets
import stat
from pathlib import Path

from runbook.model.errors import SecretError
from runbook.system.host import files, headless

PASSWORD_VARIABLE = "RUNBOOK_PASSWORD"  # noqa: S105 (the name of a variable)
PASSPHRASE_VARIABLE = "RUNBOOK_CA_PASSPHRASE"  # noqa: S105 (the name of a variable)
PLACEHOLDER = "registry-runbook-secret:{path}"
# The value of a key that holds a secret (distribution.github.io, "Configuring a registry"): the rest of the line, or
# after | and > the indented lines below it.
_UNKNOWN_SECRET = re.compile(
    r"""((?<![\w-])["']?(?:secret\w*|password|accesskey|accountkey)["']?\s*:\s*+)(?!registry-runbook-secret:)"""
    r"""(?:[|>].*(?:\n[ \t]+.*)*|.+)"""
)
_REWRITE = (
    "write the right one into {0}, as one line; or, unless password_file names it, move it away: the notebook"
    " 40-configuration then makes a new one"
)
_BCRYPT_BYTES = 72
_PASSPHRASE_BYTES = 1023  # OpenSSL's limit for an encrypted key (cryptography, BestAvailableEncryption)


def read_file(path: Path) -> str | None:
    """Return the secret in a file, or None if there is no file.

    Raises SecretError if group or others have any right to the file.
    """
    mode = files.mode_of(path)
    if mode is None:
        return None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError(f"{path} to be for its owner alone (0600)", f"mode {mode:04o}", f"run `chmod 600 {path}`")
    return (files.read_text(path) or "").removesuffix("\n")


def check_password(password: str, origin: str, remedy: str = "choose another") -> str:
    """Return the password; raises SecretError, with the remedy, if bcrypt or a login cannot use all of it.

    bcrypt uses 72 bytes without NUL: for a longer password, the registry would accept its first 72 bytes.
    """
    found = None
    if not password:
        found = "an empty one"
    elif not password.isprintable():
        found = "one with a control character, or with bytes that are not UTF-8"
    elif len(password.encode()) > _BCRYPT_BYTES:
        found = f"one of {len(password.encode())} bytes"
    if found:
        raise SecretError(f"a password of 1 to 72 bytes of printable text ({origin})", found, remedy)
    return password


def find_password(path: Path) -> str | None:
    """Return the password from RUNBOOK_PASSWORD, else from the file, or None without both.

    The file may have a Windows line ending, which Docker's `--password-stdin` removes too.
    """
    if PASSWORD_VARIABLE in os.environ:
        return check_password(os.environ[PASSWORD_VARIABLE], PASSWORD_VARIABLE)
    return password_in(path)


def password_in(path: Path) -> str | None:
    """Return the password in a file, or None if there is no file."""
    found = read_file(path)
    return found if found is None else check_password(found.removesuffix("\r"), str(path), _REWRITE.format(path))


def require_password(path: Path) -> str:
    """Return the password; raises SecretError if there is none."""
    found = find_password(path)
    if found is None:
        raise SecretError(
            f"a password in {PASSWORD_VARIABLE} or {path}", "neither", "run the notebook 40-configuration"
        )
    return found


def write_password(path: Path, password: str) -> None:
    """Write a password to its file with mode 0600; missing folders above it get 0700.

    Raises SecretError for a password that bcrypt or a login cannot use, and if this user may not write there.
    """
    check_password(password, "the form")
    if not files.may_change(path):
        raise SecretError(
            f"to be allowed to write {path}",
            f"user id {os.geteuid()} is not",
            "set password_file to a file of your own, or run the notebook 40-configuration, which asks for it",
        )
    for missing in reversed([above for above in path.parents if not above.exists()]):
        files.make_directory(missing, 0o700)
    files.write(path, f"{password}\n".encode(), 0o600)


def find_passphrase(path: Path | None) -> bytes | None:
    """Return the passphrase of the CA key from RUNBOOK_CA_PASSPHRASE, else from the file, or None without both."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None and path is not None:
        given = read_file(path)
        if given is None:
            raise SecretError(f"a passphrase in {path}", "no such file", "correct ca_passphrase_file")
    if given == "":
        raise SecretError("a passphrase", "an empty one", "give one, or none at all")
    if given is None:
        return None
    encoded = given.encode(errors="surrogateescape")  # keeps the bytes of a variable that is not UTF-8
    if len(encoded) > _PASSPHRASE_BYTES:
        raise SecretError(
            f"a passphrase of at most {_PASSPHRASE_BYTES} bytes", f"one of {len(encoded)}", "choose a shorter one"
        )
    return encoded


def generate() -> str:
    """Return a random secret of 24 bytes, in URL-safe base64."""
    return secrets.token_urlsafe(24)


def ask_or_generate(purpose: str) -> str:
    """Return a password typed at JupyterLab's prompt, or a random secret if nothing is typed or there is no prompt."""
    if purpose != "the password" or headless.is_declared():
        return generate()
    try:
        typed = getpass.getpass("Password of the registry's user (empty: one is generated): ")
    except (EOFError, OSError, RuntimeError):  # no terminal, or a front end without input: a headless run
        return generate()
    return check_password(typed, "the prompt") if typed else generate()


def placeholder(path: Path) -> str:
    """Return the placeholder for the secret in a file."""
    return PLACEHOLDER.format(path=path)


def reveal(text: str, paths: tuple[Path, ...]) -> str:
    """Return the text with each placeholder of `paths` replaced by its secret; raises SecretError if one is missing."""
    for path in paths:
        if placeholder(path) in text:
            secret = read_file(path)
            if not secret:
                raise SecretError(f"a secret in {path}", "none", "run the notebook 40-configuration")
            text = text.replace(placeholder(path), secret)
    return text


def conceal(text: str, paths: tuple[Path, ...]) -> str:
    """Return the text with each secret of `paths` replaced by its placeholder, and other secrets hidden."""
    for path in paths:
        if secret := read_file(path):
            text = text.replace(secret, placeholder(path))
    return _UNKNOWN_SECRET.sub(r"\1(not shown)", text)
