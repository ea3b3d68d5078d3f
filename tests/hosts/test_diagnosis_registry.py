"""Messages of the registry and of proxies: each brought about for real, recognised, and its cause confirmed."""

import random

import pytest

from .faults import Fault, FaultyHosts

CURL = 'KNOWN="--cacert $CA -sS -u admin:$(cat $PASSWORD)";'
ZEROS = f"sha256:{'0' * 64}"
DELETE = f"curl $KNOWN -X DELETE https://registry.test/v2/x/manifests/{ZEROS}"
BEGIN = (
    "UPLOAD=$(curl $KNOWN -iX POST https://registry.test/v2/x/blobs/uploads/ |"
    " tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')"
)
REPLACE = "docker stop --time 1 $(container) >/dev/null; mount -t tmpfs -o {} tmpfs $VOLUME; docker start $(container);"
UP_AGAIN = "until_so 'the registry to answer' settled; login;"
FULL = f"{REPLACE.format('size=200k')} {UP_AGAIN} push_until 'no space left'"
READ_ONLY = f"{REPLACE.format('ro,size=200k')} {UP_AGAIN} push_until 'read-only file system'"
UNMOUNT = (
    "docker stop --time 1 $(container); umount $VOLUME; docker start $(container); docker rmi registry.test/full/a:1"
)
MAINTENANCE = "sed -i 's/^storage:/storage:\\n  maintenance: {readonly: {enabled: true}}/' $CONFIG"
PAGE = """sed s/5060/443/ tests/hosts/answering.py >/root/answering.py
setsid python3 /root/answering.py page >/dev/null 2>&1 &"""
MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST = f"{CURL} curl $KNOWN -X PUT -H 'Content-Type: {MEDIA_TYPE}' -d '%s' https://registry.test/v2/x/manifests/1"
IMAGE_WITHOUT_LAYERS = (
    f'{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json",'
    f'"size":2,"digest":"sha256:{"0" * 64}"}},"layers":[]}}'
)
FAULTS = {
    "no-yaml": Fault(
        messages=("error parsing …/config.yml: … did not find expected key",),
        cause="configuration-no-yaml",
        say="sed -i 's/^auth:/ auth:/' $CONFIG; restart; log 'did not find expected key'",
    ),
    "no-version": Fault(
        messages=('error parsing …/config.yml: unsupported version: ""',),
        cause="configuration-version-missing",
        say="sed -i '/^version/d' $CONFIG; restart; log 'unsupported version'",
    ),
    "no-storage": Fault(
        messages=("error parsing …/config.yml: no storage configuration provided",),
        cause="configuration-no-storage",
        say="sed -i '/^storage/,/rootdirectory/d' $CONFIG; restart; log 'no storage configuration'",
    ),
    "no-configuration": Fault(
        messages=("configuration error: open …: no such file or directory",),
        cause="configuration-missing",
        say="rm $CONFIG; restart; log 'no such file'",
    ),
    "folder-for-configuration": Fault(
        messages=("Are you trying to mount a directory onto a file (or vice-versa)?",),
        cause="mount-is-folder",
        say="docker run --rm --volume /root/nothing.yml:/etc/docker/registry/config.yml $IMAGE help",
        repair="rmdir /root/nothing.yml",
    ),
    "no-realm": Fault(
        messages=('unable to configure authorization (htpasswd): "realm" must be set',),
        cause="configuration-is-another",
        say="sed -i /realm/d $CONFIG; restart; log 'must be set'",
    ),
    "no-such-access": Fault(
        messages=("no access controller (or storage driver) registered with name: …",),
        cause="configuration-is-another",
        say="sed -i 's/htpasswd:/htpaswd:/' $CONFIG; restart; log 'no access controller'",
    ),
    "file-of-another": Fault(
        messages=("open …: permission denied",),
        cause="",
        say="docker run --rm --user 1000 --volume $CONFIG:/etc/docker/registry/config.yml $IMAGE",
        repair=":",
    ),
    "program-of-another-processor": Fault(
        messages=("exec format error",),
        cause="",
        say="echo nothing >/root/no-program; chmod +x /root/no-program\n"
        "docker run --rm --volume /root/no-program:/no-program --entrypoint /no-program $IMAGE",
        repair="rm /root/no-program",
    ),
    "no-layer": Fault(
        messages=("blob unknown to registry",), cause="", say=MANIFEST % IMAGE_WITHOUT_LAYERS, repair=":"
    ),
    "no-manifest": Fault(messages=("manifest invalid",), cause="", say=MANIFEST % "{}", repair=":"),
    "collected-elsewhere": Fault(
        messages=("failed to garbage collect: failed to mark: … Path not found: /docker/registry/v2/repositories",),
        cause="",
        say="docker run --rm --volume $CONFIG:/etc/docker/registry/config.yml $IMAGE garbage-collect"
        " /etc/docker/registry/config.yml",
        repair=":",
    ),
    "no-such-port": Fault(
        messages=("listen tcp: address …: invalid port",),
        cause="configuration-is-another",
        say="sed -i 's/addr: :443/addr: :99999/' $CONFIG; restart; log 'invalid port'",
    ),
    "no-http-secret": Fault(
        messages=("No HTTP secret provided - generated random secret",),
        cause="http-secret-is-another",
        say="sed -i '/ secret:/d' $CONFIG; restart; log 'No HTTP secret'",
    ),
    "delete-off": Fault(
        messages=("405: the operation is unsupported",),
        cause="delete-is-another",
        say=f"sed -i '/delete:/,+1s/true/false/' $CONFIG; restart; {CURL} {DELETE}",
    ),
    "delete-off-as-asked": Fault(
        messages=("405: the operation is unsupported",),
        cause="delete-off",
        say=f"sed -i '/delete:/,+1s/true/false/' $CONFIG; restart; {CURL} {DELETE}",
        parameters={"delete_enabled": False},
    ),
    "maintenance": Fault(
        messages=("405: the operation is unsupported",),
        cause="registry-in-maintenance",
        say=f"{MAINTENANCE}; restart; {CURL} {DELETE}",
    ),
    "no-such-tag": Fault(
        messages=("manifest unknown",),
        cause="reference-absent",
        say="login >/dev/null; docker pull registry.test/no/such:1",
        repair=":",
        lasts=True,
    ),
    "no-such-repository": Fault(
        messages=("name unknown: repository name not known to registry",),
        cause="reference-absent",
        say=f"{CURL} curl $KNOWN https://registry.test/v2/no/tags/list; echo registry.test/no:1",
        repair=":",
        lasts=True,
    ),
    "another-volume": Fault(
        messages=("manifest unknown",),
        cause="volume-is-another",
        say="sed s/registry-data/other-data/ $FILE >/root/c.yml; bring_up /root/c.yml; docker pull registry.test/a/b:1",
        repair="bring_up",
    ),
    "wrong-digest": Fault(
        messages=("digest invalid: provided digest did not match uploaded content",),
        cause="",
        say=f'{CURL} {BEGIN}; curl $KNOWN -X PUT --data-binary hello "$UPLOAD&digest={ZEROS}"',
        repair=":",
    ),
    "upload-of-another-secret": Fault(
        messages=("blob upload invalid (or unknown)",),
        cause="http-secret-is-another",
        say=f"""{CURL} {BEGIN}; sed -i 's/ secret: .*/ secret: another/' $CONFIG; restart
curl $KNOWN -X PATCH --data hello "$UPLOAD" """,
    ),
    "full": Fault(messages=("no space left on device",), cause="storage-full", say=FULL, repair=UNMOUNT),
    "read-only": Fault(messages=("read-only file system",), cause="storage-read-only", say=READ_ONLY, repair=UNMOUNT),
    "read-only-to-a-client": Fault(
        messages=("received unexpected HTTP status: 500 Internal Server Error",),
        cause="storage-read-only",
        say=f"{REPLACE.format('ro,size=200k')} with broken; docker pull 127.0.0.1:5060/a:1; kill $SERVER",
        repair=UNMOUNT,
    ),
    "unavailable": Fault(
        messages=("received unexpected HTTP status: 503 Service Unavailable",),
        cause="container-stopped",
        say="docker stop --time 1 $(container); with unavailable; docker pull 127.0.0.1:5060/a:1; kill $SERVER",
        repair="docker start $(container)",
    ),
    "page-for-a-registry": Fault(
        messages=("invalid character '<' looking for beginning of value",),
        cause="answered-by-another",
        say=f"docker rm --force $(container); with page; docker pull 127.0.0.1:5060/a:1; kill $SERVER; {PAGE} up http://$ADDRESS:443/",
        repair="pkill -f '[a]nswering.py page'; bring_up",
    ),
    "rate": Fault(
        messages=("toomanyrequests: You have reached your pull rate limit",),
        cause="",
        say="with rate; docker pull 127.0.0.1:5060/a:1; kill $SERVER",
        repair=":",
    ),
    "gateway": Fault(
        messages=("502 Bad Gateway",),
        cause="container-stopped",
        say="docker stop --time 1 $(container) >/dev/null; with gateway; docker pull 127.0.0.1:5060/a:1; kill $SERVER",
        repair="docker start $(container)",
    ),
    "end": Fault(
        messages=('Get "https://…/v2/": EOF',),
        cause="container-stopped",
        say="docker stop --time 1 $(container) >/dev/null; with end; docker pull 127.0.0.1:5060/a:1; kill $SERVER",
        repair="docker start $(container)",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_recognised_and_confirmed(faulty_hosts: FaultyHosts, name: str, seeded: random.Random) -> None:
    """Fails where the client's words are not known, their cause not confirmed, or still confirmed once it is gone."""
    faulty_hosts.reproduce(FAULTS[name], seeded)
