"""What is on a test host: the recipes, and the images that are built from them."""

import hashlib
import secrets
import tempfile
from dataclasses import dataclass, field

from .machine import execute

REPOSITORY = "registry-runbook-host"
MIRROR = "http://deb.debian.org/debian"
# A mirror that is not brought up to date daily has a release file of sid that has expired; the image keeps the option.
SUITE_OPTIONS = {"sid": ('--aptopt=Acquire::Check-Valid-Until "false"',)}

# policy-rc.d keeps the build from starting services; a host without systemd keeps it, as Debian's containers do.
INSTALL = """
boots=$1; shift
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 0755 /usr/sbin/policy-rc.d
apt-get -qq update --error-on=any
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@"
apt-get clean; rm -rf /var/lib/apt/lists/*
if test "$boots" = True; then rm /usr/sbin/policy-rc.d; fi
"""


def tag(name: str, made_from: str) -> str:
    """Return the name of an image, whose tag changes with what it is made from."""
    return f"{REPOSITORY}:{name}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What is on a host: packages on top of a Debian suite or of another recipe; `boots` makes systemd its PID 1.

    A host with an address of its own has it beside that of the LAN, wherever it is started; no image depends on it.
    """

    name: str
    base: "Recipe | str"
    packages: tuple[str, ...]
    boots: bool = True
    own_address: str = field(default="", repr=False)

    @property
    def reference(self) -> str:
        """The image's name; its tag changes with everything that the image is made from."""
        return tag(self.name, f"{self!r}{MIRROR}{INSTALL}")

    @property
    def starts_engine(self) -> bool:
        """Whether Docker Engine is installed, and systemd is there to start it."""
        return self.boots and "docker.io" in self.all_packages

    @property
    def all_packages(self) -> tuple[str, ...]:
        """Its packages, with those of the recipe that it stands on."""
        return (*(self.base.all_packages if isinstance(self.base, Recipe) else ()), *self.packages)


TOOLS = ("ca-certificates", "curl", "iproute2", "iptables", "openssl", "procps", "python3", "strace", "sudo")
SYSTEMD = ("dbus", "systemd", "systemd-sysv")
PLAIN = Recipe(name="plain", base="bookworm", packages=TOOLS, boots=False)
BARE = Recipe(name="bare", base=PLAIN, packages=SYSTEMD)
BOOKWORM = Recipe(name="bookworm", base=BARE, packages=("docker.io", "docker-compose"))
TRIXIE = Recipe(name="trixie", base="trixie", packages=(*TOOLS, *SYSTEMD, "docker.io", "docker-cli", "docker-compose"))
TRIXIE_NGINX = Recipe(name="trixie-nginx", base=TRIXIE, packages=("nginx",))
SID = Recipe(name="sid", base="sid", packages=(*TOOLS, "docker.io", "docker-cli", "docker-compose"), boots=False)
# Not for the product: two clients of a registry, and an nginx to serve a site alone.
PODMAN = Recipe(name="podman", base=PLAIN, packages=("nginx", "podman", "skopeo"), boots=False)
BROWSER = Recipe(  # beside a host, not a host itself
    name="browser",
    base="bookworm",
    packages=("chromium", "chromium-driver", "fonts-dejavu-core", "fonts-wqy-zenhei"),
    boots=False,
)
RECIPES = {recipe.name: recipe for recipe in (PLAIN, BARE, BOOKWORM, TRIXIE, TRIXIE_NGINX, SID)}


def has_image(reference: str) -> bool:
    """Whether the machine's engine holds this image."""
    return execute("docker", "image", "inspect", reference, check=False).code == 0


def ensure_suite(suite: str) -> str:
    """Return the name of an image with a minimal Debian, made on first use."""
    reference = f"{REPOSITORY}:suite-{suite}"
    if not has_image(reference):
        with tempfile.TemporaryDirectory() as folder:
            archive = f"{folder}/{suite}.tar"
            options = ("--quiet", "--variant=minbase", *SUITE_OPTIONS.get(suite, ()))
            execute("mmdebstrap", *options, suite, archive, MIRROR, timeout_seconds=600)
            execute("docker", "import", archive, reference, timeout_seconds=120)
    return reference


def ensure_image(recipe: Recipe) -> str:
    """Return the name of the recipe's image, built where the recipe is new; its earlier images go."""
    if has_image(recipe.reference):
        return recipe.reference
    base = ensure_suite(recipe.base) if isinstance(recipe.base, str) else ensure_image(recipe.base)
    builder = f"registry-runbook-build-{recipe.name}-{secrets.token_hex(3)}"
    install = ("sh", "-ec", INSTALL, "install", str(recipe.boots), *recipe.packages)
    execute("docker", "create", f"--name={builder}", base, *install)
    try:
        execute("docker", "start", "--attach", builder, timeout_seconds=600)
        execute("docker", "commit", builder, recipe.reference, timeout_seconds=120)
    finally:
        execute("docker", "rm", "--force", "--volumes", builder)
    remove_earlier(recipe.name, but=recipe.reference)
    return recipe.reference


def remove_earlier(name: str, *, but: str, newest: int = 0) -> None:
    """Remove the images of what went by this name before it was edited, and what was made from them.

    The `newest` of them stay: another session may be about to start a host from one.
    """
    own = f"--filter=reference={REPOSITORY}:{name}-*"
    found = execute("docker", "images", "--format={{.Repository}}:{{.Tag}}", own).stdout.split()  # the newest first
    for reference in [reference for reference in found if reference != but][newest:]:
        execute("docker", "image", "rm", reference, check=False)  # one that another session still runs stays
