"""The Docker client with its own configuration folder: login, push, pull.

The operator's logins and settings are neither read nor changed.
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

_UNKNOWN_NAME = re.compile(r"\blookup \S+")  # in the engine's message for a name that it cannot resolve
_NAME_SECONDS = 6.0  # the engine rereads /etc/hosts after 5 s (Go, net/hosts.go, cacheMaxAge)
# In the client's messages for a broken connection, or a proxy without its registry; not in those for a refusal.
_BROKEN = re.compile(r"\bEOF\b|connection (?:refused|reset|broken)|broken pipe|HTTP status:? 50[234]", re.IGNORECASE)
# Without a login in it, the client would use a credential helper of this host (docker/cli, DetectDefaultStore).
_CONFIGURATION = '{"auths": {"runbook.invalid": {}}}'


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A test image with its full reference, and a Docker client that can push and pull it.

    `stored` is the registry's storage, `blobs` collects the digests of pushes. `timeout_seconds` applies to each
    command.
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
        """The test image's reference, including the registry's host."""
        return f"{self.host}/{self.repository}:{self.tag}"

    def docker(self, *arguments: str, stdin: str = "") -> commands.Completed:
        """Run the Docker client and return its result for any exit code."""
        # The operator's contexts are not in this configuration folder.
        environment = {"DOCKER_CONFIG": str(self.folder), "DOCKER_CONTEXT": "", "DOCKER_HOST": engine.address()}
        return commands.run(
            "docker",
            *arguments,
            allowed=None,
            stdin=stdin,
            environment=environment,
            timeout_seconds=self.timeout_seconds,
        )

    def login(self, password: str) -> commands.Completed:
        """Log in; retry while the engine cannot resolve the registry's name, until it has reread /etc/hosts."""
        username, _ = self.registry.login or ("", "")

        @retry(
            retry=retry_if_result(lambda done: bool(_UNKNOWN_NAME.search(done.text))),
            stop=stop_after_delay(_NAME_SECONDS),
            wait=wait_fixed(0.5),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        def log_in() -> commands.Completed:
            return self.docker("login", self.host, "-u", username, "--password-stdin", stdin=password)

        return log_in()

    def _transfer(self, verb: Literal["push", "pull"]) -> commands.Completed:
        """Push or pull; repeat once if the connection breaks, when the registry is back."""
        done = self.docker(verb, self.reference)
        if done.code != 0 and _BROKEN.search(done.text):
            wait_until_ready(self.registry, timeout_seconds=self.timeout_seconds)
            done = self.docker(verb, self.reference)
        return done

    def push(self) -> str:
        """Push the test image and return its digest, or the client's message if that fails."""
        done = self._transfer("push")
        self.blobs.update(self.stored.digests(self.repository))  # a deleted manifest is no longer listed
        return _digest(done)

    def pull(self) -> str:
        """Remove the test image from the engine, pull it, and return its digest, or the client's message."""
        images.remove_test_image(self.stored.client, self.reference)
        return _digest(self._transfer("pull"))

    def in_registry(self) -> str:
        """Return the digest of the test image in the registry, or the status or error if there is none."""
        answer = self.registry.ask(f"/v2/{self.repository}/manifests/{self.tag}", method="HEAD")
        return answer.headers.get("docker-content-digest", str(answer))


def _digest(done: commands.Completed) -> str:
    found = re.search(r"[Dd]igest: (sha256:[0-9a-f]{64})", done.output)
    return found[1] if done.code == 0 and found else done.last_line


def refuse_occupied(stored: Storage, reference: str, parameter: str) -> None:
    """Raise HostError if the proof's repository, which the proof removes, has images that it did not push."""
    repository, _ = split_reference(reference)
    found = [tag for tag in stored.tags(repository) if not stored.is_proof(repository, tag)]
    if found:
        raise HostError(
            f"nobody's images in the repository {repository}, which the proof removes again",
            f"the tags {', '.join(found)}",
            f"set {parameter} to another repository",
        )


@contextmanager
def proof(  # noqa: PLR0913 (the fields of a proof)
    client: docker.DockerClient,
    registry: Registry,
    *,
    host: str,
    reference: str,
    test_image: str,
    stored: Storage,
    timeout_seconds: float,
) -> Iterator[Proof]:
    """Tag the test image for a registry; remove it at the end from the engine and the storage `stored`.

    Without `test_image`, an image with random content is generated; its blobs are unique and therefore removed too.
    """
    repository, tag = split_reference(reference)
    with temporary.folder() as folder:
        (folder / "config.json").write_text(_CONFIGURATION, encoding="ascii")
        created = Proof(
            registry=registry,
            host=host,
            repository=repository,
            tag=tag,
            folder=folder,
            stored=stored,
            timeout_seconds=timeout_seconds,
        )
        if stored.digests(repository):  # left by an interrupted run; `refuse_occupied` has excluded other images
            stored.remove_repository(repository, stored.proof_digests(repository))
        if test_image:
            _tag(client, test_image, f"{host}/{repository}", tag)
        else:
            images.remove_test_images(client)
            images.make_test_image(client, created.reference)
        try:
            yield created
        finally:
            images.remove_test_image(client, created.reference)
            stored.remove_repository(repository, () if test_image else {*created.blobs, *stored.digests(repository)})


def _tag(client: docker.DockerClient, test_image: str, repository: str, tag: str) -> None:
    found = images.local(client, test_image)
    if found is None:
        raise HostError(
            f"the image {test_image} on this host", "none", f"run `docker pull {test_image}`, or set test_image"
        )
    found.tag(repository, tag=tag)
