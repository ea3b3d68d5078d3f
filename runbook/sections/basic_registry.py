"""The basic registry: plain HTTP, no login, its data in a folder of this host, a push and a pull to try it.

Notebook: 20-basic-registry. Source: OCI Distribution Specification 1.1; Docker Registry HTTP API V2 (`_catalog`).
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from runbook.changes import Change, MakeDirectory, RunContainer
from runbook.checks import Result, refused, works
from runbook.errors import HostError
from runbook.outside import docker_client, engine, images, registry_api
from runbook.parameters import Parameters

_DATA_INSIDE = "/var/lib/registry"


@dataclass(frozen=True, kw_only=True, slots=True)
class BasicRegistryFacts:
    """How the basic registry is now; `container` is None where there is none of its name."""

    image: images.RegistryImage
    container: engine.ContainerFacts | None
    data_directory_exists: bool


def gather(parameters: Parameters) -> BasicRegistryFacts:
    """Return the facts; raises MissingError where there is no engine or no image of the registry."""
    client = engine.require(parameters.timeout_seconds)
    return BasicRegistryFacts(
        image=images.require(client, parameters),
        container=engine.container(client, parameters.basic_container),
        data_directory_exists=Path(parameters.basic_data_directory).is_dir(),
    )


def is_made(facts: BasicRegistryFacts) -> bool:
    """Return whether this section was carried out before."""
    return facts.container is not None


def plan(parameters: Parameters, facts: BasicRegistryFacts) -> list[Change]:
    """Return what brings the container up as the parameters want it; empty where it is.

    Raises HostError where a container of that name is there that the runbook did not make.
    """
    changes: list[Change] = []
    if not facts.data_directory_exists:
        changes.append(MakeDirectory(path=Path(parameters.basic_data_directory), mode=0o700))
    found = facts.container
    if found is not None and found.label(engine.LABEL) != "basic_registry":
        raise HostError(
            f"no container named {parameters.basic_container} but the runbook's own",
            "one made by other means",
            f"remove it (`docker rm -f {parameters.basic_container}`; a data folder stays), or set basic_container",
        )
    if (reason := _why_run(parameters, facts)) is not None:
        changes.append(
            RunContainer(
                name=parameters.basic_container,
                image=facts.image.reference,
                publish=_publish(parameters),
                volume=(Path(parameters.basic_data_directory), _DATA_INSIDE),
                restart_policy="always",
                labels=((engine.LABEL, "basic_registry"),),
                replaces=reason or None,
            )
        )
    return changes


def _publish(parameters: Parameters) -> tuple[str, int, int]:
    return parameters.basic_address, parameters.basic_port, 5000


def _why_run(parameters: Parameters, facts: BasicRegistryFacts) -> str | None:
    """Return why the container is to be made: empty where there is none, None where the one there is right."""
    found = facts.container
    if found is None:
        return ""
    compared = (
        ("it is not running", found.running, True),
        ("it runs another image", found.image_id, facts.image.image_id),
        ("its port differs", found.publish, (_publish(parameters),)),
        ("its data are elsewhere", found.binds, (f"{parameters.basic_data_directory}:{_DATA_INSIDE}",)),
        ("its restart policy differs", found.restart_policy, "always"),
    )
    return next((reason for reason, is_now, wanted in compared if is_now != wanted), None)


def check(parameters: Parameters) -> list[Result]:
    """Return the proof: the test image goes to the registry and comes back with the same digest.

    The test repository is removed again, from the registry and from the engine.
    """
    client = engine.require(parameters.timeout_seconds)
    host = f"{_reached_at(parameters)}:{parameters.basic_port}"
    registry = registry_api.Registry(url=f"http://{host}")
    registry_api.wait_until_ready(registry, timeout_seconds=parameters.timeout_seconds)
    data, reference = (Path(parameters.basic_data_directory), parameters.basic_test_reference)
    docker_client.refuse_occupied(data, reference, "basic_test_reference")
    with docker_client.proof(
        client, registry, host=host, reference=reference, test_image=parameters.test_image, data=data
    ) as proof:
        results = _check_push_and_pull(proof)
    again = "read the container's log: `docker logs " + parameters.basic_container + "`"
    return [dataclasses.replace(result, remedy=again) for result in results]


def _check_push_and_pull(proof: docker_client.Proof) -> list[Result]:
    before = proof.in_registry()
    pushed, registered = proof.push(), proof.in_registry()
    pulled = proof.pull()
    catalog = json.loads(proof.registry.ask(f"/v2/_catalog?n=100&last={proof.repository[:-1]}").body or "{}")
    tags = json.loads(proof.registry.ask(f"/v2/{proof.repository}/tags/list").body or "{}")
    absent = proof.registry.ask(f"/v2/{proof.repository}/manifests/nobody-pushed-this")
    return [
        refused("the test image, before the push", expected="404", found=before, remedy=""),
        works(
            "docker push", expected="a digest", found="a digest" if pushed.startswith("sha256:") else pushed, remedy=""
        ),
        works("the digest that was pushed is the registry's", expected=pushed, found=registered, remedy=""),
        works("the image is removed, pulled, and has that digest", expected=pushed, found=pulled, remedy=""),
        works(
            "the catalog lists it", expected=True, found=proof.repository in catalog.get("repositories", ()), remedy=""
        ),
        works("its tags", expected=proof.tag, found=", ".join(tags.get("tags") or ()), remedy=""),
        refused("a tag that nobody pushed", expected=404, found=absent.status, remedy=""),
    ]


def _reached_at(parameters: Parameters) -> str:
    return "127.0.0.1" if parameters.basic_address == "0.0.0.0" else parameters.basic_address  # noqa: S104 (compared, not bound)
