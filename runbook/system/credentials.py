"""Secrets: never parameters. A password comes from the environment, from a 0600 file, or is asked for or generated.

A text that goes into a file names a secret by a placeholder; the secret takes its place only while the file is written,
and the placeholder that of the secret when the file is read as a fact. So no plan, diff or record holds one.
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
# What stands under a name that the registry keeps secrets under (distribution.github.io, "Configuring a registry"): the
# rest of the line, or after | and > the indented lines below it.
_UNKNOWN_SECRET = re.compile(
    r"""((?<![\w-])["']?(?:secret\w*|password|accesskey|accountkey)["']?\s*:\s*+)(?!registry-runbook-secret:)"""
    r"""(?:[|>].*(?:\n[ \t]+.*)*|.+)"""
)
_REWRITE = (
    "write the right one into {0}, as one line; or, unless password_file names it, move it away: the notebook"
    " 40-configuration then makes a new one"
)
_BCRYPT_BYTES = 72
_PASSPHRASE_BYTES = 1023  # what OpenSSL encrypts a key with (cryptography, BestAvailableEncryption)


def read_file(path: Path) -> str | None:
    """Return the secret in a file, None where there is none.

    Raises SecretError where others than its owner may read the file.
    """
    mode = files.mode_of(path)
    if mode is None:
        return None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError(f"{path} to be for its owner alone (0600)", f"mode {mode:04o}", f"run `chmod 600 {path}`")
    return (files.read_text(path) or "").removesuffix("\n")


def check_password(password: str, origin: str, remedy: str = "choose another") -> str:
    """Return the password; raises SecretError, with the remedy, where bcrypt or a login could not hold all of it.

    bcrypt takes 72 bytes and no NUL; of what is longer, the registry would let in whoever knows the first 72.
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
    """Return the password from RUNBOOK_PASSWORD, else from the file; None where neither is given.

    The file's line may end as on Windows: a client that reads it takes that end off, too (`--password-stdin`).
    """
    if PASSWORD_VARIABLE in os.environ:
        return check_password(os.environ[PASSWORD_VARIABLE], PASSWORD_VARIABLE)
    found = read_file(path)
    return found if found is None else check_password(found.removesuffix("\r"), str(path), _REWRITE.format(path))


def require_password(path: Path) -> str:
    """Return the password; raises SecretError where it is nowhere."""
    found = find_password(path)
    if found is None:
        raise SecretError(
            f"a password in {PASSWORD_VARIABLE} or {path}", "neither", "run the notebook 40-configuration"
        )
    return found


def keep_password(path: Path, password: str) -> None:
    """Write a password into its file, 0600, in folders for its owner alone where they are missing.

    Raises SecretError for a password that bcrypt or a login could not hold, and where this user may not write there.
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
    """Return the passphrase of the CA key from RUNBOOK_CA_PASSPHRASE, else the file; None without."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None and path is not None:
        given = read_file(path)
        if given is None:
            raise SecretError(f"a passphrase in {path}", "no such file", "correct ca_passphrase_file")
    if given == "":
        raise SecretError("a passphrase", "an empty one", "give one, or none at all")
    if given is None:
        return None
    encoded = given.encode(errors="surrogateescape")  # a variable's bytes that are not UTF-8, as they were given
    if len(encoded) > _PASSPHRASE_BYTES:
        raise SecretError(
            f"a passphrase of at most {_PASSPHRASE_BYTES} bytes", f"one of {len(encoded)}", "choose a shorter one"
        )
    return encoded


def generate() -> str:
    """Return a random secret of 24 bytes, in URL-safe base64."""
    return secrets.token_urlsafe(24)


def ask_or_generate(purpose: str) -> str:
    """Return a secret typed at JupyterLab's prompt; a random one where nothing is typed or nobody can be asked."""
    if purpose != "the password" or headless.is_declared():
        return generate()
    try:
        typed = getpass.getpass("Password of the registry's user (empty: one is generated): ")
    except (EOFError, OSError, RuntimeError):  # no terminal, or a front end without input: a headless run
        return generate()
    return check_password(typed, "the prompt") if typed else generate()


def placeholder(path: Path) -> str:
    """Return what stands for the secret of a file in a text."""
    return PLACEHOLDER.format(path=path)


def reveal(text: str, paths: tuple[Path, ...]) -> str:
    """Return the text with each placeholder of `paths` replaced by its secret; SecretError for one that is missing."""
    for path in paths:
        if placeholder(path) in text:
            secret = read_file(path)
            if not secret:
                raise SecretError(f"a secret in {path}", "none", "run the notebook 40-configuration")
            text = text.replace(placeholder(path), secret)
    return text


def conceal(text: str, paths: tuple[Path, ...]) -> str:
    """Return the text with each secret of `paths` replaced by its placeholder, and any other `secret:` hidden."""
    for path in paths:
        if secret := read_file(path):
            text = text.replace(secret, placeholder(path))
    return _UNKNOWN_SECRET.sub(r"\1(not shown)", text)
