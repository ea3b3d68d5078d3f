"""The form in 80-diagnosis, without a browser: what is pasted, and what is shown below it."""

import pytest

from runbook.diagnosis.answer import Answer
from runbook.jupyter import cells, diagnosis_form
from runbook.jupyter.diagnosis_form import Form
from runbook.model.parameters import Parameters


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let nothing be looked at, and return what was asked."""
    questions: list[str] = []

    def diagnose(message: str, _: Parameters) -> Answer:
        questions.append(message)
        return Answer(asked=bool(message), messages=(), diagnoses=())

    monkeypatch.setattr(diagnosis_form, "diagnose", diagnose)
    return questions


def test_form_answers_the_parameter_and_then_what_is_pasted(asked: list[str]) -> None:
    """Fails if the field does not hold the parameter, or the button answers something else than what is in it."""
    made = Form(Parameters(message="EOF"))
    assert made.field.value == "EOF"
    made.field.value = "a\n<b>"
    made.button.click()
    assert asked == ["EOF", "a\n<b>"]
    assert "does not know this message" in made.found.value
    assert "<b>" not in made.found.value
    assert not made.button.disabled


def test_show_answers_the_parameter_where_nobody_looks_on(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a headless run shows a form, or no answer."""
    shown: list[object] = []
    monkeypatch.setattr(cells, "show", shown.append)
    diagnosis_form.show(Parameters(message="EOF"))
    assert (asked, len(shown)) == (["EOF"], 1)
