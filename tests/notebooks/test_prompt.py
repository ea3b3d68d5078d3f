"""The prompt for a password in JupyterLab, through a real kernel."""

import os

import pytest
from jupyter_client.manager import start_new_kernel

ASK = "from runbook.system import credentials; found = credentials.ask_or_generate('the password')"


@pytest.mark.parametrize(("typed", "kept"), [("a-typed-password", True), ("", False)], ids=["typed", "nothing typed"])
def test_ask_or_generate_takes_what_is_typed(monkeypatch: pytest.MonkeyPatch, typed: str, *, kept: bool) -> None:
    """Fails where a front end that can ask is not asked, what is typed is shown, or an empty answer is kept."""
    monkeypatch.delenv("RUNBOOK_HEADLESS", raising=False)
    manager, client = start_new_kernel(kernel_name="python3", env=dict(os.environ), extra_arguments=["--log-level=50"])
    try:
        client.execute(ASK, allow_stdin=True)
        asked = client.get_stdin_msg(timeout=60)["content"]
        assert asked["password"]
        assert "Password" in asked["prompt"]
        client.input(typed)
        client.get_shell_msg(timeout=60)
        found = client.execute_interactive(
            f"assert (found == {typed!r}) is {kept}; assert len(found) > 8", allow_stdin=False, timeout=30
        )
        assert found["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
