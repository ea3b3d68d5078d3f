"""The form in 00-index: a field for each parameter, validated while the user types; it writes a parameter file."""

import html
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import IPython.display
import ipywidgets
from ruamel.yaml.error import YAMLError

from runbook import catalogue
from runbook.display import tables
from runbook.jupyter import cells
from runbook.model import parameter_yaml
from runbook.model.errors import RunbookError
from runbook.model.parameters import Parameters, file_text, from_text, plain, read, refusals
from runbook.model.project import COMMAND, MINE
from runbook.model.words import say
from runbook.system import credentials
from runbook.system.host import files

_WHERE = "typed here"
_SCRIPT = Path(__file__).with_suffix(".js")
_MARK = "runbook-field-"
_FIRST = ("domain", "port", "username")  # with the password, all that most deployments need
_THROUGHOUT = 3  # a parameter of more notebooks than this is in the group of those used throughout
_INDENT = "calc(14em + 8px)"  # a field's label and the gap after it
_BELOW = f"margin-left:{_INDENT}; line-height:1.4"
_BESIDE = "margin-left:8px; line-height:1.4"
_LABEL = {"description_width": "14em"}
# Layouts as data: a Layout widget created in a headless run would be stored in the notebook.
_WIDE = {"width": "auto"}
_FOLD = {"width": "auto", "min_width": "14em", "align_self": "flex-start"}
_FITTING = {"width": "max-content", "margin": f"4px 0 4px {_INDENT}"}
# A click can arrive before the text that was typed before it: a field sends its next text only after the kernel has
# processed the last one (ipywidgets, WidgetModel.sync), a button sends at once.
_LATE_TEXT_SECONDS = 3.0
_ASKED_LATER = {"message", "confirm"}  # by 80-diagnosis and 90-tear-down
FIELDS = tuple(name for name in Parameters.model_fields if name not in _ASKED_LATER)
_SCHEMA: Mapping[str, Mapping[str, Any]] = Parameters.model_json_schema()["properties"]


def show(parameters: Parameters) -> None:
    """Show the form with these parameters; in a headless run, a sentence on where the form appears."""
    if cells.is_interactive():
        script = IPython.display.Javascript(_SCRIPT.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call] # IPython leaves it untyped
        IPython.display.display(Form(parameters).box, script)  # type: ignore[no-untyped-call] # as above
    else:
        empty = "The form is shown where a person runs this notebook in JupyterLab."
        cells.show(tables.Table(headings=(), rows=(), empty=empty))


def groups() -> dict[str, list[str]]:
    """Return parameter names by group: first those of many notebooks, then each under the first notebook that uses it.

    A notebook that uses all parameters gets only those that no other notebook uses. What comes first is in no group.
    """
    used = {item.name: item.parameters for item in catalogue.notebooks()[1:]}
    sections = {name: names for name, names in used.items() if names != "all"}
    folded = [name for name in FIELDS if name not in _FIRST]
    throughout = [name for name in folded if sum(name in names for names in sections.values()) > _THROUGHOUT]
    found, placed = {"Used throughout": throughout}, set(throughout)
    for section, names in (sections | used).items():
        own = [name for name in folded if (names == "all" or name in names) and name not in placed]
        placed.update(own)
        if own:
            found[section] = own
    return found


def _shown() -> str:
    """Return the file's name with its folder's."""
    return f"{MINE.parent.name}/{MINE.name}"


class Form:
    """A field for each parameter, a preview of the file, the button that writes it, and the password's field."""

    def __init__(self, parameters: Parameters) -> None:
        """Create the form with these parameters; `self.parameters` holds the last valid ones."""
        self.parameters = parameters
        self.fields = {name: _field(name, value) for name, value in plain(parameters, FIELDS).items()}
        self.notes = {name: ipywidgets.HTML() for name in self.fields}
        for name, field in self.fields.items():
            field.add_class(f"{_MARK}{name}")  # by which `parameter_form.js` finds it
        self.preview, self.written = ipywidgets.HTML(), ipywidgets.HTML()
        self.refused: tuple[str, ...] = ()
        self.written_text, self.written_message = "", ""  # the last written file, and the message about it
        self.before: str | None = None  # the file's text before the last click
        self.takes_until = 0.0  # monotonic time until which text that was typed before the last click can arrive
        self.write = ipywidgets.Button(description=say(f"Write {_shown()}"), button_style="primary", layout=_FITTING)
        self.write.on_click(lambda _: self._press())
        for name, field in self.fields.items():
            field.observe(lambda _, name=name: self._check(name), names="value")
        self.password = Password(self)
        self.folds = {title: _Fold(title, self._rows(names)) for title, names in groups().items()}
        # The button is above everything that changes its height: a button that moves under the pointer misses clicks.
        button = ipywidgets.HBox([self.write, self.written])
        folds = (fold.box for fold in self.folds.values())
        self.box = ipywidgets.VBox([button, *self._rows(_FIRST), self.password.box, *folds, self.preview])
        self._check()

    def _rows(self, names: Iterable[str]) -> list[ipywidgets.Widget]:
        return [part for name in names for part in (self.fields[name], self.notes[name])]

    def _check(self, changed: str = "") -> None:
        """Validate the fields: show each error below its field, or the file's text if there is none.

        A value that does not fit another one is said below the field that was `changed` too.
        """
        values = {name: _typed(name, field) for name, field in self.fields.items()}
        refused = refusals(values, where=_WHERE)
        shown = {name: str(error) for name, error in refused.items()}
        if refused and not self.refused:  # so this change has caused it
            shown.setdefault(changed, "\n".join(map(say, shown.values())))
        self.refused = tuple(refused)
        for name, note in self.notes.items():
            note.value = _error(shown[name], name=name) if name in shown else _help(name)
        if refused:
            self.written.value = _error(f"Not yet: correct {', '.join(refused)}.", place=_BESIDE)
        else:
            self.parameters = read(values, where=_WHERE)
            text = file_text(self.parameters)
            self.written.value = self.written_message if text == self.written_text else ""
            self.preview.value = f"<div style='{_BELOW}'>{_shown()}:<pre>{html.escape(text)}</pre></div>"
            self.password.name_place()
        if time.monotonic() < self.takes_until:
            self._write()

    def _press(self) -> None:
        """Write the file, now and for each text that arrives within the next three seconds."""
        self.takes_until = time.monotonic() + _LATE_TEXT_SECONDS
        try:
            self.before = files.read_text(MINE)
        except (RunbookError, OSError) as error:
            self.takes_until = 0.0
            self.written.value = _error(str(error), place=_BESIDE)
            return
        self._write()

    def _write(self) -> None:
        """Write the file unless a value is invalid, and back up the file from before the click."""
        if self.refused:
            return  # `_check` shows the errors
        text = file_text(self.parameters)
        backup = MINE.with_name(f"{MINE.name}.bak")
        is_replaced = self.before not in (None, text)
        try:
            if is_replaced:
                files.write(backup, str(self.before).encode(), 0o644)
            files.ensure_directory(MINE.parent, 0o755)
            files.write(MINE, text.encode(), 0o644)
        except (RunbookError, OSError) as error:
            self.written.value = _error(str(error), place=_BESIDE)
            return
        note = f" What was there before is {backup.name}." if is_replaced else ""
        self.written_text = text
        self.written.value = self.written_message = _done(
            f"Written: {MINE}.{note} The notebooks take it from now on, each from its Load cell; "
            f"a run without JupyterLab too, by `{COMMAND}`.",
            place=_BESIDE,
        )


class _Fold:
    """Fields behind a button, which the keyboard reaches; ipywidgets' own Accordion it does not."""

    def __init__(self, title: str, rows: Sequence[ipywidgets.Widget]) -> None:
        """Create the button, and the fields, which are not shown yet."""
        self.title = title
        self.button = ipywidgets.ToggleButton(layout=_FOLD)
        self.rows = ipywidgets.VBox(rows)
        self.box = ipywidgets.VBox([self.button, self.rows])
        self.button.observe(lambda _: self._show(), names="value")
        self._show()

    def _show(self) -> None:
        is_open = self.button.value
        self.button.description = f"{'▾' if is_open else '▸'} {say(self.title)}"
        self.rows.layout.display = "flex" if is_open else "none"


class Password:
    """The password's field. The typed text leaves the widget at once: no saved notebook can hold it."""

    def __init__(self, form: Form) -> None:
        """Create the empty field and its button."""
        self.form, self.typed = form, ""
        self.field = ipywidgets.Password(
            description=say("password"), style=_LABEL, layout=_WIDE, continuous_update=False
        )
        self.place, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        self.button = ipywidgets.Button(description=say("Keep the password"), disabled=True, layout=_FITTING)
        self.field.observe(lambda change: self._take(change.new), names="value")
        self.button.on_click(lambda _: self._keep())
        self.box = ipywidgets.VBox([self.field, self.place, self.button, self.said])

    def name_place(self) -> None:
        """Show the user of the password and the file that will hold it."""
        path = self.form.parameters.password_path
        texts = [f"of {self.form.parameters.username}; it goes into {path}, a 0600 file"]
        if _is_kept(path):
            texts.append("One is kept there already: leave this empty to keep it")
        self.place.value = _small(html.escape(". ".join(map(say, texts))))

    def _take(self, typed: str) -> None:
        if typed:
            self.typed, self.field.value = typed, ""
            self.field.placeholder = say("taken; choose the button")
            self.button.disabled = False

    def _keep(self) -> None:
        if self.form.refused:  # it could be another user's, or go elsewhere
            self.said.value = _error(f"Not yet: correct {', '.join(self.form.refused)}.")
            return
        path = self.form.parameters.password_path
        try:
            credentials.write_password(path, self.typed)
        except (RunbookError, OSError) as error:
            self.said.value = _error(str(error))
            return
        finally:
            self.typed = ""
            self.button.disabled = True
            self.field.placeholder = ""
        self.box.children = (self.said,)
        for widget in (self.field, self.place, self.button):
            widget.close()
        self.said.value = _done(f"The password is in {path}. 40-configuration gives it to its user.")


def _is_kept(path: Path) -> bool:
    try:
        return files.kind_of(path) is not None
    except RunbookError:  # this user may not look
        return False


def _field(name: str, value: Any) -> ipywidgets.Widget:  # noqa: ANN401 (a parameter of any type)
    """Return the field for a parameter: a dropdown, a checkbox, a text line, or a text area with an entry a line."""
    options = {"description": name, "style": _LABEL, "layout": _WIDE}
    if "enum" in _SCHEMA[name]:
        return ipywidgets.Dropdown(options=_SCHEMA[name]["enum"], value=value, **options)
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value=value, **options)
    if isinstance(value, list):
        lines = [item if isinstance(item, str) else json.dumps(item) for item in value]  # a user can be a mapping
        return ipywidgets.Textarea(value="\n".join(lines), placeholder=say("one a line"), rows=2, **options)
    return ipywidgets.Text(value=str(value), **options)


def _user_typed(line: str) -> object:
    try:
        return parameter_yaml.load(line)
    except YAMLError:
        return line  # which the model refuses


def _typed(name: str, field: ipywidgets.Widget) -> object:
    """Return the value of a field in the model's type."""
    if name == "users":
        return [_user_typed(line) for line in field.value.splitlines() if line.strip()]
    if isinstance(field, ipywidgets.Textarea):
        return field.value.split()
    return from_text(name, field.value) if isinstance(field.value, str) else field.value


def _help(name: str) -> str:
    text = html.escape(say(str(_SCHEMA[name]["description"])))
    return f"<div id='{_MARK}note-{name}'>{_small(text)}</div>"


def _small(text: str) -> str:
    return f"<div style='{_BELOW}; color:var(--jp-ui-font-color2)'>{text}</div>"


def _error(text: str, *, place: str = _BELOW, name: str = "") -> str:
    """Return an error, as the note of a field if it has its name."""
    note = f" id='{_MARK}note-{name}'" if name else ""
    return f"<div role='alert'{note} style='{place}; color:var(--jp-error-color0)'>✗ {html.escape(say(text))}</div>"


def _done(text: str, *, place: str = _BELOW) -> str:
    return f"<div role='status' style='{place}'>✓ {html.escape(say(text))}</div>"
