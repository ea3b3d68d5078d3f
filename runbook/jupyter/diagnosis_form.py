"""The form in 80-diagnosis: a field for a message, with the answer below."""

import html

import IPython.display
import ipywidgets

from runbook.diagnosis.answer import diagnose
from runbook.jupyter import cells
from runbook.model.parameters import Parameters
from runbook.model.words import say

_WIDE = {"width": "auto"}
_FITTING = {"width": "max-content"}


def show(parameters: Parameters) -> None:
    """Show the answer to the parameter `message`; in an interactive run, below a field for another message."""
    if cells.is_interactive():
        IPython.display.display(Form(parameters).box)  # type: ignore[no-untyped-call] # IPython leaves it untyped
    else:
        cells.show(diagnose(parameters.message, parameters).table())


class Form:
    """A field for a message, the button that diagnoses it, and the answer."""

    def __init__(self, parameters: Parameters) -> None:
        """Create the form with the parameter `message` in its field, and diagnose that at once."""
        self.parameters = parameters
        self.field = ipywidgets.Textarea(
            value=parameters.message,
            description=say("Message"),
            placeholder=say("a line, or all that a terminal showed; empty: look at the host"),
            rows=6,
            layout=_WIDE,
        )
        self.button = ipywidgets.Button(description=say("Diagnose"), button_style="primary", layout=_FITTING)
        self.button.on_click(lambda _: self.answer())
        self.found = ipywidgets.HTML()
        self.box = ipywidgets.VBox((self.field, self.button, self.found))
        self.answer()

    def answer(self) -> None:
        """Diagnose the message in the field, and show the answer."""
        self.button.disabled = True
        self.found.value = f"<div role='status'>{say('Looking …')}</div>"
        try:
            answer = diagnose(self.field.value, self.parameters)
            table = answer.table()
            heading = "" if table.rows else f"<p>{html.escape(say(answer.heading))}</p>"
            self.found.value = f"<div role='status'>{heading}{table.html()}</div>"
        finally:
            self.button.disabled = False
