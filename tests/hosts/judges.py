"""Others' programs, which judge what the product makes; what one may find is declared in SECURITY.md alone."""

import re
from pathlib import Path

from .lab import PROJECT, Completed
from .machine import execute

PROGRAMS = PROJECT / ".venv" / "judges" / "bin"
SECURITY = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")


def declared(judge: str) -> set[str]:
    """Return what SECURITY.md says that a judge finds."""
    return set(re.findall(rf"^\| {judge} \| `([^`]+)` \|", SECURITY, re.MULTILINE))


def ask(program: str, *arguments: str | Path) -> Completed:
    """Run a judge's program on this machine, whatever it says."""
    return execute(str(PROGRAMS / program), *map(str, arguments), check=False)


def lint(authority: Path, server: Path) -> set[str]:
    """Return what pkilint says of two certificates (PEM) and their chain by RFC 5280, at WARNING or above."""
    at_least = ("lint", "--severity=WARNING", "--document-format=PEM")
    said = [
        ask("lint_pkix_cert", *at_least, authority),
        ask("lint_pkix_cert", *at_least, server),
        ask("lint_pkix_signer_signee_cert_chain", *at_least, authority, server),
    ]
    assert [str(done) for done in said if done.stderr] == []
    found = {finding for done in said for finding in re.findall(r"^ +(\S+) \(", done.stdout, re.MULTILINE)}
    assert any(done.code for done in said) == bool(found)
    return found


def scan(address: str, port: int, *, domain: str, authority: Path) -> set[str]:
    """Return what sslyze finds in a server against Mozilla's intermediate profile."""
    known = (f"--certinfo_ca_file={authority}", f"--sni={domain}")
    done = ask("sslyze", "--mozilla_config=intermediate", *known, f"{address}:{port}")
    verdict = done.stdout.partition("COMPLIANCE AGAINST TLS CONFIGURATION")[2]
    assert f"{address}:{port}: {'FAILED - Not compliant.' if done.code else 'OK - Compliant.'}" in verdict, str(done)
    return set(re.findall(r"^ +\* (.+)$", verdict, re.MULTILINE))


def lint_yaml(*paths: Path) -> set[str]:
    """Return the rules of yamllint, all that are on by themselves and that of octals, which files break."""
    rules = "{extends: default, rules: {octal-values: {forbid-implicit-octal: true, forbid-explicit-octal: true}}}"
    done = ask("yamllint", "--strict", "--format=parsable", "-d", rules, *paths)
    found = re.findall(r" \(([a-z-]+)\)$", done.stdout, re.MULTILINE)
    assert len(found) == len(done.stdout.splitlines())
    return set(found)


def check_compose(*paths: Path) -> Completed:
    """Return what check-jsonschema says of Compose files, by the Compose specification that it brings along."""
    return ask("check-jsonschema", "--builtin-schema=vendor.compose-spec", *paths)
