"""Certificates as people have them, odd ones among them, each with what the clients of a registry say of it.

What the verdicts are was asked of engines, curl and the registry: `tests/hosts/test_certificate_matrix.py` asks again.
"""

import dataclasses
import datetime
import functools
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME, ADDRESS = "registry.test", "192.0.2.7"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
Extension = tuple[x509.ExtensionType, bool]  # and whether it is critical

# AlgorithmIdentifier of a signature that nothing of today makes any more (RFC 3279 section 2.2.1), and its digest.
SHA1 = bytes.fromhex("300d06092a864886f70d0101050500"), hashes.SHA1()  # noqa: S303 (that is what is refused)
MD5 = bytes.fromhex("300d06092a864886f70d0101040500"), hashes.MD5()  # noqa: S303 (likewise)


@functools.cache
def key(kind: str, _subject: str) -> Key:
    """Return a key of a kind, one for each subject."""
    match kind.partition("-"):
        case ("rsa", _, bits):
            return rsa.generate_private_key(public_exponent=65537, key_size=int(bits))
        case ("ed25519", _, _):
            return ed25519.Ed25519PrivateKey.generate()
        case ("ed448", _, _):
            return ed448.Ed448PrivateKey.generate()
    curves = {"p224": ec.SECP224R1(), "p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def usage(*names: str) -> x509.KeyUsage:
    """Return a keyUsage with these bits."""
    every = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    return x509.KeyUsage(
        **{name: name in names for name in (*every.split(), "crl_sign", "encipher_only", "decipher_only")}
    )


def names(*found: str) -> x509.SubjectAlternativeName:
    """Return a subjectAltName of names and addresses."""
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(item)) if item[-1].isdigit() else x509.DNSName(item) for item in found]
    )


def ca(*, path_length: int | None = None) -> x509.BasicConstraints:
    """Return the basicConstraints of an authority."""
    return x509.BasicConstraints(ca=True, path_length=path_length)


SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
UNREADABLE = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("30048202ff41"))
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


@dataclass(frozen=True, kw_only=True)
class Made:
    """One certificate to make: what the defaults are is what every client takes."""

    subject: str
    kind: str = "p256"
    extensions: Sequence[Extension] = ()
    since: int = -1
    until: int = 90
    serial: bytes = b""
    signature: tuple[bytes, hashes.HashAlgorithm] | None = None
    version_1: bool = False
    identifiers: bool = True
    other_identifier: bool = False

    @property
    def key(self) -> Key:
        """The key that it is for."""
        return key(self.kind, self.subject)

    @property
    def name(self) -> x509.Name:
        """Its subject."""
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.subject)] if self.subject else [])

    def issue(self, issuer: "Made") -> bytes:
        """Return the certificate in DER, signed by the issuer's key."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + self.since * DAY)
            .not_valid_after(NOW + self.until * DAY)
        )
        extensions = list(self.extensions)
        if self.identifiers:
            extensions.append((x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False))
            signer = key("p256", "nobody") if self.other_identifier else issuer.key
            extensions.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        digest = None if isinstance(issuer.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
        made = builder.sign(issuer.key, digest)
        return self._rewritten(made, issuer.key)

    def _rewritten(self, made: x509.Certificate, signer: Key) -> bytes:
        """Return the certificate with what no builder makes, signed again."""
        if not (self.serial or self.signature or self.version_1):
            return made.public_bytes(serialization.Encoding.DER)
        parts = _parts(made.tbs_certificate_bytes)
        _, algorithm, _ = _parts(made.public_bytes(serialization.Encoding.DER))
        if self.serial:
            parts[1] = _tlv(0x02, self.serial)
        if self.signature:
            algorithm = parts[2] = self.signature[0]
        if self.version_1:
            parts = parts[1:7]
        text = _tlv(0x30, *parts)
        digest = self.signature[1] if self.signature else hashes.SHA256()
        if isinstance(signer, rsa.RSAPrivateKey):
            signed = signer.sign(text, padding.PKCS1v15(), digest)
        else:
            assert isinstance(signer, ec.EllipticCurvePrivateKey)
            signed = signer.sign(text, ec.ECDSA(digest))
        return _tlv(0x30, text, algorithm, _tlv(0x03, b"\x00", signed))


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Return a value in DER (X.690 section 8.1)."""
    content = b"".join(parts)
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    return bytes([tag]) + (length if size < 0x80 else bytes([0x80 | len(length)]) + length) + content


def _parts(der: bytes) -> list[bytes]:
    """Return what a sequence in DER holds."""

    def take(data: bytes) -> tuple[int, int]:
        if data[1] < 0x80:
            return 2, 2 + data[1]
        more = data[1] & 0x7F
        return 2 + more, 2 + more + int.from_bytes(data[2 : 2 + more])

    begin, end = take(der)
    rest, found = der[begin:end], []
    while rest:
        _, size = take(rest)
        found.append(rest[:size])
        rest = rest[size:]
    return found


ROOT = Made(subject="Example CA", until=3650, extensions=((ca(), True), (usage("key_cert_sign", "crl_sign"), True)))
MIDDLE = dataclasses.replace(ROOT, subject="Example Issuing CA", until=1825)
LEAF = Made(
    subject=NAME,
    extensions=(
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage("digital_signature"), True),
        (SERVER, False),
        (names(NAME), False),
    ),
)


def but(made: Made, *extensions: Extension, without: Sequence[type] = (), **values: Any) -> Made:  # noqa: ANN401 (fields)
    """Return one that differs: these extensions replace those of their type, others in `without` go."""
    kinds = {type(item) for item, _ in extensions} | set(without)
    kept = tuple(item for item in made.extensions if type(item[0]) not in kinds)
    return dataclasses.replace(made, extensions=(*kept, *extensions), **values)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A chain as it is served, the server's first, and what clients trust, by default the root.

    `says` is what the refusal must say; one that is accepted has none, and `stricter` is what its note must say.
    `varies` is set where engines and registries made with some versions of Go refuse it, and others do not.
    """

    title: str
    chain: Sequence[Made] = (LEAF,)
    above: Sequence[Made] = (ROOT,)
    served: Sequence[int] = ()
    trusted: int = -1
    says: str = ""
    stricter: str = ""
    wanted: Sequence[str] = (NAME,)
    varies: bool = False

    @property
    def accepted(self) -> bool:
        """Whether engine, curl and the registry take it."""
        return not self.says

    def files(self) -> tuple[str, str, str]:
        """Return the key, the chain that is served, and the authority, each in PEM."""
        line = (*self.chain, *self.above)
        made = [one.issue(line[min(place + 1, len(line) - 1)]) for place, one in enumerate(line)]
        pem = [ssl.DER_cert_to_PEM_cert(one) for one in made]
        private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        served = self.served or range(len(self.chain))
        text = line[0].key.private_bytes(*private).decode()
        return text, "".join(pem[place] for place in served), pem[self.trusted]


RSA_ROOT = but(ROOT, kind="rsa-2048")
ROWS = (
    Row(title="plain"),
    Row(title="authority without keyUsage", above=(but(ROOT, without=(x509.KeyUsage,)),), stricter="key usage"),
    Row(
        title="authority without basicConstraints",
        above=(but(ROOT, without=(x509.BasicConstraints,)),),
        says="found no basicConstraints",
    ),
    Row(
        title="authority without any extension",
        above=(but(ROOT, without=(x509.BasicConstraints, x509.KeyUsage), identifiers=False),),
        says="basicConstraints",
    ),
    Row(
        title="authority of version 1",
        above=(but(ROOT, without=(x509.BasicConstraints, x509.KeyUsage), identifiers=False, version_1=True),),
        stricter="invalid CA certificate",
    ),
    Row(
        title="authority with CA:FALSE",
        above=(but(ROOT, (x509.BasicConstraints(ca=False, path_length=None), True)),),
        says="basicConstraints CA:FALSE",
    ),
    Row(title="authority with CA:TRUE not critical", above=(but(ROOT, (ca(), False)),), stricter="not marked critical"),
    Row(
        title="authority whose keyUsage has no keyCertSign",
        above=(but(ROOT, (usage("digital_signature"), True)),),
        says="keyUsage=critical,keyCertSign",
    ),
    Row(
        title="no identifiers",
        chain=(but(LEAF, identifiers=False),),
        above=(but(ROOT, identifiers=False),),
        stricter="Authority Key Identifier",
    ),
    Row(
        title="server without authorityKeyIdentifier",
        chain=(but(LEAF, identifiers=False),),
        stricter="Authority Key Identifier",
    ),
    Row(
        title="authorityKeyIdentifier of another key",
        chain=(but(LEAF, other_identifier=True),),
        says="authorityKeyIdentifier",
    ),
    Row(
        title="authority whose own authorityKeyIdentifier is of another key", above=(but(ROOT, other_identifier=True),)
    ),
    Row(
        title="authorityKeyIdentifier with another serial",
        chain=(
            but(
                LEAF, (x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(ROOT.name)], 77), False), identifiers=False
            ),
        ),
        says="authorityKeyIdentifier",
    ),
    Row(
        title="server signed with SHA-224",
        chain=(but(LEAF, signature=(bytes.fromhex("300d06092a864886f70d01010e0500"), hashes.SHA224())),),
        above=(RSA_ROOT,),
        says="SHA-224",
    ),
    Row(
        title="common name only",
        chain=(but(LEAF, without=(x509.SubjectAlternativeName,)),),
        says="a certificate without any",
    ),
    Row(
        title="server of version 1",
        chain=(but(LEAF, without=[type(e) for e, _ in LEAF.extensions], identifiers=False, version_1=True),),
        says="a certificate without any",
    ),
    Row(
        title="server without extensions but the names",
        chain=(but(LEAF, without=[type(e) for e, _ in LEAF.extensions[:3]], identifiers=False),),
        stricter="Authority Key Identifier",
    ),
    Row(
        title="server signed with SHA-1", chain=(but(LEAF, signature=SHA1),), above=(RSA_ROOT,), says="the digest SHA-1"
    ),
    Row(title="server signed with MD5", chain=(but(LEAF, signature=MD5),), above=(RSA_ROOT,), says="the digest MD5"),
    Row(title="authority signed by itself with SHA-1", above=(but(RSA_ROOT, signature=SHA1),)),
    Row(title="authority signed by itself with MD5", above=(but(RSA_ROOT, signature=MD5),)),
    Row(
        title="intermediate signed with SHA-1",
        chain=(LEAF, but(MIDDLE, signature=SHA1)),
        above=(RSA_ROOT,),
        says="CN=Example Issuing CA .*the digest SHA-1",
    ),
    Row(
        title="no stronger digest than SHA-512",
        chain=(but(LEAF, signature=(bytes.fromhex("300d06092a864886f70d01010d0500"), hashes.SHA512())),),
        above=(RSA_ROOT,),
    ),
    Row(title="RSA 1024", chain=(but(LEAF, kind="rsa-1024"),), says="rsa-1024"),
    Row(title="authority RSA 1024", above=(but(ROOT, kind="rsa-1024"),), says="CN=Example CA .*rsa-1024"),
    Row(title="RSA 2048", chain=(but(LEAF, (usage("digital_signature", "key_encipherment"), True), kind="rsa-2048"),)),
    Row(title="P-384", chain=(but(LEAF, kind="p384"),)),
    Row(title="P-521", chain=(but(LEAF, kind="p521"),)),
    Row(title="P-224", chain=(but(LEAF, kind="p224"),), says="ecdsa-p224"),
    Row(title="authority P-224", above=(but(ROOT, kind="p224"),)),
    Row(title="authority P-521", above=(but(ROOT, kind="p521"),)),
    Row(title="Ed25519", chain=(but(LEAF, kind="ed25519"),)),
    Row(title="authority Ed25519", above=(but(ROOT, kind="ed25519"),)),
    Row(title="Ed448", chain=(but(LEAF, kind="ed448"),), says="Ed448PrivateKey"),
    Row(
        title="expired", chain=(but(LEAF, since=-90, until=-1),), says="CN=registry.test to be valid now.*it expired on"
    ),
    Row(
        title="authority expired",
        above=(but(ROOT, since=-90, until=-1),),
        says="CN=Example CA to be valid now.*it expired on",
    ),
    Row(title="not yet valid", chain=(but(LEAF, since=1),), says="valid from"),
    Row(title="authority not yet valid", above=(but(ROOT, since=1),), says="valid from"),
    Row(title="outlives its authority", chain=(but(LEAF, until=9000),), stricter="9001 days"),
    Row(title="3650 days", chain=(but(LEAF, until=3649),), stricter="3650 days"),
    Row(title="for clients only", chain=(but(LEAF, (CLIENT, False)),), says="extendedKeyUsage"),
    Row(
        title="any usage",
        chain=(but(LEAF, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)),),
        says="extendedKeyUsage",
    ),
    Row(title="no extendedKeyUsage", chain=(but(LEAF, without=(x509.ExtendedKeyUsage,)),)),
    Row(title="authority for clients only", above=(but(ROOT, (CLIENT, False)),), says="extendedKeyUsage"),
    Row(title="authority with serverAuth", above=(but(ROOT, (SERVER, False)),)),
    Row(title="EC keyEncipherment only", chain=(but(LEAF, (usage("key_encipherment"), True)),)),
    Row(title="RSA keyEncipherment only", chain=(but(LEAF, (usage("key_encipherment"), True), kind="rsa-2048"),)),
    Row(title="EC keyAgreement only", chain=(but(LEAF, (usage("key_agreement"), True)),)),
    Row(
        title="RSA contentCommitment only",
        chain=(but(LEAF, (usage("content_commitment"), True), kind="rsa-2048"),),
        says="keyUsage digitalSignature",
    ),
    Row(title="no keyUsage", chain=(but(LEAF, without=(x509.KeyUsage,)),)),
    Row(
        title="self-signed with CA:TRUE",
        chain=(),
        above=(but(LEAF, (ca(), True), without=(x509.KeyUsage, x509.ExtendedKeyUsage)),),
        served=(0,),
    ),
    Row(
        title="self-signed, no extension but the names",
        chain=(),
        above=(but(LEAF, without=[type(e) for e, _ in LEAF.extensions[:3]], identifiers=False),),
        served=(0,),
    ),
    Row(title="self-signed CA:FALSE", chain=(), above=(LEAF,), served=(0,)),
    Row(
        title="self-signed with keyUsage of CA only",
        chain=(),
        above=(but(LEAF, (ca(), True), (usage("key_cert_sign"), True)),),
        served=(0,),
        says="keyUsage digitalSignature",
    ),
    Row(
        title="self-signed with SHA-1",
        chain=(),
        above=(but(LEAF, (usage("digital_signature", "key_encipherment"), True), kind="rsa-2048", signature=SHA1),),
        served=(0,),
    ),
    Row(title="self-signed expired", chain=(), above=(but(LEAF, since=-9, until=-1),), served=(0,), says="expired"),
    Row(title="a server's certificate that may sign", chain=(but(LEAF, (ca(), True)),)),
    Row(title="intermediate", chain=(LEAF, MIDDLE)),
    Row(
        title="pathlen 0 above an intermediate",
        chain=(LEAF, MIDDLE),
        above=(but(ROOT, (ca(path_length=0), True)),),
        says="pathLen",
    ),
    Row(title="pathlen 0 above the server", above=(but(ROOT, (ca(path_length=0), True)),)),
    Row(
        title="intermediate without basicConstraints",
        chain=(LEAF, but(MIDDLE, without=(x509.BasicConstraints,))),
        says="basicConstraints",
    ),
    Row(title="intermediate trusted, root unknown", chain=(LEAF, MIDDLE), served=(0,), trusted=1),
    Row(title="server trusted itself, root unknown", chain=(LEAF,), trusted=0),
    Row(
        title="intermediate missing",
        chain=(LEAF, MIDDLE),
        served=(0,),
        says="CN=Example Issuing CA, whose certificate is not there",
    ),
    Row(title="root included", chain=(LEAF, MIDDLE), served=(0, 1, 2)),
    Row(title="root before the intermediate", chain=(LEAF, MIDDLE), served=(0, 2, 1)),
    Row(title="intermediate twice", chain=(LEAF, MIDDLE), served=(0, 1, 1)),
    Row(
        title="intermediate first",
        chain=(LEAF, MIDDLE),
        served=(1, 0),
        says="bring them into this order: 1. CN=registry.test",
    ),
    Row(
        title="two intermediates in the wrong order",
        chain=(LEAF, MIDDLE, but(MIDDLE, subject="Example Policy CA")),
        served=(0, 2, 1),
    ),
    Row(title="server twice", chain=(LEAF, MIDDLE), served=(0, 0, 1)),
    Row(title="name permitted", above=(but(ROOT, (x509.NameConstraints([x509.DNSName("test")], None), True)),)),
    Row(
        title="name not permitted",
        above=(but(ROOT, (x509.NameConstraints([x509.DNSName("example.org")], None), True)),),
        says="nameConstraints",
    ),
    Row(
        title="name excluded",
        above=(but(ROOT, (x509.NameConstraints(None, [x509.DNSName("test")]), False)),),
        says="nameConstraints",
    ),
    Row(
        title="name constraint with leading dot",
        above=(but(ROOT, (x509.NameConstraints([x509.DNSName(".test")], None), True)),),
    ),
    Row(
        title="addresses not permitted",
        chain=(but(LEAF, (names(NAME, ADDRESS), False)),),
        above=(but(ROOT, (x509.NameConstraints([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None), True)),),
        says="nameConstraints",
    ),
    Row(
        title="constraint on common name",
        chain=(but(LEAF, subject="www.example.com"),),
        above=(but(ROOT, (x509.NameConstraints([x509.DNSName("test")], None), True)),),
    ),
    Row(title="wildcard over one label", chain=(but(LEAF, (names("*.test"), False)),), says="registry.test among"),
    Row(title="wildcard", chain=(but(LEAF, (names("*.registry.test"), False)),), wanted=("a.registry.test",)),
    Row(
        title="wildcard in part",
        chain=(but(LEAF, (names("reg*.sub.test"), False)),),
        wanted=("registry.sub.test",),
        says="registry.sub.test among",
    ),
    Row(title="IP address", chain=(but(LEAF, (names(NAME, ADDRESS), False)),)),
    Row(
        title="address as a name",
        chain=(but(LEAF, (x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("192.168.1.1")]), False)),),
    ),
    Row(title="upper case", chain=(but(LEAF, (names("REGISTRY.Test"), False)),)),
    Row(title="underscore besides", chain=(but(LEAF, (names("my_registry.test", NAME), False)),)),
    Row(title="many names", chain=(but(LEAF, (names(NAME, *(f"n{i}.test" for i in range(200))), False)),)),
    Row(title="serial 0", chain=(but(LEAF, serial=b"\x00"),)),
    Row(title="serial negative", chain=(but(LEAF, serial=b"\xf1\x02"),), says="a negative one", varies=True),
    Row(title="serial 21 bytes", chain=(but(LEAF, serial=b"\x7f" * 21),)),
    Row(title="authority serial 0", above=(but(ROOT, serial=b"\x00"),)),
    Row(title="authority serial negative", above=(but(ROOT, serial=b"\xf1\x02"),), says="a negative one", varies=True),
    Row(title="unknown critical extension", chain=(but(LEAF, (UNKNOWN, True)),), says="1.2.3.4.5"),
    Row(title="authority with an unknown critical extension", above=(but(ROOT, (UNKNOWN, True)),), says="1.2.3.4.5"),
    Row(
        title="names that cannot be read",
        chain=(but(LEAF, (UNREADABLE, False), without=(x509.SubjectAlternativeName,)),),
        says="extensions that can be read",
    ),
    Row(title="unknown extension", chain=(but(LEAF, (UNKNOWN, False)),)),
    Row(
        title="critical policy constraints",
        above=(but(ROOT, (x509.PolicyConstraints(0, None), True)),),
        says="2.5.29.36",
        varies=True,
    ),
    Row(
        title="critical inhibitAnyPolicy",
        above=(but(ROOT, (x509.InhibitAnyPolicy(0), True)),),
        says="2.5.29.54",
        varies=True,
    ),
    Row(
        title="critical CRL distribution points",
        chain=(
            but(
                LEAF,
                (
                    x509.CRLDistributionPoints(
                        [
                            x509.DistributionPoint(
                                [x509.UniformResourceIdentifier("http://x.test/a.crl")], None, None, None
                            )
                        ]
                    ),
                    True,
                ),
            ),
        ),
    ),
    Row(title="must staple", chain=(but(LEAF, (x509.TLSFeature([x509.TLSFeatureType.status_request]), False)),)),
    Row(title="no subject, names not critical", chain=(but(LEAF, subject=""),), stricter="Subject empty"),
    Row(title="no subject, names critical", chain=(but(LEAF, (names(NAME), True), subject=""),)),
    Row(title="subject, names critical", chain=(but(LEAF, (names(NAME), True)),)),
    Row(title="extendedKeyUsage critical", chain=(but(LEAF, (SERVER, True)),)),
    Row(title="authority with names", above=(but(ROOT, (names("ca.test"), False)),)),
)
