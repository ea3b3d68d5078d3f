"""A host as a check sees it, with what a test knows of it, and the rows of tables of checks."""

import datetime
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from runbook.diagnosis.catalogue import Check
from runbook.diagnosis.situation import Situation, look
from runbook.model.parameters import Parameters
from runbook.system.docker import compose, engine
from runbook.system.docker.engine import ContainerFacts
from runbook.system.host import commands
from runbook.system.registry import api

YES, NO, OPEN = True, False, None  # a cause is confirmed, ruled out, undecided
NOW = datetime.datetime.now(datetime.UTC)
ADDRESS = "192.0.2.7"
NOBODY = api.Answer(status=None, error="Connection refused")
CLIENT = engine.Client(base_url="tcp://127.0.0.1:1", version="1.44")  # of an engine that is there, and is not asked


def situation(message: str = "", parameters: Parameters | None = None, /, **known: object) -> Situation:
    """Return this host as a check sees it, with what a test knows of it in place of what would be looked for."""
    found = Situation(parameters or Parameters(), message=message)
    vars(found).update(known)
    return found


def container(**known: object) -> ContainerFacts:
    """Return the registry's container as the engine would describe it, with what a test knows of it."""
    facts: dict[str, object] = {
        "name": "registry-registry-1",
        "image_id": "sha256:0",
        "running": True,
        "started": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "restart_policy": "always",
        "publish": (("0.0.0.0", 443, 443),),  # noqa: S104 (as the engine gives it)
        "binds": (),
        "volumes": (),
        "labels": (),
        "environment": (),
    }
    return ContainerFacts(**(facts | known))  # type: ignore[arg-type] # the test names the fields


@dataclass(frozen=True, kw_only=True)
class Case:
    """A check, what it is to find, and the host that it is tried on.

    `files` are texts by their path below the test's folder; None stands for a folder. `given` is what the test itself
    sets up.
    """

    check: Check
    expected: tuple[bool | None, str]
    message: str
    files: Mapping[str, str | bytes | None]
    values: Mapping[str, object]
    known: Mapping[str, object]
    given: Any

    def found(self, folder: Path, *, port: int = 443, **more: object) -> tuple[bool | None, str]:
        """Return what the check finds: the words that are expected, where they are in it, or else all of it.

        `FOLDER` in the message is the test's folder, and `PORT` the registry's port. No engine of this host is asked.
        """
        for name, content in self.files.items():
            written = write(folder / name, content)
            if name.startswith("private/") and content is not None:
                written.chmod(0o600)
        folders = {"private_directory": f"{folder}/private", "configuration_directory": f"{folder}/registry"}
        usual: dict[str, object] = {"_engine": (None, "none answers"), "supervisor": "none"}
        usual |= {"anonymous": NOBODY, "plain": NOBODY}
        if "address" not in self.values:
            usual["address"] = ADDRESS
        parameters = Parameters.model_validate({**folders, "port": port, **self.values})
        message = self.message.replace("FOLDER", str(folder)).replace("PORT", str(port))
        finding = look(self.check, situation(message, parameters, **{**usual, **self.known, **more}))
        words = self.expected[1]
        return finding.confirmed, words if words in finding.found else finding.found


def case(  # noqa: PLR0913 (the fields of a row)
    check: Check,
    name: str,
    confirmed: bool | None,  # noqa: FBT001 (a row's value)
    words: str,
    message: str = "",
    /,
    *,
    files: Mapping[str, str | bytes | None] | None = None,
    values: Mapping[str, object] | None = None,
    given: Any = None,  # noqa: ANN401 (the test knows it)
    **known: Any,  # noqa: ANN401 (any part of a situation)
) -> ParameterSet:
    """Return a row: a check, the row's name, what is to be found, with which words, and on which host."""
    row = Case(
        check=check,
        expected=(confirmed, words),
        message=message,
        files=files or {},
        values=values or {},
        known=known,
        given=given,
    )
    return pytest.param(row, id=f"{check.__name__}-{name}")


def write(path: Path, content: str | bytes | None) -> Path:
    """Write a file, or make a folder, with the folders above it; return its path."""
    (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def have_only(monkeypatch: pytest.MonkeyPatch, folder: Path, programs: Mapping[str, str]) -> None:
    """Let this host have only these programs, by name and as the body of a shell script."""
    for name, body in programs.items():
        write(folder / "bin" / name, f"#!/bin/sh\n{body}\n").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin")
    monkeypatch.setattr(commands, "_SYSTEM_FOLDERS", ())
    compose._version.cache_clear()  # noqa: SLF001 (what an earlier test has found)


@contextmanager
def process(name: str) -> Iterator[int]:
    """Yield the number of a process of this name, as the kernel has it (proc(5), comm)."""
    script = f"printf %s {name} >/proc/$$/comm; echo; read _"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as found:
        assert found.stdout
        found.stdout.readline()
        yield found.pid


def space(*, free: int = 1 << 30, inodes: int = 1000, limit: int = 1000, flags: int = 0) -> os.statvfs_result:
    """Return what the kernel says of a file system: what is free, and how it is mounted."""
    return os.statvfs_result((1, 1, free, free, free, limit, inodes, inodes, flags, 255))
