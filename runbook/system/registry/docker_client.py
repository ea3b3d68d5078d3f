"""The Docker client as an operator uses it, in a configuration folder of its own: login, push, pull, logout.

The operator's own logins and settings are neither read nor changed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import docker
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from runbook.model.errors import HostError
from runbook.model.value_types import split_reference
from runbook.system.docker import engine, images
from runbook.system.host import commands, temporary
from runbook.system.registry.api import Registry, wait_until_ready
from runbook.system.registry.storage import Storage

_UNKNOWN_NAME = re.compile(r"\blookup \S+")  # what the engine says of a name that it does not know
_NAME_SECONDS = 6.0  # an engine reads /etc/hosts again after five (Go, net/hosts.go, cacheMaxAge)
# What the client says where the connection broke, or a proxy had no registry behind it: not what it says of a refusal.
_BROKEN = re.compile(r"\bEOF\b|connection (?:refused|reset|broken)|broken pipe|HTTP status:? 50[234]", re.IGNORECASE)
# Without any login in it, the client would choose a credential helper of this host's (docker/cli, DetectDefaultStore).
_CONFIGURATION = '{"auths": {"runbook.invalid": {}}}'


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A test image under its full reference, and a Docker client that may push and pull it.

    `stored` is the registry's storage, `blobs` gathers what a push left there. `timeout_seconds` bounds each command.
    """

    registry: Registry
    host: str
    repository: str
    tag: str
    folder: Path
    stored: Storage
    timeout_seconds: float
    blobs: set[str] = field(default_factory=set)

    @property
    def reference(self) -> str:
        """The test image's reference, with the registry's host."""
        return f"{self.host}/{self.repository}:{self.tag}"

    def docker(self, *arguments: str, stdin: str = "") -> commands.Completed:
        """Run the Docker client and return how it ended, whatever its exit code."""
        # That configuration knows no context.
        own = {"DOCKER_CONFIG": str(self.folder), "DOCKER_CONTEXT": "", "DOCKER_HOST": engine.address()}
        return commands.run(
            "docker", *arguments, allowed=None, stdin=stdin, environment=own, timeout_seconds=self.timeout_seconds
        )

    def login(self, password: str) -> commands.Completed:
        """Log in; again where the engine does not know the registry's name, until it must have read /etc/hosts."""
        username, _ = self.registry.login or ("", "")

        @retry(
            retry=retry_if_result(lambda done: bool(_UNKNOWN_NAME.search(done.said))),
            stop=stop_after_delay(_NAME_SECONDS),
            wait=wait_fixed(0.5),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        def log_in() -> commands.Completed:
            return self.docker("login", self.host, "-u", username, "--password-stdin", stdin=password)

        return log_in()

    def _transfer(self, verb: Literal["push", "pull"]) -> commands.Completed:
        """Push or pull; once more where the connection broke on the way, when the registry is back."""
        done = self.docker(verb, self.reference)
        if done.code != 0 and _BROKEN.search(done.said):
            wait_until_ready(self.registry, timeout_seconds=self.timeout_seconds)
            done = self.docker(verb, self.reference)
        return done

    def push(self) -> str:
        """Push the test image and return its digest, or the client's words where that fails."""
        done = self._transfer("push")
        self.blobs.update(self.stored.digests(self.repository))  # now: a manifest that is deleted is in none any more
        return _digest(done)

    def pull(self) -> str:
        """Remove the test image from the engine, pull it, and return its digest, or the client's words."""
        images.remove_test_image(self.stored.client, self.reference)
        return _digest(self._transfer("pull"))

    def in_registry(self) -> str:
        """Return the digest that the registry gives for the test image, or its answer where it gives none."""
        answer = self.registry.ask(f"/v2/{self.repository}/manifests/{self.tag}", method="HEAD")
        return answer.headers.get("docker-content-digest", str(answer))


def _digest(done: commands.Completed) -> str:
    found = re.search(r"[Dd]igest: (sha256:[0-9a-f]{64})", done.output)
    return (
        found.group(1)
        if done.code == 0 and found
        else done.said.splitlines()[-1]
        if done.said
        else f"exit code {done.code}"
    )


def refuse_occupied(stored: Storage, reference: str, parameter: str) -> None:
    """Raise HostError where the proof's repository holds images that it did not push: it removes the repository."""
    repository, _ = split_reference(reference)
    found = [tag for tag in stored.tags(repository) if not stored.is_proof(repository, tag)]
    if found:
        raise HostError(
            f"nobody's images in the repository {repository}, which the proof removes again",
            f"the tags {', '.join(found)}",
            f"set {parameter} to another repository",
        )


@contextmanager
def proof(  # noqa: PLR0913 (where, what, and whose storage)
    client: docker.DockerClient,
    registry: Registry,
    *,
    host: str,
    reference: str,
    test_image: str,
    stored: Storage,
    timeout_seconds: float,
) -> Iterator[Proof]:
    """Tag the test image for a registry, and take it away afterwards: from the engine, and from what is `stored`.

    Without a `test_image` one is made on the spot; its random content makes its blobs its own, so they go too.
    """
    repository, tag = split_reference(reference)
    with temporary.folder() as folder:
        (folder / "config.json").write_text(_CONFIGURATION, encoding="ascii")
        tried = Proof(
            registry=registry,
            host=host,
            repository=repository,
            tag=tag,
            folder=folder,
            stored=stored,
            timeout_seconds=timeout_seconds,
        )
        if stored.digests(repository):  # of a run that was cut off: nobody else's images, or it is refused before
            stored.remove_repository(repository, stored.proof_digests(repository))
        if test_image:
            _tag(client, test_image, f"{host}/{repository}", tag)
        else:
            images.remove_test_images(client)
            images.make_test_image(client, tried.reference)
        try:
            yield tried
        finally:
            images.remove_test_image(client, tried.reference)
            stored.remove_repository(repository, () if test_image else {*tried.blobs, *stored.digests(repository)})


def _tag(client: docker.DockerClient, test_image: str, repository: str, tag: str) -> None:
    found = images.local(client, test_image)
    if found is None:
        raise HostError(
            f"the image {test_image} on this host", "none", f"run `docker pull {test_image}`, or set test_image"
        )
    found.tag(repository, tag=tag)
