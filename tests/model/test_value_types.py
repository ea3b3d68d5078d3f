"""The forms of values: what clients, registry and files can use is taken, all else is refused in plain words."""

import re

import pytest

from runbook.model.errors import ParameterError
from runbook.model.parameters import read
from runbook.model.value_types import split_reference


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("domain", "Registry.Example.ORG", "registry.example.org", id="upper-case"),
        pytest.param("domain", "仓库.example", "xn--5mqv79a.example", id="international"),
        pytest.param("domain", f"{'a' * 63}.{'b' * 63}.test", f"{'a' * 63}.{'b' * 63}.test", id="over-64-characters"),
        pytest.param("address", "auto", "auto", id="auto"),
        pytest.param("address", "192.168.1.2", "192.168.1.2", id="own-address"),
        pytest.param("basic_address", "0.0.0.0", "0.0.0.0", id="listen-everywhere"),  # noqa: S104 (nothing is bound)
        pytest.param("extra_addresses", ["2001:DB8::0:1"], ["2001:db8::1"], id="ipv6-in-short"),
        pytest.param("extra_names", ["A.test", "b.test"], ["a.test", "b.test"], id="more-names"),
        pytest.param("port", 65535, 65535, id="highest-port"),
        pytest.param(
            "insecure_registries",
            ["192.168.1.2:5000", "A0.lan", "localhost:5000", "10.1.2.3/8", "fd00::/8"],
            ["192.168.1.2:5000", "A0.lan", "localhost:5000", "10.0.0.0/8", "fd00::/8"],
            id="registries-on-plain-http",
        ),
        pytest.param(
            "registry_mirrors", ["https://m.test/", "http://m:5"], ["https://m.test", "http://m:5"], id="mirrors"
        ),
        pytest.param("private_directory", "/srv/run.book_1@a+b-c", "/srv/run.book_1@a+b-c", id="path"),
        pytest.param("password_file", "", "", id="no-path"),
        pytest.param("password_file", "/root/secret", "/root/secret", id="optional-path"),
        pytest.param("username", "josé maría", "josé maría", id="user-with-accent-and-space"),
        pytest.param("username", "ü" * 120, "ü" * 120, id="user-of-240-bytes"),
        pytest.param("subject_state", "京" * 128, "京" * 128, id="state-of-128"),
        pytest.param("subject_country", "CN", "CN", id="country"),
        pytest.param("subject_country", "", "", id="no-country"),
        pytest.param("ca_common_name", "x", "x", id="shortest-common-name"),
        pytest.param("ca_common_name", "x" * 64, "x" * 64, id="longest-common-name"),
        pytest.param("registry_image", "ghcr.io:443/a/b-c:2.8.3", "ghcr.io:443/a/b-c:2.8.3", id="image-of-a-registry"),
        pytest.param("registry_image_digest", f"sha256:{'0a' * 32}", f"sha256:{'0a' * 32}", id="digest"),
        pytest.param("test_reference", "user/ubuntu:17.10", "user/ubuntu:17.10", id="the-document's-reference"),
        pytest.param("compose_project", "re_gi-stry1", "re_gi-stry1", id="project"),
        pytest.param("realm", "a b", "a b", id="realm-of-two-words"),
        pytest.param("key_type", "rsa-4096", "rsa-4096", id="the-document's-key"),
        pytest.param("delete_enabled", False, False, id="false-is-a-value"),
    ],
)
def test_read_takes_what_is_possible(name: str, value: object, expected: object) -> None:
    """Fails if a value that clients can use is refused, or is not put into the form that they use."""
    assert expected == getattr(read({name: value}, where="here"), name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("mode", "aply", "input should be 'apply' or 'plan'", id="mode"),
        pytest.param("domain", "", "a host name (Empty domain)", id="empty"),
        pytest.param("domain", "192.168.1.2", "a host name; an address goes into extra_addresses", id="ipv4"),
        pytest.param(
            "domain", "\uff11\uff12\uff17.0.0.1", "a host name; an address goes into extra_addresses", id="wide-ipv4"
        ),
        pytest.param("domain", "2001:db8::1", "a host name; an address goes into extra_addresses", id="ipv6"),
        pytest.param("domain", "registry.test:5000", "a port into port", id="port-in-the-name"),
        pytest.param("domain", "registry.test\n", "a host name", id="newline"),
        pytest.param("domain", "registry .test", "a host name", id="space"),
        pytest.param("domain", "registry..test", "a host name (Empty Label)", id="two-dots"),
        pytest.param("domain", "registry.test.", "a host name of letters, digits, hyphens and dots", id="last-dot"),
        pytest.param("domain", "re_gistry.test", "a host name", id="underscore"),
        pytest.param("domain", "*.test", "a host name", id="wildcard"),
        pytest.param("domain", f"{'a' * 64}.test", "a host name (Label too long)", id="label-of-64"),
        pytest.param("domain", "registry.123", "whose last label is not a number", id="number-as-last-label"),
        pytest.param("domain", "LOCALHOST", "a name that is not the loopback's", id="localhost"),
        pytest.param("domain", "registry.localhost", "a name that is not the loopback's", id="below-localhost"),
        pytest.param("extra_names", ["a.test", "b_.test"], "a host name", id="second-of-more-names"),
        pytest.param("extra_names", "a.test", "input should be a valid list", id="one-name-is-no-list"),
        pytest.param("extra_addresses", ["fe80::1%eth0\n"], "an IPv4 or IPv6 address without a zone", id="zone"),
        pytest.param("insecure_registries", ["fe80::%x\n/64"], "a registry as HOST", id="zone-of-a-network"),
        pytest.param("extra_addresses", ["a.test"], "an IPv4 or IPv6 address", id="name-as-address"),
        pytest.param("extra_addresses", ["fe80::1%eth0"], "without a zone", id="address-with-zone"),
        pytest.param("address", "127.0.1.1", "an IPv4 address of this host that is not loopback", id="loopback"),
        pytest.param("address", "0.0.0.0", "an IPv4 address of this host", id="unspecified"),  # noqa: S104 (not bound)
        pytest.param("address", "2001:db8::1", "an IPv4 address of this host", id="address-of-ipv6"),
        pytest.param("address", "here", "an IPv4 or IPv6 address", id="no-address"),
        pytest.param("basic_address", "::", "an IPv4 address, 0.0.0.0 for all", id="listen-on-ipv6"),
        pytest.param(
            "insecure_registries", ["http://a:5000"], "HOST[:PORT], without scheme", id="insecure-with-scheme"
        ),
        pytest.param(
            "insecure_registries", ["a:5000/x"], "HOST[:PORT], without scheme or path", id="insecure-with-path"
        ),
        pytest.param("insecure_registries", ["a:0"], "HOST[:PORT]", id="insecure-port-0"),
        pytest.param("insecure_registries", ["a:65536"], "HOST[:PORT]", id="insecure-port-too-high"),
        pytest.param("insecure_registries", ["a_b:1"], "HOST[:PORT]", id="insecure-underscore"),
        pytest.param("insecure_registries", ["a:1\n"], "HOST[:PORT]", id="insecure-newline"),
        pytest.param("insecure_registries", [""], "HOST[:PORT]", id="insecure-empty"),
        pytest.param("insecure_registries", ["10.0.0.0/33"], "a network such as 192.168.1.0/24", id="no-network"),
        pytest.param("insecure_registries", ["192.168.1.256:1"], "an IPv4 or IPv6 address", id="insecure-no-address"),
        pytest.param("insecure_registries", ["[::1]:1"], "HOST[:PORT]", id="insecure-ipv6"),
        pytest.param("insecure_registries", "a:1", "input should be a valid list", id="insecure-is-no-list"),
        pytest.param("registry_mirrors", ["m.test"], "http:// or https:// and HOST[:PORT]", id="mirror-no-scheme"),
        pytest.param("registry_mirrors", ["ftp://m.test"], "http:// or https://", id="mirror-ftp"),
        pytest.param("registry_mirrors", ["https://m.test/x"], "without user, path or query", id="mirror-with-path"),
        pytest.param("registry_mirrors", ["https://u:p@m.test"], "without user", id="mirror-with-user"),
        pytest.param("registry_mirrors", ["https://m.test?x"], "path or query", id="mirror-with-query"),
        pytest.param("port", "443", "input should be a valid integer", id="port-in-quotes"),
        pytest.param("port", True, "input should be a valid integer", id="true-is-no-port"),
        pytest.param("port", 0, "input should be greater than or equal to 1", id="port-0"),
        pytest.param("basic_port", 65536, "input should be less than or equal to 65535", id="port-too-high"),
        pytest.param("private_directory", "etc/x", "an absolute path", id="relative-path"),
        pytest.param("private_directory", "/etc/../x", "without '..'", id="dots-in-path"),
        pytest.param("private_directory", "/etc/$HOME", "an absolute path of letters", id="dollar-in-path"),
        pytest.param("private_directory", "/etc/-x", "an absolute path of letters", id="hyphen-first-in-path"),
        pytest.param("private_directory", "/a\x00b", "an absolute path of letters", id="nul-in-path"),
        pytest.param("own_key_file", "key.pem", "an absolute path", id="optional-path-relative"),
        pytest.param("basic_container", "-registry", "the first a letter or digit", id="hyphen-first"),
        pytest.param("compose_project", "Registry", "lower-case letters", id="project-in-upper-case"),
        pytest.param("username", "ü" * 121, "at most 240 bytes", id="user-of-242-bytes"),
        pytest.param("username", "", "a user name that htpasswd can hold", id="no-user"),
        pytest.param("username", "a:b", "a user name that htpasswd can hold", id="user-with-colon"),
        pytest.param("username", "#a", "a user name that htpasswd can hold", id="user-as-comment"),
        pytest.param("username", " a", "a user name that htpasswd can hold", id="user-after-space"),
        pytest.param("username", "a ", "a user name that htpasswd can hold", id="user-before-space"),
        pytest.param("username", "a\nb", "a user name that htpasswd can hold", id="user-on-two-lines"),
        pytest.param("username", "a/../../../b", "a user name", id="user-as-path"),  # it names the password's file
        pytest.param("realm", 'a"b', "printable text without quotation marks", id="realm-with-quotes"),
        pytest.param("realm", "", "at least 1", id="no-realm"),
        pytest.param("subject_state", "a\\b", "printable text without quotation marks or backslashes", id="backslash"),
        pytest.param("subject_country", "cn", "two capital letters", id="country-in-lower-case"),
        pytest.param("ca_common_name", "x" * 65, "1 to 64 bytes in UTF-8", id="common-name-of-65"),
        pytest.param("ca_common_name", "中" * 22, "1 to 64 bytes in UTF-8", id="common-name-of-66-bytes"),
        pytest.param("ca_common_name", "", "1 to 64 bytes in UTF-8", id="no-common-name"),
        pytest.param("subject_state", "x" * 129, "at most 128", id="state-of-129"),
        pytest.param("subject_locality", "x" * 129, "at most 128", id="locality-of-129"),
        pytest.param("registry_image", "registry", "[REGISTRY/]REPOSITORY:TAG", id="unpinned-image"),
        pytest.param("registry_image", "", "at least 1", id="no-image"),
        pytest.param("registry_image_digest", "sha256:0", "sha256: and 64 hexadecimal digits", id="short-digest"),
        pytest.param("test_reference", "r.test:5000/a:1", "without a registry host", id="reference-with-host"),
        pytest.param("bcrypt_cost", 15, "input should be less than or equal to 14", id="cost-of-a-second"),
        pytest.param("delete_enabled", "yes", "input should be a valid boolean", id="yes-is-text"),
    ],
)
def test_read_refuses_what_is_impossible(name: str, value: object, expected: str) -> None:
    """Fails if an impossible value passes, or if the message does not name parameter, value and place."""
    told = rf"expected for {name}: .*{re.escape(expected)}.*found {re.escape(repr(value))} \(here\)\. To repair: set "
    with pytest.raises(ParameterError, match=told):
        read({name: value}, where="here")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        pytest.param("ubuntu:17.10", ("ubuntu", "17.10"), id="one-part"),
        pytest.param("user/ubuntu:17.10", ("user/ubuntu", "17.10"), id="two-parts"),
    ],
)
def test_split_reference_gives_repository_and_tag(reference: str, expected: tuple[str, str]) -> None:
    """Fails if a part of one goes to the other."""
    assert expected == split_reference(reference)
