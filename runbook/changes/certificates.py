"""Changes to keys and certificates."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from runbook.changes import shell
from runbook.changes.base import Change, FileReplacement, file_at, in_place
from runbook.changes.made import Thing
from runbook.model.errors import ChangedError
from runbook.system import credentials
from runbook.system.certificates import supplied, tls
from runbook.system.host import file_state, files

# The openssl-x509v3_config(5) form of the extensions of `tls.issue_authority` and `tls.issue_server`.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueAuthority(Change):
    """Make the certificate authority: its key, unless there is one, and its self-signed certificate."""

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
        """Return the key and the certificate."""
        return file_at(self.key_path, "authority") + file_at(self.certificate_path, "authority")

    def needs_root(self) -> bool:
        """Return whether this user may not write the key."""
        return not files.may_change(self.key_path)

    def check_target(self) -> None:
        """Raise HostError if the key or the certificate cannot be written."""
        files.require_place_for_file(self.key_path)
        files.require_place_for_file(self.certificate_path)

    def refuse_drift(self) -> None:
        """Raise ChangedError if a certificate has appeared since the plan."""
        file_state.refuse_changed(self.certificate_path, file_state.fingerprint(self.certificate_path), None)

    def private_paths(self) -> tuple[Path, ...]:
        """Return the key."""
        return (self.key_path,)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        key = shell.command(self.key_path)
        passphrase = shell.passphrase(self.passphrase_file)
        return shell.lines(
            shell.command("install", "-d", "-m", "0700", self.key_path.parent),
            f"[ -e {key} ] || {shell.key(key, self.key_type, self.passphrase_file)}",
            f"openssl req -x509 -new -key {key} {passphrase}{shell.subject(self.subject)} -days {self.validity_days}"
            f" -out {shell.command(self.certificate_path)} -config /dev/stdin <<'EOF'\n{_AUTHORITY}EOF",
            shell.command("chmod", "0644", self.certificate_path),
        )

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the key and the certificate."""
        passphrase = credentials.find_passphrase(self.passphrase_file)
        if self.key_path.exists():  # an earlier run was interrupted before the certificate, or that was lost
            key = tls.load_key(self.key_path, passphrase)
        else:
            key = tls.generate_key(self.key_type)
            files.write(self.key_path, tls.key_text(key, passphrase), 0o600)
        now = datetime.datetime.now(datetime.UTC)
        certificate = tls.issue_authority(key, self.subject, now=now, validity_days=self.validity_days)
        files.write(self.certificate_path, tls.certificate_text(certificate), 0o644)


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueCertificate(FileReplacement):
    """Make a server key and a certificate signed by the authority, in one file that is replaced atomically."""

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
        """Return the equivalent shell commands."""
        passphrase = shell.passphrase(self.passphrase_file)
        authority = shell.command("-CA", self.authority_certificate_path, "-CAkey", self.authority_key_path)
        names = [*(f"DNS:{name}" for name in self.dns_names), *(f"IP:{address}" for address in self.addresses)]
        usage = "digitalSignature" + (", keyEncipherment" if self.key_type.startswith("rsa") else "")
        critical = "" if self.subject else "critical, "
        return shell.lines(
            "folder=$(mktemp -d)",
            shell.key('"$folder/key"', self.key_type),
            f'openssl req -new -key "$folder/key" {shell.subject(self.subject)} -out "$folder/request"',
            f'openssl x509 -req -in "$folder/request" {authority} {passphrase}-set_serial "0x$(openssl rand -hex 16)"'
            f" -days {self.validity_days} -out \"$folder/certificate\" -extfile /dev/stdin <<'EOF'",
            _SERVER.format(usage=usage, names=f"{critical}{', '.join(names)}"),
            f'(umask 077 && cat "$folder/key" "$folder/certificate" >{shell.command(self.path)})',
            f'rm -r "$folder" && chmod 0600 {shell.command(self.path)}',
        )

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the key and the certificate."""
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
            now=datetime.datetime.now(datetime.UTC),
            validity_days=self.validity_days,
        )
        files.write(self.path, tls.key_text(key) + tls.certificate_text(certificate), 0o600)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallCertificate(FileReplacement):
    """Put a supplied key and chain into one file that is replaced atomically.

    `fingerprints` are the chain's at plan time, the server's first: no other chain is installed.
    """

    key_path: Path
    chain_path: Path
    fingerprints: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        chain = f"the chain of {self.chain_path} (SHA-256 {self.fingerprints[0][:16]}…)"
        return f"put the key of {self.key_path} and {chain} into {self.path} (0600){in_place(self.before)}"

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        pair = shell.command("cat", self.key_path, self.chain_path)
        return f"(umask 077 && {pair} >{shell.command(self.path)}) && {shell.command('chmod', '0600', self.path)}"

    def make(self, _timeout_seconds: float, /) -> None:
        """Write the key and the chain; raises ChangedError if they have changed since the plan."""
        key, chain = supplied.load_key(self.key_path), supplied.load_chain(self.chain_path)
        found = tuple(tls.fingerprint(certificate) for certificate in chain)
        if found != self.fingerprints or key.public_key() != chain[0].public_key():
            raise ChangedError(
                f"{self.key_path} and {self.chain_path} as planned", "another key or chain", "plan again"
            )
        files.write(self.path, supplied.pair_text(key, chain), 0o600)
