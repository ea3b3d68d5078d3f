"""Changes to images and containers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.changes import shell
from runbook.changes.base import Change
from runbook.changes.made import Thing
from runbook.model.errors import ChangedError
from runbook.model.project import COMMAND
from runbook.system import credentials
from runbook.system.certificates import tls
from runbook.system.docker import compose, engine, images
from runbook.system.registry import api, client_kit
from runbook.system.registry.config_yml import STOP_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class _EngineChange(Change):
    """A change that any user with access to the engine can make."""

    def needs_root(self) -> bool:
        """Return False: the engine does the work."""
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class ObtainImage(_EngineChange):
    """Get the registry's image from the first of `sources` that works; `archive` is the file for that source."""

    sources: tuple[images.Source, ...]
    reference: str
    digest: str
    archive: str

    def __str__(self) -> str:
        """Return the change in one line."""
        names = {
            "pull": f"pull {self.reference}",
            "archive": f"load {self.reference} from {self.archive}",
            "package": "build it from the distribution's package docker-registry",
        }
        ways = "; or else ".join(names[source] for source in self.sources)
        return f"get the registry's image: {ways}"

    def things(self) -> tuple[Thing, ...]:
        """Return the images that it may add."""
        names = [self.reference] + ([images.PACKAGE_REPOSITORY] if "package" in self.sources else [])
        return tuple(Thing(kind="image", name=name, belongs="image") for name in names)

    def needs_root(self) -> bool:
        """Return whether it may build the image, for which apt fetches packages."""
        return "package" in self.sources

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        commands = {
            "pull": shell.command("docker", "pull", self.reference),
            "archive": shell.command("docker", "load", "--input", self.archive),
            "package": images.BUILD_BY_HAND,
        }
        return " || ".join(commands[source] for source in self.sources)

    def make(self, timeout_seconds: float, /) -> str:
        """Get the image and return where it came from."""
        wanted = images.Wanted(reference=self.reference, digest=self.digest, archive=self.archive)
        return images.obtain(engine.require(timeout_seconds), wanted, self.sources)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContainer(_EngineChange):
    """Run a container in the background; `replaces` is why an existing one of that name is removed first, if any."""

    name: str
    image: str
    publish: tuple[str, int, int]
    volume: tuple[Path, str]
    restart_policy: Literal["always", "unless-stopped"]
    labels: tuple[tuple[str, str], ...]
    replaces: str | None
    environment: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return the change in one line."""
        address, outside, inside = self.publish
        verb = "run" if self.replaces is None else f"replace ({self.replaces})"
        where = f"{address}:{outside} to {inside}, data in {self.volume[0]}"
        return f"{verb} the container {self.name} from {self.image}, {where}"

    def things(self) -> tuple[Thing, ...]:
        """Return the container."""
        return (Thing(kind="container", name=self.name),)

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        address, outside, inside = self.publish
        volume = f"{self.volume[0]}:{self.volume[1]}"
        options = ["--publish", f"{address}:{outside}:{inside}", "--volume", volume, "--restart", self.restart_policy]
        options += [word for name, value in self.environment for word in ("--env", f"{name}={value}")]
        options += [word for name, value in self.labels for word in ("--label", f"{name}={value}")]
        run = shell.command("docker", "run", "--detach", "--name", self.name, *options, self.image)
        return run if self.replaces is None else shell.lines(f"docker rm --force {self.name}", run)

    def make(self, timeout_seconds: float, /) -> None:
        """Run the container; raises ChangedError if a container that is not the runbook's has taken its name."""
        client = engine.require(timeout_seconds)
        engine.remove_own_container(client, self.name)
        address, outside, inside = self.publish
        client.containers.run(  # type: ignore[call-overload] # the stubs know only two restart policies
            self.image,
            name=self.name,
            detach=True,
            ports={f"{inside}/tcp": (address, outside)},
            volumes=[f"{self.volume[0]}:{self.volume[1]}"],
            restart_policy={"Name": self.restart_policy},
            labels=dict(self.labels),
            environment=dict(self.environment),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveLeftOver(_EngineChange):
    """Remove the containers and images that a killed proof left, identified by the runbook's labels."""

    containers: tuple[str, ...]
    images: tuple[str, ...]

    def __str__(self) -> str:
        """Return the change in one line."""
        names = (*(f"the container {name}" for name in self.containers), *(f"the image {name}" for name in self.images))
        return f"remove what a proof left that was killed: {', '.join(names)}"

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        containers = shell.command("docker", "rm", "--force", *self.containers) if self.containers else ""
        return shell.lines(containers, shell.command("docker", "image", "rm", *self.images) if self.images else "")

    def make(self, timeout_seconds: float, /) -> None:
        """Remove the containers and images."""
        client = engine.require(timeout_seconds)
        for name in self.containers:
            engine.remove_own_container(client, name)
        images.remove_test_images(client)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeUp(_EngineChange):
    """Check the Compose file with Compose's own `config`, then recreate and start its service."""

    path: Path
    project: str
    volume: str
    reason: str

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"bring up {self.path} as project {self.project} ({self.reason})"

    def things(self) -> tuple[Thing, ...]:
        """Return the project and the volume, which may outlast it."""
        volume = compose.volume_name(self.project, self.volume)
        return (Thing(kind="volume", name=volume, belongs="data"), Thing(kind="project", name=self.project))

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        options = ("--project-name", self.project, "--file", self.path)
        return f"{compose.BY_HAND} {shell.command(*options, 'up', '--detach', '--force-recreate')}"

    def make(self, timeout_seconds: float, /) -> None:
        """Start the service."""
        compose.up(self.path, self.project, timeout_seconds, stop_seconds=STOP_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class PushClientImage(_EngineChange):
    """Push the image that the client kit pulls, by the registry's API over verified TLS."""

    registry: str
    reference: str
    digest: str
    authority_path: Path
    username: str
    password_file: Path

    def __str__(self) -> str:
        """Return the change in one line."""
        return f"push {self.registry}/{self.reference} ({self.digest[:19]}…) as {self.username}"

    def by_hand(self) -> str:
        """Return the equivalent shell commands."""
        return f"# only `{COMMAND} 70-clients` makes and pushes this image"

    def make(self, _timeout_seconds: float, /) -> None:
        """Push the image; raises ChangedError if another one has taken its reference since the plan."""
        image = client_kit.image()
        registry = api.Registry(
            url=f"https://{self.registry}",
            login=(self.username, credentials.require_password(self.password_file)),
            tls=tls.client_context(self.authority_path.read_text(encoding="ascii")),
        )
        path = client_kit.manifest_path(self.reference)
        found = registry.ask(path, method="HEAD").headers.get("docker-content-digest")
        if found not in (None, self.digest):
            raise ChangedError(f"no image at {self.registry}/{self.reference}, as planned", found, "plan again")
        api.push(
            registry, self.reference, blobs=image.blobs, manifest=image.manifest, media_type=client_kit.MANIFEST_TYPE
        )
