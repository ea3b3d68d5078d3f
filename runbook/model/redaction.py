"""Removal of possible credentials from pasted texts."""

import re

CONCEALED = "(concealed)"
_NAMES = r"password|passwd|passphrase|token|identitytoken|registrytoken|api[_-]?key|access[_-]?key"
# The text before a credential stays, so that a message can still be recognised.
_CREDENTIALS = (
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|\Z)"),
    re.compile(r"(?i)((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|digest)\s+)?)[^\s\"']+"),
    re.compile(r"(?i)(x-registry-auth[\"']?\s*[:=]\s*[\"']?)[^\s\"']+"),
    re.compile(r"(://)[^/\s@\"']+(?=@)"),
    re.compile(r"(?i)([\"'](?:auth|secret)[\"']\s*:\s*[\"'])[^\"']+"),
    re.compile(rf"(?i)(\b(?:{_NAMES})[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]+"),
    re.compile(r"((?:^|\s)(?:-u|--user|--(?:src-|dest-)?creds)[ =]\s*[^\s:]+:)[^\s]+"),
    re.compile(r"()\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"),
)
# Matched in the order of the text: the password after -p, the word login, and the end of a line.
_LOGIN = re.compile(r"(\s(?:-p|--password)[ =]?\s*)(?!-stdin)[^\s]+|\blogin\b|\n")


def redact(text: str) -> str:
    """Return a text with everything that looks like a credential replaced; idempotent.

    Replaced are logins in addresses, Authorization headers (RFC 7235 section 4.2), named passwords, passwords on a
    client's command line, bcrypt hashes and private keys in PEM.
    """
    for pattern in _CREDENTIALS:
        text = pattern.sub(rf"\g<1>{CONCEALED}", text)
    return _without_passwords_of_logins(text)


def _without_passwords_of_logins(text: str) -> str:
    is_login = False

    def conceal(found: re.Match[str]) -> str:
        nonlocal is_login
        if found[1] is None:
            is_login = found[0] != "\n"
        return f"{found[1]}{CONCEALED}" if found[1] is not None and is_login else found[0]

    return _LOGIN.sub(conceal, text)
