"""Checks of what stands around the registry: the claims of the proof, each as the check of a cause."""

from collections.abc import Callable

from runbook.model.parameters import Parameters
from runbook.proof import surroundings
from runbook.system.docker import engine

from .situation import Finding, Situation, UntoldError, no, yes


def _finding(situation: Situation, find: Callable[[engine.Client, Parameters], list[str]]) -> Finding:
    try:
        found = find(situation.require_engine(), situation.parameters)
    except surroundings.UnseenError as error:
        raise UntoldError(str(error)) from error
    return yes("; ".join(found)) if found else no("nothing was found")


def changed_by_others(situation: Situation) -> Finding:
    """Look at owners, modes and access lists of all that the registry relies on, from `/` down."""
    return _finding(situation, surroundings.changed_by_others)


def exposed_keys(situation: Situation) -> Finding:
    """Search what containers mount, and other hosts get, for private keys beside the server's own."""
    return _finding(situation, surroundings.exposed_keys)


def more_rights(situation: Situation) -> Finding:
    """Compare rights, networks, mounts, ports and command of the container with those of the Compose file."""
    return _finding(situation, surroundings.more_rights)


def neighbours(situation: Situation) -> Finding:
    """Ask the engine which other containers have the registry's volume, folders or network."""
    return _finding(situation, surroundings.neighbours)


def damage(situation: Situation) -> Finding:
    """Read links, manifests and blobs of a sample of tags, and compare them with their digests."""
    return _finding(situation, surroundings.damage)


def few_files(situation: Situation) -> Finding:
    """Read how many files the registry's process may open, and how many it has."""
    return _finding(situation, surroundings.few_files)


def frozen(situation: Situation) -> Finding:
    """Ask the kernel whether the registry's process is stopped."""
    return _finding(situation, surroundings.frozen)


def not_forwarded(situation: Situation) -> Finding:
    """Read whether the kernel passes on what comes in at the network card of the registry's address."""
    return _finding(situation, surroundings.not_forwarded)


def kept_out(situation: Situation) -> Finding:
    """Ask the registry from a network namespace of its own, as somebody from outside does."""
    return _finding(situation, surroundings.kept_out)
