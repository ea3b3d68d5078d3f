"""The form in 80-diagnosis: a field for a message, and the answer below it."""

import html

import IPython.display
import ipywidgets

from runbook.diagnosis.answer import diagnose
from runbook.jupyter import cells
from runbook.model.parameters import Parameters

_WIDE = {"width": "auto"}
_FITTING = {"width": "max-content"}


def show(parameters: Parameters) -> None:
    """Show the answer to the parameter `message`; where a person runs the notebook, below a field for another one."""
    if cells.is_interactive():
        IPython.display.display(Form(parameters).box)  # type: ignore[no-untyped-call] # IPython leaves it untyped
    else:
        cells.show(diagnose(parameters.message, parameters).table())


class Form:
    """A field for a message, the button that looks it up, and the answer."""

    def __init__(self, parameters: Parameters) -> None:
        """Make the form with the parameter `message` in its field, and answer that at once."""
        self.parameters = parameters
        self.field = ipywidgets.Textarea(
            value=parameters.message,
            description="Message",
            placeholder="a line, or all that a terminal showed; empty: look at the host",
            rows=6,
            layout=_WIDE,
        )
        self.button = ipywidgets.Button(description="Diagnose", button_style="primary", layout=_FITTING)
        self.button.on_click(lambda _: self.answer())
        self.found = ipywidgets.HTML()
        self.box = ipywidgets.VBox((self.field, self.button, self.found))
        self.answer()

    def answer(self) -> None:
        """Look the message in the field up, and show what was found."""
        self.button.disabled = True
        self.found.value = "<div role='status'>Looking …</div>"
        try:
            found = diagnose(self.field.value, self.parameters)
            table = found.table()
            above = "" if table.rows else f"<p>{html.escape(found.heading)}</p>"
            self.found.value = f"<div role='status'>{above}{table.html()}</div>"
        finally:
            self.button.disabled = False
