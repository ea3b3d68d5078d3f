"""The types of parameter values. The text of each ValueError is the accepted form, with the reason."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

import idna
from pydantic import AfterValidator, Field

from runbook.model.redaction import redact

# Reference grammar: github.com/distribution/reference, regexp.go (path-component, tag).
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_REGISTRY = r"[A-Za-z0-9.-]+(?::[0-9]+)?"
_IPV4 = 4
_COMMON_NAME_BYTES = 64
# An image name has at most 255 characters, with address and port (distribution/reference, NameTotalLengthMax).
_REPOSITORY_LENGTH = 233
_USER_BYTES = 240  # of the 255 of a file name (limits.h, NAME_MAX)
_HIGHEST_PORT = 65535
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def _matching(pattern: str, expected: str, *, or_empty: bool = False) -> AfterValidator:
    """Return a validator for text that fully matches a pattern."""

    def check(value: str) -> str:
        if not (or_empty and not value) and not re.fullmatch(pattern, value):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


def _a_domain(value: str) -> str:
    """Return the A-label form of a host name (RFC 5890 2.3.2.1), lower case; raises ValueError for an unusable one."""
    try:
        name = "" if ":" in value else idna.encode(value, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"a host name ({error})") from error
    if re.fullmatch(r"[0-9.]*", name):
        raise ValueError("a host name; an address goes into extra_addresses, and a port into port")
    if not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*", name):
        raise ValueError("a host name of letters, digits, hyphens and dots")
    if name.rpartition(".")[2].isdigit():
        raise ValueError("a host name whose last label is not a number (RFC 3696 section 2)")
    if name == "localhost" or name.endswith(".localhost"):
        raise ValueError("a name that is not the loopback's: the engine does not verify TLS there")
    return name


def _an_address(value: str) -> str:
    if "%" in value:
        raise ValueError("an IPv4 or IPv6 address without a zone, which no certificate can hold")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise ValueError("an IPv4 or IPv6 address") from error


def _a_reachable_address(value: str) -> str:
    if value == "auto":
        return value
    address = ipaddress.ip_address(_an_address(value))
    if address.version != _IPV4 or address.is_loopback or address.is_unspecified:
        raise ValueError("'auto', or an IPv4 address of this host that is not loopback")
    return str(address)


def _a_listening_address(value: str) -> str:
    if ipaddress.ip_address(_an_address(value)).version != _IPV4:
        raise ValueError("an IPv4 address, 0.0.0.0 for all")
    return value


def _a_path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_.][A-Za-z0-9_.@+-]*)+", value) or ".." in Path(value).parts:
        raise ValueError("an absolute path of letters, digits and _ . @ + -, without '..'")
    return value


def _a_path_or_none(value: str) -> str:
    return value and _a_path(value)


def _a_user(value: str) -> str:
    if not value.strip() or re.search(r"[:/]|^#", value) or value != value.strip() or not value.isprintable():
        raise ValueError("a user name that htpasswd can hold, and a file's name: no ':' or '/', no '#' at its start")
    if len(value.encode()) > _USER_BYTES:
        raise ValueError(f"a user name of at most {_USER_BYTES} bytes: the file with its password is named after it")
    return value


def _a_text(value: str) -> str:
    if not value.isprintable() or '"' in value or "\\" in value:
        raise ValueError("printable text without quotation marks or backslashes")
    return value


def _a_common_name(value: str) -> str:
    if not 1 <= len(_a_text(value).encode()) <= _COMMON_NAME_BYTES:  # cryptography counts bytes, the RFC characters
        raise ValueError("1 to 64 bytes in UTF-8 (RFC 5280 appendix A.1, ub-common-name)")
    return value


def _a_reference(value: str) -> str:
    if not re.fullmatch(rf"{_REPOSITORY}:{_TAG}", value):
        raise ValueError("REPOSITORY:TAG, lower case, without a registry host")
    if len(split_reference(value)[0]) > _REPOSITORY_LENGTH:
        raise ValueError(f"a repository of at most {_REPOSITORY_LENGTH} characters")
    return value


def a_repository(value: str) -> str:
    """Return a repository name unchanged; raises ValueError if it is not valid."""
    if len(value) > _REPOSITORY_LENGTH or not re.fullmatch(_REPOSITORY, value):
        raise ValueError(f"a repository in lower case, of at most {_REPOSITORY_LENGTH} characters")
    return value


def _a_host_and_port(value: str) -> str:
    """Return an entry for dockerd's `insecure-registries`; networks lose their host bits (registry/config.go)."""
    expected = "a registry as HOST[:PORT], without scheme or path, or a network such as 192.168.1.0/24"
    if "/" in value and "%" not in value:
        try:
            return str(ipaddress.ip_network(value, strict=False))
        except ValueError as error:
            raise ValueError(expected) from error
    _refuse_other_than_host_and_port(value, expected)
    return value


def _refuse_other_than_host_and_port(value: str, expected: str) -> None:
    found = re.fullmatch(rf"({_LABEL}(?:\.{_LABEL})*)(?::([1-9][0-9]{{0,4}}))?", value, re.IGNORECASE)
    if found is None or int(found.group(2) or 1) > _HIGHEST_PORT:
        raise ValueError(expected)
    if re.fullmatch(r"[0-9.]+", found.group(1)):
        _an_address(found.group(1))


def _a_mirror(value: str) -> str:
    """Return a URL for `registry-mirrors` of every dockerd, without a trailing slash (registry/config.go)."""
    expected = "http:// or https:// and HOST[:PORT], without user, path or query"
    scheme, _, rest = value.partition("://")
    if scheme not in ("http", "https"):
        raise ValueError(expected)
    _refuse_other_than_host_and_port(rest.removesuffix("/"), expected)
    return value.removesuffix("/")


_IMAGE = _matching(
    rf"(?:{_REGISTRY}/)?{_REPOSITORY}:{_TAG}",
    "[REGISTRY/]REPOSITORY:TAG; a digest goes into registry_image_digest",
    or_empty=True,
)
Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[int, Field(ge=1, le=36500)]
Domain = Annotated[str, AfterValidator(_a_domain)]
Address = Annotated[str, AfterValidator(_an_address)]
HostAddress = Annotated[str, AfterValidator(_a_reachable_address)]
ListeningAddress = Annotated[str, AfterValidator(_a_listening_address)]
FilePath = Annotated[str, AfterValidator(_a_path)]
OptionalPath = Annotated[str, AfterValidator(_a_path_or_none)]
Text = Annotated[str, AfterValidator(_a_text)]
Realm = Annotated[str, AfterValidator(_a_text), Field(min_length=1)]
Place = Annotated[str, AfterValidator(_a_text), Field(max_length=128)]  # RFC 5280, ub-state-name, ub-locality-name
Organization = Annotated[str, AfterValidator(_a_text), Field(max_length=64)]  # RFC 5280, ub-organization-name
CommonName = Annotated[str, AfterValidator(_a_common_name)]
Country = Annotated[str, _matching(r"[A-Z]{2}", "two capital letters (ISO 3166), or empty", or_empty=True)]
RegistryAddress = Annotated[str, AfterValidator(_a_host_and_port)]
MirrorUrl = Annotated[str, AfterValidator(_a_mirror)]
Identifier = Annotated[
    str, _matching(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", "letters, digits and _ . -, the first a letter or digit")
]
Project = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, _ and -, the first a letter or digit")
]
User = Annotated[str, AfterValidator(_a_user)]
Reference = Annotated[str, AfterValidator(_a_reference)]
Image = Annotated[str, _IMAGE, Field(min_length=1)]
OptionalImage = Annotated[str, _IMAGE]
Digest = Annotated[str, _matching(r"sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits, or empty", or_empty=True)]
Message = Annotated[str, AfterValidator(redact)]
Removable = Literal["data", "basic-data", "authority", "secrets", "image", "packages"]
KeyType = Literal["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"]


def split_reference(reference: str) -> tuple[str, str]:
    """Return repository and tag of a validated REPOSITORY:TAG."""
    repository, _, tag = reference.rpartition(":")
    return repository, tag
