"""Ways to break a finished registry or its host, from outside the product: how, what is wrong then, what removes it.

More than 250 lines, since it is a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.waiting import UNTIL_SO

from .document import NAT_GONE

# An engine reads its file some time after it was told to.
UNTIL_READ = (
    UNTIL_SO
    + r"""
is_listed() { docker info --format '{{json .RegistryConfig}}' | grep -qF "$1"; }
is_unlisted() { ! is_listed "$1"; }
until_listed() { until_so "the engine to list $1" is_listed "$1"; }
until_unlisted() { until_so "the engine to list $1 no more" is_unlisted "$1"; }
"""
)
# What the commands below share; ADDRESS is the host's. The commands of one sabotage run in `sh -e`.
PRELUDE = (
    UNTIL_READ
    + r"""
R=/etc/docker/registry P=/etc/registry-runbook; PEM=$R/ssl/registry.test.pem; USERS=$R/auth/htpasswd
TRUST=/etc/docker/certs.d/registry.test; DATA=/var/lib/docker/volumes/registry_registry-data/_data
SITE=/etc/nginx/sites-enabled/zz-registry-runbook PYTHON=/root/registry-runbook/.venv/bin/python
LABELS="--label=com.docker.compose.project=registry --label=com.docker.compose.service=registry"
ours() { docker ps --all --quiet --filter label=com.docker.compose.project=registry; }
load() { docker restart --time 1 $(ours); until_so "the registry to answer or to end" settled; }
settled() {
    answers "http://$ADDRESS:443/" && return
    docker inspect --format '{{.State.Status}} {{.RestartCount}}' $(ours) | grep -vqx 'running 0'
}
up() { docker-compose -p registry -f $R/docker-compose.yml up -d --force-recreate; }
image() { docker inspect --format '{{.Config.Image}}' $(ours); }
edit() { "$PYTHON" /root/sabotage/edit.py "$@"; }
settings() { edit $R/config.yml "$1"; }
service() { edit $R/docker-compose.yml "s = c['services']['registry']; $1"; }
authority() { "$PYTHON" /root/sabotage/certify.py authority $P/ca/ca.crt "$@"; }
issue() { "$PYTHON" /root/sabotage/certify.py issue "$@" >$PEM; }
listen() { setsid python3 -m http.server $1 >/dev/null 2>&1 & echo $! >/root/sabotage/listener
    until_so "port $1 to answer" answers "http://127.0.0.1:$1/"; }
hush() { kill $(cat /root/sabotage/listener); }
restart_engine() { systemctl reset-failed docker; systemctl restart docker; }
break_engine() { systemctl reset-failed docker; if systemctl restart docker; then return 1; fi; }
process() { docker inspect --format '{{.State.Pid}}' $(ours); }
card() { ip -o -4 address | grep " $ADDRESS/" | cut -d' ' -f2; }
bridge() { docker network inspect --format '{{slice .Id 0 12}}' registry_default; }
V2=$DATA/docker/registry/v2; IMAGE=$V2/repositories/kept/image
layer() { ls $IMAGE/_layers/sha256 | while read -r one; do
    place=$V2/blobs/sha256/$(echo $one | cut -c1-2)/$one/data
    if head -c 1 $place | grep -q '[{]'; then continue; fi; echo $place; break; done; }
keep_image() {
    export DOCKER_CONFIG=$(mktemp -d); head -c 2048 /dev/urandom >$DOCKER_CONFIG/random
    docker login --username admin --password-stdin registry.test <$P/secrets/password-admin
    tar -c -C $DOCKER_CONFIG random | docker import - registry.test/kept/image:1
    docker push registry.test/kept/image:1; docker rmi registry.test/kept/image:1
    rm -r $DOCKER_CONFIG; unset DOCKER_CONFIG; }
forget_image() { rm -rf $V2/repositories/kept; }
"""
)
EDIT = """
import io, sys
from pathlib import Path
from ruamel.yaml import YAML
path, yaml = Path(sys.argv[1]), YAML()
c = yaml.load(path.read_text())
exec(sys.argv[2])
out = io.StringIO()
yaml.dump(c, out)
path.write_text(out.getvalue())
"""
CERTIFY = """
import datetime, ipaddress, sys
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
kind, first, last = sys.argv[1], int(sys.argv[3]), int(sys.argv[4])
now = datetime.datetime.now(datetime.timezone.utc)
def pem(key):
    forms = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *forms)
def sign(key, subject, issuer, signer, *extensions):
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + datetime.timedelta(first)).not_valid_after(now + datetime.timedelta(last))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
def usage(signs):
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)
identifier = x509.SubjectKeyIdentifier.from_public_key
SERVER = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")])
key = ec.generate_private_key(ec.SECP256R1())
if kind == "authority":
    subject = x509.load_pem_x509_certificate(Path(sys.argv[2]).read_bytes()).subject
    place = Path(sys.argv[5])
    place.mkdir(exist_ok=True)
    (place / "ca.key").write_bytes(pem(key))
    extensions = (x509.BasicConstraints(True, 0), True), (usage(True), True), (identifier(key.public_key()), False)
    (place / "ca.crt").write_bytes(sign(key, subject, subject, key, *extensions))
else:
    place = Path(sys.argv[2])
    signer = serialization.load_pem_private_key((place / "ca.key").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((place / "ca.crt").read_bytes()).subject
    names = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in sys.argv[5:]]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry.test")])
    extensions = [(x509.BasicConstraints(False, None), True), (usage(False), True), (SERVER, False)]
    extensions.append((identifier(key.public_key()), False))
    extensions.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False))
    extensions += [(x509.SubjectAlternativeName(names), False)] if names else []
    print((pem(key) + sign(key, subject, issuer, signer, *extensions)).decode(), end="")
"""
# Back to what was there before the sabotage, whatever it was, where the remedy did not do it.
RESTORE = r"""
umount /tmp $DATA 2>/dev/null; chattr -R -i $DATA/docker 2>/dev/null; kill -CONT $(pidof dockerd); hush 2>/dev/null
iptables -D OUTPUT -p tcp --dport 443 -j DROP; iptables -D DOCKER-USER -s 198.51.100.9 -j DROP
docker rm --force squatter beside; docker update --memory 0 --memory-swap 0 $(ours)
rm -rf /etc/docker $P /etc/systemd/system/docker.service.d; tar -C / -xpf /root/sabotage/before.tar; umount $TRUST
iptables -D FORWARD -p tcp --dport 443 -j DROP; iptables -t raw -D PREROUTING -p tcp --dport 443 -j DROP
iptables -D FORWARD -i eth0 -j DROP; iptables -t nat -D PREROUTING -p tcp --dport 443 -j REDIRECT --to-ports 5000
sysctl -w net.ipv4.ip_forward=0 net.ipv4.ip_forward=1
chmod o-w / /etc /var/lib/docker $(readlink -f $(command -v dockerd)); rm -f /opt/data/registry/old.key $DATA/backup.pem
if test -d /root/sabotage/stored; then rm -rf $DATA/docker; cp -a /root/sabotage/stored $DATA/docker; fi
systemctl daemon-reload; systemctl enable docker.service docker.socket; restart_engine; systemctl restart nginx
chown root:docker /run/docker.sock; chmod 660 /run/docker.sock
docker rm --force $(ours) registry
true
"""
# What is usual on a host, and no sabotage: how it is made, and undone.
USUAL = r"""
chgrp staff /opt; chmod 2775 /opt; chmod 710 /etc/docker; chmod 711 /var/lib/docker
docker create --name beside --volume /:/host:ro --volume /run/docker.sock:/run/docker.sock $(image)
docker network create other; keep_image; iptables -A DOCKER -p tcp --dport 65000 -j ACCEPT
"""
UNDO_USUAL = r"""
chgrp root /opt; chmod 0755 /opt; chmod 755 /etc/docker; chmod 710 /var/lib/docker
docker rm --force beside; docker network rm other; forget_image; iptables -D DOCKER -p tcp --dport 65000 -j ACCEPT
"""
KEEP = "tar -C / -cpf /root/sabotage/before.tar etc/docker etc/registry-runbook etc/hosts etc/default/docker"
BOTH = ("bookworm", "trixie")
NGINX = ("nginx",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sabotage:
    """A way to break a host.

    `how` is made by a shell, and shows in a row of the proof that has `row` in it; `cause` is the first that a
    diagnosis names then. `by_hand` is what its remedy leaves to a person, `notebooks` what it leaves to the product.
    `images` is set where only the whole proof finds it, `accepted` where only the comparison with an accepted state;
    `stored` where an image of somebody's is to lie in the registry before.
    """

    name: str
    how: str
    row: str
    cause: str
    by_hand: str = ""
    notebooks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = BOTH
    images: bool = False
    accepted: bool = False
    stored: bool = False


HOST, COMPOSE, FRONT = ("10-host",), ("50-compose",), ("55-nginx",)
CERTIFICATES = ("30-certificates", "50-compose")
CONFIGURATION, BASIC = ("40-configuration", "50-compose"), ("20-basic-registry",)
VALID = "registry.test $ADDRESS 127.0.0.1"  # the names of the runbook's own


def _configurations() -> Iterator[Sabotage]:
    """Yield what is wrong with config.yml; each is loaded by the registry, where it starts with it."""
    for name, how, row, cause in (
        ("auth-misspelt", "settings \"c['auht'] = c.pop('auth')\"; load", "no login|anonymous", "unknown-key"),
        ("tls-misspelt", "settings \"h = c['http']; h['tlss'] = h.pop('tls')\"; load", "auht|tls", "unknown-key"),
        ("auth-removed", "settings \"del c['auth']\"; load", "no login|anonymous", "no-login"),
        ("tls-removed", "settings \"del c['http']['tls']\"; load", "TLS|SSL|client", "no-tls"),
        ("version-removed", "settings \"del c['version']\"; load", "40-configuration", "version-missing"),
        ("storage-removed", "settings \"del c['storage']\"; load", "40-configuration", "no-storage"),
        ("yaml-broken", "sed -i 's/^  *//' $R/config.yml; load", "40-configuration", "no-yaml"),
        ("configuration-removed", "rm $R/config.yml; load", "40-configuration", "missing"),
        ("host-is-another", "settings \"c['http']['host'] = 'https://other.test'\"; load", "http", "host-is-another"),
        (
            "certificate-path-wrong",
            "settings \"c['http']['tls']['certificate'] = '/etc/ssl/registry.pem'\"; load",
            "40-configuration",
            "path-wrong",
        ),
    ):
        yield Sabotage(name=name, how=how, row=row, cause=f"configuration-{cause}", notebooks=CONFIGURATION)
    for name, how, row, cause in (
        ("delete-closed", "c['storage']['delete']['enabled'] = False", "delete", "delete-is-another"),
        ("secret-removed", "del c['http']['secret']", "40-configuration", "http-secret-is-another"),
        ("secret-changed", "c['http']['secret'] = 'another'", "40-configuration", "http-secret-is-another"),
        ("debug-log", "c['log']['level'] = 'debug'", "40-configuration", "configuration-is-another"),
        ("realm-changed", "c['auth']['htpasswd']['realm'] = 'x'", "realm", "configuration-is-another"),
        (
            "maintenance",
            "c['storage']['maintenance'] = {'readonly': {'enabled': True}}",
            "upload",
            "registry-in-maintenance",
        ),
    ):
        yield Sabotage(name=name, how=f'settings "{how}"; load', row=row, cause=cause, notebooks=CONFIGURATION)
    yield Sabotage(
        name="delete-closed-on-disk",
        how="settings \"c['storage']['delete']['enabled'] = False\"",
        row="40-configuration",
        cause="delete-is-another",
        notebooks=CONFIGURATION,
    )
    yield Sabotage(
        name="configuration-not-loaded",
        how="cp -p $R/config.yml /root/sabotage/kept; settings \"c['storage']['delete']['enabled'] = False\"; load\n"
        "cat /root/sabotage/kept >$R/config.yml",
        row="delete",
        cause="configuration-not-loaded",
        notebooks=COMPOSE,
    )


HASH = "$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde"


def _users() -> Iterator[Sabotage]:
    """Yield what is wrong with the users, who are read again without a restart."""
    last = "sed -i '$d' $USERS"
    for name, how, cause, by_hand in (
        ("line-malformed", "echo eve >>$USERS", "users-malformed", last),
        ("hash-is-md5", "echo 'eve:$apr1$abcdefgh$abcdefghijklmnopqrstu.' >>$USERS", "users-not-bcrypt", last),
        ("user-twice", "cat $USERS >/root/sabotage/kept; cat /root/sabotage/kept >>$USERS", "user-twice", last),
        ("users-emptied", ": >$USERS", "user-unknown", ""),
        ("user-renamed", "sed -i s/^admin:/root:/ $USERS", "user-unknown", ""),
        ("hash-changed", f"echo 'admin:{HASH}' >$USERS", "password-is-another", ""),
        ("password-changed", "echo another-password >$P/secrets/password-admin", "password-is-another", ""),
    ):
        yield Sabotage(
            name=name,
            how=how,
            row="htpasswd|login|user|40-configuration",
            cause=cause,
            by_hand=by_hand,
            notebooks=("40-configuration",),
        )
    yield Sabotage(
        name="users-removed", how="rm $USERS", row="40-configuration", cause="users-missing", notebooks=CONFIGURATION
    )
    yield Sabotage(
        name="user-added",
        how=f"echo 'eve:{HASH}' >>$USERS",
        row="users",
        cause="accepted-is-another",
        by_hand=last,
        accepted=True,
    )


def _certificates() -> Iterator[Sabotage]:
    """Yield what is wrong with certificates and keys, loaded by the registry where it starts with them."""
    own = "issue $P/ca"
    for name, how, cause in (
        (
            "key-swapped",
            (
                "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 >/root/sabotage/key\n"
                "openssl x509 -in $PEM >>/root/sabotage/key; cat /root/sabotage/key >$PEM; load"
            ),
            "key-of-another",
        ),
        (
            "stranger-of-same-subject",
            f"authority -1 3000 /root/sabotage/ca; issue /root/sabotage/ca -1 300 {VALID}; load",
            "certificate-of-another-authority",
        ),
        ("expired", f"{own} -20 -1 {VALID}; load", "certificate-expired"),
        ("expired-an-hour-ago-not-served", f"{own} -20 0 {VALID}", "certificate-expired"),
        ("expires-soon", f"{own} -1 10 {VALID}; load", "certificate-expires-soon"),
        ("name-missing", f"{own} -1 300 other.test $ADDRESS 127.0.0.1; load", "certificate-name-missing"),
        ("address-missing", f"{own} -1 300 registry.test 127.0.0.1; load", "certificate-address-missing"),
        ("names-missing", f"{own} -1 300; load", "certificate-no-names"),
        ("certificate-removed", "rm $PEM; load", "certificate-missing"),
    ):
        yield Sabotage(name=name, how=how, row="certificate", cause=cause, notebooks=CERTIFICATES)
    for name, how, cause in (
        ("not-yet-valid", f"{own} 2 300 {VALID}; load", "certificate-not-yet-valid"),
        (
            "certificate-torn",
            "head -c 400 $PEM >/root/sabotage/torn; cat /root/sabotage/torn >$PEM; load",
            "certificate-unreadable",
        ),
    ):
        yield Sabotage(
            name=name, how=how, row="certificate", cause=cause, by_hand="mv $PEM /root/sabotage", notebooks=CERTIFICATES
        )
    yield Sabotage(
        name="renewed-not-loaded",
        how=f"{own} 0 366 {VALID}",
        row="certificate",
        cause="configuration-not-loaded",
        notebooks=COMPOSE,
    )
    back = "cp -p /root/sabotage/kept/* $P/ca/"
    keep = "rm -rf /root/sabotage/kept; cp -rp $P/ca /root/sabotage/kept"
    for name, how, cause in (
        ("authority-key-removed", "rm $P/ca/ca.key", "authority-key-missing"),
        ("authority-removed", "rm $P/ca/ca.crt", "authority-missing"),
        (
            "authority-of-same-subject",
            "authority -1 3000 /root/sabotage/ca\ncat /root/sabotage/ca/ca.crt >$P/ca/ca.crt",
            "authority-key-of-another",
        ),
        (
            "authority-key-swapped",
            "authority -1 3000 /root/sabotage/ca\ncat /root/sabotage/ca/ca.key >$P/ca/ca.key",
            "authority-key-of-another",
        ),
    ):
        yield Sabotage(
            name=name,
            how=f"{keep}; {how}",
            row="authority|CA|ca.crt|ca.key",
            cause=cause,
            by_hand=back,
            notebooks=("30-certificates",),
        )
    yield Sabotage(
        name="authority-expired",
        how="authority -40 -1 /root/sabotage/ca; cp /root/sabotage/ca/* $P/ca/; chmod 600 $P/ca/ca.key\n"
        f"cp $P/ca/ca.crt $TRUST/; issue $P/ca -39 -1 {VALID}; load",
        row="authority",
        cause="authority-expired",
        by_hand="rm -rf /root/sabotage/expired; mv $P/ca /root/sabotage/expired; mv $PEM /root/sabotage",
        notebooks=CERTIFICATES,
    )


def _modes() -> Iterator[Sabotage]:
    """Yield private files that others may read."""
    for name, how, notebook in (
        ("authority-key-open", "chmod 644 $P/ca/ca.key", "30-certificates"),
        ("authority-folder-open", "chmod 755 $P/ca", "30-certificates"),
        ("server-key-open", "chmod 644 $PEM", "30-certificates"),
        ("users-open", "chmod 644 $USERS", "40-configuration"),
        ("configuration-open", "chmod 644 $R/config.yml", "40-configuration"),
    ):
        yield Sabotage(
            name=name, how=how, row=notebook, cause="modes-open", notebooks=("30-certificates", "40-configuration")
        )
    yield Sabotage(
        name="authority-key-of-somebody",
        how="chown 1234 $P/ca/ca.key",
        row="private files",
        cause="accepted-is-another",
        by_hand="chown 0 $P/ca/ca.key",
        accepted=True,
    )


def _trust() -> Iterator[Sabotage]:
    """Yield what keeps the engine from the registry's certificate, or from verifying it."""
    yield Sabotage(
        name="trust-with-key",
        how="cp $P/ca/ca.key $TRUST/client.key",
        row="nothing but the authority",
        cause="trust-folder-has-key",
        by_hand="rm $TRUST/client.key",
    )
    for name, how, cause in (
        (
            "trust-in-stranger",
            "authority -1 3000 /root/sabotage/ca; cp /root/sabotage/ca/ca.crt $TRUST/",
            "trust-in-another",
        ),
        ("trust-removed", "rm -r $TRUST", "trust-missing"),
        ("trust-of-another-port", "mv $TRUST $TRUST:5443", "trust-folder-misnamed"),
        ("trust-torn", "head -c 200 $P/ca/ca.crt >$TRUST/ca.crt", "trust-in-another"),
    ):
        yield Sabotage(name=name, how=how, row="30-certificates|authority", cause=cause, notebooks=("30-certificates",))
    for name, entry in (("insecure-by-name", "registry.test"), ("insecure-by-network", "198.51.0.0/16")):
        yield Sabotage(
            name=name,
            how=f"""echo '{{"insecure-registries": ["{entry}"]}}' >/etc/docker/daemon.json
            systemctl reload docker; until_listed {entry}""",
            row="need not verify",
            cause="registry-listed-insecure",
            by_hand=f"""echo '{{"insecure-registries": []}}' >/etc/docker/daemon.json
            systemctl reload docker; until_unlisted {entry}""",
        )


def _engines() -> Iterator[Sabotage]:
    """Yield what is wrong with the engine, the kernel and the chains."""
    for name, how, row, cause, by_hand in (
        (
            "daemon-json-no-json",
            "echo '{' >/etc/docker/daemon.json",
            "daemon.json",
            "daemon-json-no-json",
            "rm /etc/docker/daemon.json",
        ),
        (
            "daemon-json-no-json-at-start",
            "echo '{\"debug\": true,}' >/etc/docker/daemon.json; break_engine",
            "daemon.json",
            "daemon-json-no-json",
            "rm /etc/docker/daemon.json",
        ),
        (
            "daemon-json-unknown-key",
            'echo \'{"registry-mirrorz": ["https://m.test"]}\' >/etc/docker/daemon.json; break_engine',
            "engine|daemon.json",
            "daemon-json-unknown-key",
            "rm /etc/docker/daemon.json",
        ),
        (
            "daemon-json-wrong-value",
            'echo \'{"insecure-registries": "x.test"}\' >/etc/docker/daemon.json; break_engine',
            "engine|daemon.json",
            "daemon-json-wrong-value",
            "rm /etc/docker/daemon.json",
        ),
        (
            "flag-and-daemon-json",
            (
                "echo 'DOCKER_OPTS=\"--debug\"' >/etc/default/docker\n"
                "echo '{\"debug\": true}' >/etc/docker/daemon.json; break_engine"
            ),
            "engine|daemon.json",
            "flag-and-daemon-json",
            "rm /etc/docker/daemon.json; : >/etc/default/docker",
        ),
        (
            "unknown-flag",
            "echo 'DOCKER_OPTS=\"--insecure-registries=x.test\"' >/etc/default/docker; break_engine",
            "engine|flag",
            "engine-unknown-flag",
            ": >/etc/default/docker",
        ),
        ("engine-stopped", "systemctl stop docker.socket docker.service", "engine", "engine-stopped", ""),
        ("engine-disabled", "systemctl disable docker.service", "boot|enable", "engine-not-at-boot", ""),
        ("nat-chain-gone", NAT_GONE, "nat chain", "nat-chain-gone", ""),
        ("forwarding-off", "sysctl -w net.ipv4.ip_forward=0", "forward", "forwarding-off", ""),
        (
            "drop-in-removed",
            "rm /etc/sysctl.d/99-registry-runbook.conf",
            "99-registry-runbook",
            "forwarding-not-kept",
            "",
        ),
    ):
        yield Sabotage(name=name, how=how, row=row, cause=cause, by_hand=by_hand, notebooks=HOST)
    yield Sabotage(
        name="image-untagged",
        how="docker rmi --force $(image)",
        row="image",
        cause="image-missing",
        notebooks=("10-host", "20-basic-registry", "50-compose"),
    )
    yield Sabotage(
        name="engine-frozen",
        how="kill -STOP $(pidof dockerd)",
        row="engine",
        cause="engine-hangs",
        by_hand="kill -CONT $(pidof dockerd)",
    )
    yield Sabotage(
        name="engine-proxy",
        how="mkdir -p /etc/systemd/system/docker.service.d\n"
        "printf '[Service]\\nEnvironment=HTTPS_PROXY=http://127.0.0.1:3128\\n' "
        ">/etc/systemd/system/docker.service.d/proxy.conf; systemctl daemon-reload; restart_engine",
        row="docker push|docker login",
        cause="engine-proxy",
        images=True,
        by_hand="rm -r /etc/systemd/system/docker.service.d; systemctl daemon-reload; restart_engine",
    )
    yield Sabotage(
        name="temporary-full",
        how="mount -t tmpfs -o size=16k tmpfs /tmp; dd if=/dev/zero of=/tmp/x bs=1k count=16",
        row="health check|space|/tmp",
        cause="temporary-full",
        images=True,
        by_hand="umount /tmp",
    )
    rule = "DOCKER-USER -s 198.51.100.9 -j DROP"
    yield Sabotage(
        name="outsiders-dropped",
        how=f"iptables -I {rule}",
        row="firewall",
        cause="accepted-is-another",
        by_hand=f"iptables -D {rule}",
        accepted=True,
    )


def _storages() -> Iterator[Sabotage]:
    """Yield a storage that takes nothing."""
    for name, how, cause, by_hand, notebooks in (
        ("storage-full", "mount -t tmpfs -o size=1m tmpfs $DATA; load", "storage-full", "umount $DATA; load", ()),
        (
            "storage-read-only",
            "mount --bind $DATA $DATA; mount -o remount,ro,bind $DATA; load",
            "storage-read-only",
            "umount $DATA; load",
            COMPOSE,
        ),
        (
            "file-in-the-way",
            "mkdir -p $DATA/docker/registry/v2/repositories\necho no >$DATA/docker/registry/v2/repositories/runbook",
            "registry-broken-inside",
            "rm $DATA/docker/registry/v2/repositories/runbook",
            COMPOSE,
        ),
    ):
        yield Sabotage(name=name, how=how, row="upload", cause=cause, by_hand=by_hand, notebooks=notebooks)


def _containers() -> Iterator[Sabotage]:
    """Yield what is wrong with the container and the Compose file."""
    other = "image=$(image); docker tag $(docker commit $(docker create $image help)) registry:latest"
    for name, how, row, cause in (
        ("stopped", "docker stop --time 1 $(ours)", "50-compose", "container-stopped"),
        (
            "killed-for-good",
            "docker update --restart=no $(ours); docker kill $(ours)",
            "50-compose",
            "container-stopped",
        ),
        ("paused", "docker pause $(ours)", "50-compose", "container-paused"),
        ("removed", "docker rm --force $(ours)", "50-compose", "container-missing"),
        ("no-restart-policy", "docker update --restart=no $(ours)", "restart", "restart-policy-missing"),
        (
            "environment",
            "service \"s['environment'] = {'REGISTRY_STORAGE_DELETE_ENABLED': 'false'}\"; up",
            "delete|REGISTRY_",
            "environment-overrides",
        ),
        (
            "opened-by-environment",
            "service \"s['environment'] = {'REGISTRY_AUTH_HTPASSWD_REALM': 'x'}\"; up",
            "realm",
            "environment-overrides",
        ),
        ("another-image", other + "\nservice \"s['image'] = 'registry:latest'\"; up", "image", "image-is-another"),
        ("another-port", "service \"s['ports'] = ['8443:443']\"; up", "50-compose", "port-is-another"),
        (
            "another-volume",
            "service \"s['volumes'][1] = 'other:/var/lib/registry'; c['volumes']['other'] = {}\"; up",
            "50-compose",
            "volume-is-another",
        ),
        (
            "another-command",
            "service \"s['command'] = ['serve', '/etc/docker/registry/./config.yml']\"; up",
            "50-compose",
            "configuration-not-read",
        ),
        ("compose-file-edited", "service \"s['restart'] = 'always'\"", "50-compose", "compose-differs"),
        ("compose-file-removed", "rm $R/docker-compose.yml", "50-compose", "compose-differs"),
        ("compose-file-broken", "sed -i 's/^  *//' $R/docker-compose.yml", "50-compose|Compose", "compose-file-broken"),
        (
            "made-from-another-file",
            (
                "cp $R/docker-compose.yml /root/sabotage; edit /root/sabotage/docker-compose.yml"
                " \"s = c['services']['registry']; s['labels'].popitem(); del s['healthcheck']\"\n"
                "docker-compose -p registry -f /root/sabotage/docker-compose.yml up -d --force-recreate"
            ),
            "50-compose",
            "compose-differs",
        ),
    ):
        yield Sabotage(name=name, how=how, row=row, cause=cause, notebooks=COMPOSE)
    yield Sabotage(
        name="one-more",
        how="docker run --detach --name one-more $LABELS $(image)",
        row="50-compose",
        cause="container-twice",
        by_hand="docker rm --force one-more",
    )
    yield Sabotage(
        name="file-in-container",
        how="docker cp /etc/hostname $(ours):/evil",
        row="files changed",
        cause="accepted-is-another",
        by_hand="docker exec $(ours) rm /evil",
        accepted=True,
    )
    yield Sabotage(
        name="memory-limit",
        how="docker update --memory 64m --memory-swap 64m $(ours)",
        row="limits",
        cause="accepted-is-another",
        by_hand="up",
        accepted=True,
    )


def _owners() -> Iterator[Sabotage]:
    """Yield what others than root can change of all that the registry relies on, and keys that others get."""
    for name, how, by_hand in (
        ("configuration-folder-for-all", "chmod 777 $R", "chmod go-w $R"),
        ("folder-above-for-all", "chmod o+w /etc/docker", "chmod o-w /etc/docker"),
        ("etc-for-all", "chmod o+w /etc", "chmod o-w /etc"),
        ("trust-for-all", "chmod 666 $TRUST/ca.crt", "chmod go-w $TRUST/ca.crt"),
        ("socket-for-all", "chmod 666 /run/docker.sock", "chmod o-rw /run/docker.sock"),
        ("socket-of-another-group", "chgrp nogroup /run/docker.sock", "chgrp docker /run/docker.sock"),
        ("private-folder-of-somebody", "chown 1234 $P", "chown root $P"),
        ("certificate-folder-of-somebody", "chown 1234 $R/ssl", "chown root $R/ssl"),
        ("compose-file-for-all", "chmod 666 $R/docker-compose.yml", "chmod go-w $R/docker-compose.yml"),
        (
            "folder-above-of-a-group",
            "chgrp nogroup /etc/docker; chmod g+w /etc/docker",
            "chmod g-w /etc/docker; chgrp root /etc/docker",
        ),
        (
            "program-for-all",
            "chmod o+w $(readlink -f $(command -v dockerd))",
            "chmod o-w $(readlink -f $(command -v dockerd))",
        ),
        ("names-for-all", "chmod o+w /etc/hosts", "chmod o-w /etc/hosts"),
        ("images-for-all", "chmod o+w /var/lib/docker", "chmod o-w /var/lib/docker"),
        (
            "engine-on-the-network",
            "echo 'DOCKER_OPTS=\"-H tcp://127.0.0.1:2375\"' >/etc/default/docker; restart_engine",
            ": >/etc/default/docker; restart_engine",
        ),
    ):
        yield Sabotage(name=name, how=how, row="others than root could", cause="changed-by-others", by_hand=by_hand)
    for name, place in (
        ("key-beside-the-server-s", "$R/ssl/old.key"),
        ("key-in-the-basic-registry", "/opt/data/registry/old.key"),
        ("key-among-the-images", "$DATA/backup.pem"),
    ):
        yield Sabotage(
            name=name,
            how=f"cp $P/ca/ca.key {place}",
            row="another private key",
            cause="key-exposed",
            by_hand=f"mv {place} /root/sabotage",
        )


def _rights() -> Iterator[Sabotage]:
    """Yield a container with more rights than it needs, and others beside it."""
    for name, service in (
        # `privileged` is in test_rights alone: a test host may lack a capability that it needs.
        ("capability", "s['cap_add'] = ['SYS_ADMIN']"),
        ("network-of-the-host", "del s['ports']; s['network_mode'] = 'host'"),
        ("processes-of-the-host", "s['pid'] = 'host'"),
        ("memory-of-the-host", "s['ipc'] = 'host'"),
        ("device", "s['devices'] = ['/dev/null:/dev/other']"),
        ("mount-of-the-host", "s['volumes'].append('/:/host')"),
        ("mount-of-the-socket", "s['volumes'].append('/run/docker.sock:/run/docker.sock:ro')"),
        ("configuration-writable", "s['volumes'][0] = s['volumes'][0].replace(':ro', '')"),
        ("seccomp-off", "s['security_opt'] = ['seccomp=unconfined']"),
        ("apparmor-off", "s['security_opt'] = ['apparmor=unconfined']"),
        ("debug-port", "s['ports'].append('5001:5001')"),
        ("another-entry-point", "s['entrypoint'] = ['/bin/registry']"),
    ):
        yield Sabotage(
            name=name,
            how=f'service "{service}"; up',
            row="more rights of the container",
            cause="container-rights",
            notebooks=COMPOSE,
        )
    yield Sabotage(
        name="capability-by-another-file",
        how="cp $R/docker-compose.yml /root/sabotage; edit /root/sabotage/docker-compose.yml"
        " \"c['services']['registry']['cap_add'] = ['SYS_ADMIN']\"\n"
        "docker-compose -p registry -f /root/sabotage/docker-compose.yml up -d --force-recreate",
        row="more rights of the container",
        cause="container-rights",
        notebooks=COMPOSE,
    )
    yield Sabotage(
        name="one-network-more",
        how="docker network connect bridge $(ours)",
        row="more rights of the container",
        cause="container-rights",
        notebooks=COMPOSE,
    )
    for name, how, by_hand in (
        ("few-files", "service \"s['ulimits'] = {'nofile': 128}\"; up", ""),
        ("few-files-later", "prlimit --nofile=128:128 --pid $(process)", "docker restart --time 1 $(ours)"),
    ):
        yield Sabotage(
            name=name, how=how, row="too few files", cause="few-open-files", by_hand=by_hand, notebooks=COMPOSE
        )
    for name, options in (
        ("beside-on-the-volume", "--volume registry_registry-data:/other"),
        ("beside-on-the-network", "--network registry_default"),
        ("beside-in-its-network", "--network container:$(ours)"),
        ("beside-with-its-keys", "--volume $R:/other:ro"),
        ("beside-above-its-keys", "--volume /etc:/other"),
    ):
        yield Sabotage(
            name=name,
            how=f"docker create --name beside {options} $(image)",
            row="another container with",
            cause="container-beside",
            by_hand="docker rm --force beside",
        )
    yield Sabotage(
        name="frozen",
        how="kill -STOP $(process)",
        row="did not answer|timed out|hangs",
        cause="container-frozen",
        by_hand="docker kill --signal=CONT $(ours)",
    )


def _losses() -> Iterator[Sabotage]:
    """Yield images that are lost or damaged, of which another copy is in the sabotage's folder."""
    keep, back = (
        "cp -a $DATA/docker /root/sabotage/stored",
        "rm -rf $DATA/docker; cp -a /root/sabotage/stored $DATA/docker",
    )
    for name, how in (
        ("blob-removed", "rm $(layer)"),
        ("blob-changed", "place=$(layer); size=$(stat -c %s $place); head -c $size /dev/zero >$place"),
        ("link-emptied", ": >$IMAGE/_manifests/tags/1/current/link"),
        ("link-removed", "rm -r $IMAGE/_layers/sha256"),
    ):
        yield Sabotage(
            name=name, how=f"{keep}; {how}", row="damage", cause="storage-damaged", by_hand=back, stored=True
        )
    for name, how, by_hand in (
        ("images-emptied", f"{keep}; rm -r $DATA/docker", back),
        ("repository-removed", f"{keep}; rm -r $IMAGE", back),
        ("images-covered", "mount -t tmpfs tmpfs $DATA; load", "umount $DATA; load"),
    ):
        yield Sabotage(
            name=name,
            how=how,
            row="what is stored",
            cause="accepted-is-another",
            by_hand=by_hand,
            accepted=True,
            stored=True,
        )


def _packets() -> Iterator[Sabotage]:
    """Yield what keeps packets from outside away, and lets those of this host through."""
    for name, rule in (
        ("forward-dropped", "FORWARD -p tcp --dport 443 -j DROP"),
        ("prerouting-dropped", "PREROUTING -t raw -p tcp --dport 443 -j DROP"),
        ("prerouting-redirected", "PREROUTING -t nat -p tcp --dport 443 -j REDIRECT --to-ports 5000"),
    ):
        yield Sabotage(
            name=name,
            how=f"iptables -I {rule}",
            row="obstacle to a client from outside",
            cause="outsiders-kept-out",
            by_hand=f"iptables -D {rule}",
        )
    yield Sabotage(
        name="card-passes-nothing-on",
        how="sysctl -w net.ipv4.conf.$(card).forwarding=0",
        row="passes on nothing",
        cause="card-forwarding-off",
        by_hand="sysctl -w net.ipv4.conf.$(card).forwarding=1",
    )
    yield Sabotage(
        name="bridge-passes-nothing-on",
        how="sysctl -w net.ipv4.conf.br-$(bridge).forwarding=0",
        row="obstacle to a client from outside",
        cause="outsiders-kept-out",
        by_hand="sysctl -w net.ipv4.conf.br-$(bridge).forwarding=1",
    )
    yield Sabotage(
        name="card-dropped",
        how="iptables -I FORWARD -i eth0 -j DROP",
        row="firewall's rules for what comes in",
        cause="accepted-is-another",
        by_hand="iptables -D FORWARD -i eth0 -j DROP",
        accepted=True,
    )


def _ways() -> Iterator[Sabotage]:
    """Yield what is wrong with the way to the registry: names, ports, a firewall."""
    for name, how, cause in (
        (
            "name-gone",
            "cp /etc/hosts /root/sabotage/hosts; grep -v registry.test /root/sabotage/hosts >/etc/hosts",
            "name-unknown",
        ),
        ("name-on-loopback", "sed -i 's/^.* registry.test/127.0.0.1 registry.test/' /etc/hosts", "name-on-loopback"),
        ("name-elsewhere", "sed -i 's/^.* registry.test/192.168.1.99 registry.test/' /etc/hosts", "name-elsewhere"),
        ("name-first", "sed -i 's/^\\(.*\\) registry.test/registry.test \\1/' /etc/hosts", "name-after-address"),
    ):
        yield Sabotage(name=name, how=how, row="registry.test|/etc/hosts", cause=cause, notebooks=COMPOSE)
    for name, how, cause, by_hand in (
        ("another-process", "docker stop --time 1 $(ours); listen 443", "port-taken", "hush"),
        (
            "another-container",
            "docker stop --time 1 $(ours)\ndocker run --detach --name=squatter --publish=443:5000 $(image)",
            "port-of-container",
            "docker rm --force --volumes squatter",
        ),
    ):
        yield Sabotage(name=name, how=how, row="port|443", cause=cause, by_hand=by_hand, notebooks=COMPOSE)
    rule = "OUTPUT -p tcp --dport 443 -j DROP"
    yield Sabotage(
        name="dropped",
        how=f"iptables -I {rule}",
        row="timed out|no answer|answer",
        cause="registry-silent",
        by_hand=f"iptables -D {rule}",
        notebooks=COMPOSE,
    )


def _basics() -> Iterator[Sabotage]:
    """Yield what is wrong with the basic registry."""
    for name, how, cause in (
        ("basic-stopped", "docker stop --time 1 registry", "basic-registry-differs"),
        ("basic-removed", "docker rm --force registry", "basic-registry-differs"),
    ):
        yield Sabotage(name=name, how=how, row="20-basic-registry", cause=cause, notebooks=BASIC)
    yield Sabotage(
        name="basic-opened",
        how="image=$(image); docker rm --force registry; docker run --detach --name=registry -p 5000:5000 $image",
        row="20-basic-registry",
        cause="basic-registry-open",
        by_hand="docker rm --force --volumes registry",
        notebooks=BASIC,
    )


def _fronts() -> Iterator[Sabotage]:
    """Yield what is wrong with the nginx in front."""
    for name, how, row, cause in (
        ("site-removed", "rm $SITE; nginx -s reload", "55-nginx", "nginx-site-gone"),
        ("nginx-stopped", "systemctl stop nginx", "nginx", "nginx-stopped"),
        (
            "body-limit",
            "sed -i 's/client_max_body_size 0/client_max_body_size 1m/' $SITE; nginx -s reload",
            "upload|55-nginx",
            "proxy-body-limit",
        ),
        (
            "no-body-limit",
            "sed -i '/client_max_body_size/d' $SITE; nginx -s reload",
            "upload|55-nginx",
            "proxy-body-limit",
        ),
        ("no-headers", "sed -i '/proxy_set_header/d' $SITE; nginx -s reload", "55-nginx", "proxy-headers"),
        ("another-backend", "sed -i 's/:5002/:5003/' $SITE; nginx -s reload", "55-nginx", "proxy-elsewhere"),
    ):
        yield Sabotage(name=name, how=how, row=row, cause=cause, notebooks=FRONT, hosts=NGINX)
    yield Sabotage(
        name="renewed-not-loaded-by-nginx",
        how=f"issue $P/ca 0 366 {VALID}",
        row="certificate",
        cause="served-is-another",
        notebooks=("50-compose", "55-nginx"),
        hosts=NGINX,
    )
    for name, how, row, cause in (
        ("backend-stopped", "docker stop --time 1 $(ours)", "50-compose", "container-stopped"),
        ("backend-open", "service \"s['ports'] = ['0.0.0.0:5002:5000']\"; up", "50-compose", "compose-differs"),
    ):
        yield Sabotage(name=name, how=how, row=row, cause=cause, notebooks=COMPOSE, hosts=NGINX)
    yield Sabotage(
        name="another-site-broken",
        how="echo 'server {' >/etc/nginx/sites-enabled/aa-broken; systemctl stop nginx",
        row="nginx",
        cause="nginx-stopped",
        by_hand="rm /etc/nginx/sites-enabled/aa-broken",
        notebooks=FRONT,
        hosts=NGINX,
    )


SABOTAGES: tuple[Sabotage, ...] = (
    *_configurations(),
    *_users(),
    *_certificates(),
    *_modes(),
    *_trust(),
    *_engines(),
    *_storages(),
    *_containers(),
    *_owners(),
    *_rights(),
    *_losses(),
    *_packets(),
    *_ways(),
    *_basics(),
    *_fronts(),
)
