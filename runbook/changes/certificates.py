"""Changes of keys and certificates."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runbook.changes import shell
from runbook.changes.base import Change, FileChange, file_at, in_place
from runbook.changes.made import Thing
from runbook.model.errors import ChangedError
from runbook.system import credentials
from runbook.system.certificates import supplied, tls
from runbook.system.host import file_state, files

# What openssl-x509v3_config(5) calls the extensions of `tls.issue_authority` and `tls.issue_server`.
_AUTHORITY = """[req]
distinguished_name = names
x509_extensions = authority
[names]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_SERVER = """basicConstraints = critical, CA:FALSE
keyUsage = critical, {usage}
extendedKeyUsage = serverAuth
subjectAltName = {names}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
EOF"""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueAuthority(Change):
    """Make the certificate authority: its key (where there is none yet) and its self-signed certificate."""

    key_path: Path
    certificate_path: Path
    subject: tuple[tuple[str, str], ...]
    key_type: str
    validity_days: int
    passphrase_file: Path | None

    def __str__(self) -> str:
        """Return the change in one line."""
        subject = ", ".join(f"{name}={value}" for name, value in self.subject)
        return f"make the certificate authority {subject} in {self.certificate_path.parent}"

    def things(self) -> tuple[Thing, ...]:
        """Return key and certificate."""
        return file_at(self.key_path, "authority") + file_at(self.certificate_path, "authority")

    def needs_root(self) -> bool:
        """Return whether this user cannot write the key."""
        return not files.may_change(self.key_path)

    def check_place(self) -> None:
        """Raise HostError where key or certificate cannot be written."""
        files.require_place_for_file(self.key_path)
        files.require_place_for_file(self.certificate_path)

    def refuse_drift(self) -> None:
        """Raise ChangedError where there is a certificate since the plan."""
        file_state.refuse_changed(self.certificate_path, file_state.state(self.certificate_path), None)

    def private_paths(self) -> tuple[Path, ...]:
        """Return the key."""
        return (self.key_path,)

    def by_hand(self) -> str:
        """Return the commands for it."""
        key = shell.command(self.key_path)
        passed = shell.passphrase(self.passphrase_file)
        return shell.lines(
            shell.command("install", "-d", "-m", "0700", self.key_path.parent),
            f"[ -e {key} ] || {shell.key(key, self.key_type, self.passphrase_file)}",
            f"openssl req -x509 -new -key {key} {passed}{shell.subject(self.subject)} -days {self.validity_days}"
            f" -out {shell.command(self.certificate_path)} -config /dev/stdin <<'EOF'\n{_AUTHORITY}EOF",
            shell.command("chmod", "0644", self.certificate_path),
        )

    def make(self, _timeout_seconds: float, /) -> str:
        """Write key and certificate."""
        passphrase = credentials.find_passphrase(self.passphrase_file)
        if self.key_path.exists():  # an earlier run was cut off between key and certificate, or that was lost
            key = tls.load_key(self.key_path, passphrase)
        else:
            key = tls.generate_key(self.key_type)
            files.write(self.key_path, tls.key_text(key, passphrase), 0o600)
        certificate = tls.issue_authority(key, self.subject, now=_now(), validity_days=self.validity_days)
        files.write(self.certificate_path, tls.certificate_text(certificate), 0o644)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _PairChange(FileChange):
    """A change of the file that holds the server's key and chain."""

    before: str | None = None

    def refuse_drift(self) -> None:
        """Raise ChangedError where another file is there since the plan."""
        file_state.refuse_changed(self.path, file_state.state(self.path), self.before)


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueCertificate(_PairChange):
    """Make a server key and have the authority sign its certificate; both go into one file, switched as one."""

    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    key_type: str
    validity_days: int
    authority_key_path: Path
    authority_certificate_path: Path
    passphrase_file: Path | None
    reason: str

    def __str__(self) -> str:
        """Return the change in one line."""
        names = ", ".join((*self.dns_names, *self.addresses))
        return f"issue a server certificate for {names} ({self.reason}){in_place(self.before)}"

    def by_hand(self) -> str:
        """Return the commands for it."""
        passed = shell.passphrase(self.passphrase_file)
        authority = shell.command("-CA", self.authority_certificate_path, "-CAkey", self.authority_key_path)
        names = [*(f"DNS:{name}" for name in self.dns_names), *(f"IP:{address}" for address in self.addresses)]
        usage = "digitalSignature" + (", keyEncipherment" if self.key_type.startswith("rsa") else "")
        critical = "" if self.subject else "critical, "
        return shell.lines(
            "folder=$(mktemp -d)",
            shell.key('"$folder/key"', self.key_type),
            f'openssl req -new -key "$folder/key" {shell.subject(self.subject)} -out "$folder/request"',
            f'openssl x509 -req -in "$folder/request" {authority} {passed}-set_serial "0x$(openssl rand -hex 16)"'
            f" -days {self.validity_days} -out \"$folder/certificate\" -extfile /dev/stdin <<'EOF'",
            _SERVER.format(usage=usage, names=f"{critical}{', '.join(names)}"),
            f'(umask 077 && cat "$folder/key" "$folder/certificate" >{shell.command(self.path)})',
            f'rm -r "$folder" && chmod 0600 {shell.command(self.path)}',
        )

    def make(self, _timeout_seconds: float, /) -> str:
        """Write key and certificate."""
        authority = (
            tls.load_key(self.authority_key_path, credentials.find_passphrase(self.passphrase_file)),
            x509.load_pem_x509_certificate(self.authority_certificate_path.read_bytes()),
        )
        key = tls.generate_key(self.key_type)
        certificate = tls.issue_server(
            key,
            self.subject,
            dns_names=self.dns_names,
            addresses=self.addresses,
            authority=authority,
            now=_now(),
            validity_days=self.validity_days,
        )
        files.write(self.path, tls.key_text(key) + tls.certificate_text(certificate), 0o600)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallCertificate(_PairChange):
    """Put a key and a chain that were brought along into one file, switched as one.

    `fingerprints` are those of the chain when the plan was made, the server's first: no other chain is installed.
    """

    key_path: Path
    chain_path: Path
    fingerprints: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        chain = f"the chain of {self.chain_path} (SHA-256 {self.fingerprints[0][:16]}…)"
        return f"put the key of {self.key_path} and {chain} into {self.path} (0600){in_place(self.before)}"

    def by_hand(self) -> str:
        """Return the commands for it."""
        pair = shell.command("cat", self.key_path, self.chain_path)
        return f"(umask 077 && {pair} >{shell.command(self.path)}) && {shell.command('chmod', '0600', self.path)}"

    def make(self, _timeout_seconds: float, /) -> str:
        """Write key and chain; raises ChangedError where they are others since the plan."""
        key, chain = supplied.load_key(self.key_path), supplied.load_chain(self.chain_path)
        found = tuple(tls.fingerprint(certificate) for certificate in chain)
        if found != self.fingerprints or key.public_key() != chain[0].public_key():
            raise ChangedError(
                f"{self.key_path} and {self.chain_path} as planned", "another key or chain", "plan again"
            )
        files.write(self.path, supplied.pair_text(key, chain), 0o600)
        return ""
