"""50-compose on random hosts: the two files become what was announced, what others wrote in /etc/hosts stays."""

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.changes.apply import apply
from runbook.changes.files import WriteFile
from runbook.model.parameters import read
from runbook.sections import compose
from runbook.system.host import files, hosts_file

from .test_compose import NEW, OURS

LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)
    | st.sampled_from(
        ["127.0.0.1\tlocalhost", "10.0.0.9 registry.test", "::1 x Registry.Test # y", "\t", "10.0.0.9 a\r"]
    ),
    max_size=6,
)


@given(
    hosts=LINES.map("\n".join) | st.just(OURS), text=st.none() | LINES.map("\n".join), port=st.sampled_from([443, 5443])
)
def test_apply_writes_what_was_planned_on_any_host(tmp_path: Path, hosts: str, text: str | None, port: int) -> None:
    """Fails if a file is other than announced, an earlier version is lost, or planning again would write once more."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(hosts_file, "PATH", Path(folder, "hosts"))
        parameters = read({"configuration_directory": f"{folder}/registry", "port": port}, where="a test")
        before = {hosts_file.PATH: hosts, parameters.compose_path: text}
        for path, content in before.items():
            if content is not None:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content.encode())
        facts = dataclasses.replace(
            NEW, hosts=files.read_text(hosts_file.PATH) or "", text=files.read_text(parameters.compose_path)
        )
        changes = [change for change in compose.plan(parameters, facts) if isinstance(change, WriteFile)]
        apply(changes)
        for change in changes:
            kept = files.existing_backup(change.path)
            assert change.after.encode() == change.path.read_bytes()
            assert before[change.path] in (None, None if kept is None else kept.read_bytes().decode())
        again = dataclasses.replace(
            NEW, hosts=files.read_text(hosts_file.PATH) or "", text=files.read_text(parameters.compose_path)
        )
        assert [change for change in compose.plan(parameters, again) if isinstance(change, WriteFile)] == []
