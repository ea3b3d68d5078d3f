"""The document's commands and files, as it prints them, and what its reader sees on a host of today."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbook.system.docker.images import BUILD_BY_HAND
from tests.waiting import wait_for

from .images import BOOKWORM, has_image, remove_earlier, tag
from .lab import BOOT, Host, ensure_set_up, start_host
from .machine import alone
from .proven import STORE, store

RECIPE = replace(BOOKWORM, own_address="198.51.100.5")  # of TEST-NET-2, as those of proven hosts
SEEN = "/root/seen.json"

FOLDER = "/etc/docker/registry"
DAEMON_JSON = "/etc/docker/daemon.json"
NAMES = "docker.funet8.com docker.domain.com"
DAEMON = """{
"registry-mirror": [
"https://registry.docker-cn.com"
],
"insecure-registries": [
"192.168.199.100:5000"
]
}
"""
FLAGS = '"--registry-mirror=https://registry.docker-cn.com --insecure-registries=192.168.199.100:5000"'
CONFIGURATION = """version: 0.1
log:
  accesslog:
    disabled: true
  level: debug
  formatter: text
  fields:
    service: registry
    environment: staging
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
auth:
  htpasswd:
    realm: basic-realm
    path: /etc/docker/registry/auth/nginx.htpasswd
http:
  addr: :443
  host: https://docker.funet8.com
  headers:
    X-Content-Type-Options: [nosniff]
  http2:
    disabled: false
  tls:
    certificate: /etc/docker/registry/ssl/docker.funet8.com.crt
    key: /etc/docker/registry/ssl/docker.funet8.com.key
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
COMPOSE = """version: '3'
services:
  registry:
    image: registry
    ports:
    - "443:443"
    volumes:
    - ./:/etc/docker/registry
    - registry-data:/var/lib/registry
volumes:
  registry-data:
"""
CERTIFICATES = r"""
mkdir -p site /etc/docker/registry/ssl /etc/docker/registry/auth; cd site
openssl genrsa -out root-ca.key 4096
openssl req -new -key root-ca.key -out root-ca.csr -sha256 \
  -subj '/C=CN/ST=Shanxi/L=Datong/O=Your Company Name/CN=Your Company Name Docker Registry CA'
cat >root-ca.cnf <<'END'
[root_ca]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical, nonRepudiation, cRLSign, keyCertSign
subjectKeyIdentifier=hash
END
openssl x509 -req -days 3650 -in root-ca.csr -signkey root-ca.key -sha256 -out root-ca.crt \
  -extfile root-ca.cnf -extensions root_ca
openssl genrsa -out docker.funet8.com.key 4096
openssl req -new -key docker.funet8.com.key -out site.csr -sha256 \
  -subj '/C=CN/ST=Shanxi/L=Datong/O=Your Company Name/CN=docker.funet8.com'
cat >site.cnf <<'END'
[server]
authorityKeyIdentifier=keyid,issuer
basicConstraints = critical,CA:FALSE
extendedKeyUsage=serverAuth
keyUsage = critical, digitalSignature, keyEncipherment
subjectAltName = DNS:docker.funet8.com, IP:127.0.0.1
subjectKeyIdentifier=hash
END
openssl x509 -req -days 750 -in site.csr -sha256 -CA root-ca.crt -CAkey root-ca.key -CAcreateserial \
  -out docker.funet8.com.crt -extfile site.cnf -extensions server
cp docker.funet8.com.crt docker.funet8.com.key /etc/docker/registry/ssl/
cp root-ca.crt site.csr site.cnf ..; rm root-ca.* site.*
"""
# The registry of 3.x is not in this distribution: its program, with the configuration where 3.x has its own.
TODAY = r"""
docker tag "$1" registry; docker tag "$1" then
docker create --name today registry
mkdir distribution
cat >distribution/config.yml <<'END'
version: 0.1
storage:
  delete: {enabled: true}
  filesystem: {rootdirectory: /var/lib/registry}
http: {addr: ":5000"}
END
docker cp distribution today:/etc/distribution
docker commit --change 'CMD ["/etc/distribution/config.yml"]' today today
docker rm today
"""
PASSWORD_COMMAND = f"""
docker run --rm --entrypoint htpasswd registry -Bbn admin 123456 >{FOLDER}/auth/nginx.htpasswd &
while kill -0 $! 2>/dev/null; do ps -o args= -p $!; done | sort -u
"""
# All but the rules by which a container that is a test host finds its name server.
NAT_GONE = (
    "names=$(iptables-save -t nat | grep -E '^[*]|COMMIT|DOCKER_|127[.]0[.]0[.]11'); "
    "iptables -t nat -F; iptables -t nat -X DOCKER; iptables -F; iptables -X DOCKER; "
    'echo "$names" | iptables-restore --noflush'
)
FIRST_RUN = "docker run -d -p 5000:5000 --restart=always --name registry registry"
HASH = "import bcrypt; print('admin:' + bcrypt.hashpw(b'123456', bcrypt.gensalt(5)).decode())"
LOGIN = "echo 123456 | docker login --username admin --password-stdin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Somebody who does what the document says; `seen` keeps what each of its faults looks like."""

    host: Host
    seen: dict[int, str] = field(default_factory=dict)

    def type(self, script: str, *arguments: str) -> str:
        """Type commands, and return all that they print, ended by the last one's exit code."""
        done = self.host.run("bash", "-c", f"exec 2>&1; {script}\necho exit code $?", "typed", *arguments, check=False)
        return done.stdout

    def type_until(self, words: str, script: str) -> str:
        """Type commands until they print `words`: the engine reads a file again after a while, /etc/hosts after 5 s."""
        return wait_for(repr(words), lambda: said if words in (said := self.type(script)) else "")

    def resolve(self, line: str) -> None:
        """Make `line` the only one of /etc/hosts that has the document's names."""
        kept = [kept for kept in self.host.read("/etc/hosts").splitlines() if "funet8" not in kept]
        self.host.write("/etc/hosts", "\n".join([*kept, line, ""]))

    def up(self) -> str:
        """Type the document's last command, and wait until the container has had its say."""
        said = self.type(f"cd {FOLDER} && docker-compose up -d")
        self.type("curl -sk --retry 5 --retry-delay 1 --retry-all-errors https://127.0.0.1/")
        return said


@contextmanager
def start_followed() -> Iterator[Reader]:
    """Give a host on which somebody has done what the document says, made once, and the reader, who is at its end."""
    with alone("document"):
        with alone():
            set_up = ensure_set_up(RECIPE, "run")
        reference = tag("document", "".join((set_up, BUILD_BY_HAND, BOOT, STORE, Path(__file__).read_text("utf-8"))))
        if not has_image(reference):
            with start_host(RECIPE, image=set_up) as host:
                reader = follow(host)
                host.write(SEEN, json.dumps(reader.seen))
                store(host, reference)
            remove_earlier("document", but=reference, newest=1)
    with start_host(RECIPE, image=reference) as host:
        seen = json.loads(host.read(SEEN))
        reader = Reader(host=host, seen={int(number): text for number, text in seen.items()})
        see_rules(reader)
        host.copy_project()
        yield reader


def follow(host: Host) -> Reader:
    """Do what the document says, step by step."""
    reader = Reader(host=host)
    host.run("bash", "-ec", BUILD_BY_HAND, timeout_seconds=300)
    host.write("/etc/hosts", host.read("/etc/hosts") + "127.0.0.1 registry-1.docker.io\n")  # none in reach, anywhere
    image = host.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()[0]
    host.run("bash", "-ec", TODAY, "typed", image)
    see_basic(reader)
    host.run("bash", "-ec", CERTIFICATES)
    renew = "openssl x509 -req -in site.csr -CA root-ca.crt -CAkey site/root-ca.key -extfile site.cnf -out new.crt"
    reader.seen[9] = reader.type(renew)
    see_files(reader)
    see_today(reader)
    see_clients(reader)
    reader.type("docker tag today registry")
    reader.resolve(f"{NAMES.split(maxsplit=1)[0]} 127.0.0.1\n127.0.0.1 {NAMES}")
    return reader


def see_rules(reader: Reader) -> None:
    """Run the first container where the kernel and its rules are as they must not be; leave the host like that."""
    host = reader.host
    host.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    host.run("sh", "-c", NAT_GONE)
    reader.seen[4] = reader.type(f"{FIRST_RUN}; sysctl -w net.ipv4.ip_forward=1; docker rm registry; {FIRST_RUN}")
    host.run("sysctl", "-w", "net.ipv4.ip_forward=0")


def see_basic(reader: Reader) -> None:
    """Follow the section on the basic registry: the mirror, its key, and images of yesterday."""
    reader.host.write(DAEMON_JSON, DAEMON)
    info = "docker info --format '{{.RegistryConfig.Mirrors}}'"
    reader.seen[2] = reader.type(f"systemctl restart docker && {info}")
    reader.host.write(DAEMON_JSON, DAEMON.replace("registry-mirror", "registry-mirrors"))
    reader.type("systemctl reload docker")  # which returns before the engine has read the file
    reader.seen[3] = reader.type_until("docker-cn", info) + reader.type("docker pull centos")
    reader.seen[19] = reader.type("docker pull ubuntu:17.10")


def see_files(reader: Reader) -> None:
    """Follow the section on configuration, with the files as they are printed: without indentation."""
    flat_compose = "\n".join(line.strip() for line in COMPOSE.splitlines())
    flat_configuration = "\n".join(line.strip() for line in CONFIGURATION.splitlines())
    reader.host.write(f"{FOLDER}/docker-compose.yml", flat_compose)
    reader.host.write(f"{FOLDER}/config.yml", flat_configuration)
    reader.seen[13] = reader.up() + reader.type(f"docker run --rm -v {FOLDER}:{FOLDER} registry")
    reader.seen[12] = reader.type(PASSWORD_COMMAND)
    reader.seen[11] = reader.seen[12] + reader.type(f"cat {FOLDER}/auth/nginx.htpasswd")
    reader.host.write(f"{FOLDER}/docker-compose.yml", COMPOSE)
    reader.host.write(f"{FOLDER}/config.yml", CONFIGURATION)
    reader.host.run("rm", f"{FOLDER}/auth/nginx.htpasswd")


def see_today(reader: Reader) -> None:
    """Bring it up, with the image of today and with that of the document's days."""
    reader.type("docker tag today registry")
    reader.seen[20] = reader.up() + reader.type("curl -sk https://127.0.0.1/v2/")
    mounted = f"docker run -d --name open -p 5002:5000 -v {FOLDER}:{FOLDER} registry"
    ask = "curl -s -w 'status %{http_code}' --retry 5 --retry-all-errors http://127.0.0.1:5002/v2/"
    reader.seen[1] = reader.type(f"{mounted}; {ask}; docker rm -fv open; cd {FOLDER}; docker-compose down")
    reader.type("docker tag then registry")
    reader.up()
    log = reader.type("docker logs registry_registry_1")
    reader.seen.update({14: log, 15: log, 18: log})
    hashed = reader.host.run(".venv/bin/python", "-c", HASH, directory="/root/registry-runbook").stdout
    reader.host.write(f"{FOLDER}/auth/nginx.htpasswd", hashed)


def see_clients(reader: Reader) -> None:
    """Log in, push, and restart the engine."""
    name, other = NAMES.split()
    reader.resolve(f"{name} 127.0.0.1")
    reader.seen[5] = reader.type(f"{LOGIN} {name}")
    reader.resolve(f"127.0.0.1 {NAMES}")
    push = f"docker tag then {name}/username/ubuntu:17.10; docker push {name}/username/ubuntu:17.10"
    reader.seen[6] = reader.type_until("Succeeded", f"{LOGIN} {other}") + reader.type(push)
    reader.seen[7] = reader.type(f"ls /etc/docker/certs.d; {LOGIN} {name}; {push}")
    reader.type(f"docker logout {name}; docker logout {other}; docker image rm {name}/username/ubuntu:17.10")
    reader.resolve(f"{reader.host.address} {NAMES}")
    reader.seen[8] = reader.type_until("x509", f"{LOGIN} {name}")
    trust = f"/etc/docker/certs.d/{reader.host.address}"
    by_address = f"mkdir -p {trust}; cp root-ca.crt {trust}/ca.crt; {LOGIN} {reader.host.address}"
    reader.seen[10] = reader.type(f"{by_address}; rm -r /etc/docker/certs.d")
    moved = f"docker run -d --name moved -p 5443:443 -v {FOLDER}:{FOLDER} registry"
    upload = f"curl -ski --retry 5 --retry-all-errors -u admin:123456 -X POST https://{name}:5443/v2/x/blobs/uploads/"
    reader.seen[16] = reader.type(f"{moved}; {upload}; docker rm -fv moved")
    reader.seen[17] = reader.type("systemctl restart docker; docker ps --format '{{.Names}}'")
