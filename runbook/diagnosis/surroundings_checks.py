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
    "Look at owners, modes and access lists of all that the registry relies on, from `/` down.",
)
exposed_keys = _check(
    surroundings.exposed_keys,
    "Search what containers mount, and other hosts get, for private keys beside the server's own.",
)
more_rights = _check(
    surroundings.more_rights,
    "Compare rights, networks, mounts, ports and command of the container with those of the Compose file.",
)
neighbours = _check(
    surroundings.neighbours, "Ask the engine which other containers have the registry's volume, folders or network."
)
damage = _check(
    surroundings.damage, "Read links, manifests and blobs of a sample of tags, and compare them with their digests."
)
few_files = _check(surroundings.few_files, "Read how many files the registry's process may open, and how many it has.")
frozen = _check(surroundings.frozen, "Ask the kernel whether the registry's process is stopped.")
not_forwarded = _check(
    surroundings.not_forwarded,
    "Read whether the kernel passes on what comes in at the network card of the registry's address.",
)
kept_out = _check(
    surroundings.kept_out, "Ask the registry from a network namespace of its own, as somebody from outside does."
)
