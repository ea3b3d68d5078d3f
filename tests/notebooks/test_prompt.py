"""The prompt for a password in JupyterLab, through a real kernel."""

import pytest

from tests import interactive_kernel

ASK = "from runbook.system import credentials; found = credentials.ask_or_generate('the password')"


@pytest.mark.parametrize(("typed", "kept"), [("a-typed-password", True), ("", False)], ids=["typed", "nothing typed"])
def test_ask_or_generate_takes_what_is_typed(typed: str, *, kept: bool) -> None:
    """Fails where a front end that can ask is not asked, what is typed is shown, or an empty answer is kept."""
    with interactive_kernel.start() as client:
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
