"""Checks of the registry's surroundings: the claims of the proof, each as the check of a cause."""

from collections.abc import Callable

from runbook.model.parameters import Parameters
from runbook.proof import surroundings
from runbook.system.docker import engine

from .situation import Finding, Situation, UndecidedError, no, yes


def _check(find: Callable[[engine.Client, Parameters], list[str]], description: str) -> Callable[[Situation], Finding]:
    """Return the check that confirms a cause if `find` returns anything; its docstring is `description`."""

    def check(situation: Situation) -> Finding:
        try:
            found = find(situation.require_engine(), situation.parameters)
        except surroundings.NotVisibleError as error:
            raise UndecidedError(str(error)) from error
        return yes("; ".join(found)) if found else no("nothing was found")

    check.__doc__ = description
    return check


changed_by_others = _check(
    surroundings.changed_by_others,
    "Check owners, modes and access lists of everything that the registry relies on, from `/` down.",
)
exposed_keys = _check(
    surroundings.exposed_keys,
    "Search what containers mount, and other hosts can read, for private keys other than the server's.",
)
more_rights = _check(
    surroundings.more_rights,
    "Compare the container's privileges, networks, mounts, ports and command with those in the Compose file.",
)
neighbours = _check(
    surroundings.neighbours, "Ask the engine for other containers with the registry's volume, folders or network."
)
damage = _check(
    surroundings.damage, "Read links, manifests and blobs of a sample of tags, and compare them with their digests."
)
few_files = _check(surroundings.few_files, "Read the limit on open files of the registry's process, and their number.")
frozen = _check(surroundings.frozen, "Ask the kernel whether the registry's process is stopped.")
not_forwarded = _check(
    surroundings.not_forwarded,
    "Check whether the kernel forwards packets from the network interface with the registry's address.",
)
kept_out = _check(
    surroundings.kept_out, "Send a request to the registry from a separate network namespace, as another host does."
)
