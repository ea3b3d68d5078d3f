"""Canaries: secrets to search for on a host, in eight encodings, in every place where one could have come to lie."""

import base64
import html
import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import UNTIL_SO

from .lab import Host

# Searched whole: the operator's folders with notebooks, autosave, XDG folders and the record; logs, nginx's too;
# temporary files; configuration; what the engine keeps of containers.
FOLDERS = (
    *("/root", "/home", "/etc", "/opt", "/srv", "/tmp", "/run", "/var/log", "/var/tmp", "/var/spool"),  # noqa: S108
    *("/var/lib/docker/containers", "/var/lib/docker/volumes", "/var/lib/systemd"),
)
SAMPLES = "/var/cache/samples"  # apart from all that is searched
# Reads what it searches for from its input, so that it stands in no argument; prints the places in JSON.
_SEARCH = r"""
import json, os, subprocess, sys
asked = json.load(sys.stdin)
forms = [(tuple(name), bytes.fromhex(form)) for name, found in asked["forms"] for form in found]
hits = set()
def look(place, data):
    hits.update((place, name) for name, form in forms if form in data)
def say(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout
for top in asked["folders"]:
    for folder, _, files in os.walk(top):
        if any(part in folder for part in ("/.venv", "/docker/registry/v2/blobs", "/run/docker/netns")):
            continue  # installed packages, layers of images, and what is no file
        for name in files:
            path = os.path.join(folder, name)
            look(path, path.encode(errors="surrogateescape"))
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    look(path, file.read())
look("journal", say("journalctl", "--no-pager", "--all", "--output=cat"))
look("journal", say("journalctl", "--no-pager", "--output=export"))
def strings(data):
    if isinstance(data, dict):
        data = [part for pair in data.items() for part in pair]
    return "\n".join(map(strings, data)) if isinstance(data, list) else str(data)
for name in say("docker", "ps", "--all", "--quiet").decode().split():
    look("docker inspect", strings(json.loads(say("docker", "inspect", name))).encode())
    look("docker logs", say("docker", "logs", name))
for name in set(say("docker", "images", "--quiet").decode().split()):
    look("docker image inspect", strings(json.loads(say("docker", "image", "inspect", name))).encode())
with open(asked["samples"], "rb") as file:
    for line in file:
        kind, program, data = json.loads(line)
        look(f"{kind} of {program}", bytes.fromhex(data))
print(json.dumps(sorted(hits)))
"""
# Reads arguments and environment of every process, over and over, and keeps each that it has not seen yet.
_SAMPLE = r"""
import json, os, sys, time
seen = set()
with open(sys.argv[1], "w") as kept:
    os.chmod(sys.argv[1], 0o600)
    while os.path.exists(sys.argv[1] + ".go"):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                found = {kind: open(f"/proc/{pid}/{kind}", "rb").read() for kind in ("cmdline", "environ")}
                if not found["cmdline"]:  # about to become another program, or the kernel's own
                    continue
                words = found["cmdline"].decode(errors="replace").split("\0")[:3]
                code = "from multiprocessing."  # what kernels are forked from, and what watches over it
                words = [word.split()[1] if word.startswith(code) else os.path.basename(word) for word in words]
                program = next((word for word in words if not word.startswith(("python", "-"))), "python")
            except OSError:
                continue
            for kind, data in found.items():
                if data and (kind, program, data) not in seen:
                    seen.add((kind, program, data))
                    print(json.dumps([kind, program, data.hex()]), file=kept, flush=True)
        time.sleep(0.005)
"""


def encodings(secret: str) -> dict[str, list[bytes]]:
    """Return what to search for, under the names of the eight encodings; base64 in each of its three offsets."""
    data = secret.encode()
    return {
        "literal": [data],
        "base64": [_base64(data, offset, b"+/") for offset in range(3)],
        "URL-safe base64": [_base64(data, offset, b"-_") for offset in range(3)],
        "URL": [urllib.parse.quote(secret, safe="").encode()],
        "JSON": [json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode()],
        "HTML": [html.escape(secret).encode()],
        "hexadecimal": [data.hex().encode()],
        "Python": [repr(data)[2:-1].encode()],
    }


def _base64(data: bytes, offset: int, others: bytes) -> bytes:
    """Return what base64 makes of the data behind `offset` bytes, without the signs that its neighbours decide."""
    encoded = base64.b64encode(b"\0" * offset + data, others).rstrip(b"=")
    return encoded[(0, 2, 3)[offset] : -1]


def planted(secret: str) -> str:
    """Return a text that holds a secret in all its encodings, each as it would stand there whole."""
    return " ".join(form.decode() for forms in encodings(secret).values() for form in forms)


def search(host: Host, *secrets: str) -> set[tuple[str, str, str]]:
    """Return secret, place and encoding wherever a host holds one: a file's path, or what else was looked at."""
    forms = [
        ((secret, name), [form.hex() for form in found])
        for secret in secrets
        for name, found in encodings(secret).items()
    ]
    asked = json.dumps({"forms": forms, "folders": FOLDERS, "samples": SAMPLES})
    done = host.run("python3", "-c", _SEARCH, input_text=asked, timeout_seconds=300)
    return {(secret, place, name) for place, (secret, name) in json.loads(done.stdout)}


def within(text: str, *secrets: str) -> list[tuple[str, str]]:
    """Return secret and encoding of what a text holds."""
    return [
        (secret, name)
        for secret in secrets
        for name, found in encodings(secret).items()
        if any(form.decode() in text for form in found)
    ]


def places_of_hashes(host: Host) -> list[str]:
    """Return the files of a host that hold a bcrypt hash."""
    folders = [folder for folder in FOLDERS if folder not in ("/opt", "/run")]
    argv = ("grep", "-rlE", "--exclude-dir=registry-runbook", r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}", *folders)
    return host.run(*argv, check=False).stdout.split()


@contextmanager
def sampling(host: Host) -> Iterator[None]:
    """Keep arguments and environment of every process that runs meanwhile."""
    start = 'touch "$1.go"; setsid python3 -c "$0" "$1" </dev/null >/dev/null 2>&1 &'
    host.run("sh", "-c", start, _SAMPLE, SAMPLES)
    try:
        yield
    finally:
        host.run("rm", f"{SAMPLES}.go")


@contextmanager
def planting(host: Host, secret: str, image: str) -> Iterator[list[str]]:
    """Put a secret, in all encodings, into every place that is searched; give the places as `search` names them."""
    text = planted(secret)
    paths = [f"{folder}/planted" for folder in FOLDERS] + [
        "/root/registry-runbook/notebooks/.ipynb_checkpoints/planted"
    ]
    for path in paths:
        host.write(path, text)
    host.run("systemd-cat", "--identifier=planted", "cat", input_text=text)
    host.run("docker", "run", "--name=planted", image, "serve", f"/{text}", check=False)
    # The sampler writes a line of the arguments and one of the environment that it has seen.
    seen = f'\\["environ", "sh", "[0-9a-f]*{b"PLANTED=".hex()}'
    wait = f"{UNTIL_SO} until_so 'the sampler to see it' grep -q '{seen}' {SAMPLES}"
    host.run("sh", "-c", wait, text, environment={"PLANTED": text})
    places = [*paths, "journal", "docker inspect", "docker logs", "cmdline of sh", "environ of sh"]
    try:
        yield places
    finally:
        host.run("docker", "rm", "--force", "planted")
        host.run("rm", *paths)
