"""The form in 00-index, without a browser: what is typed, what is shown beside it, and what is written."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.jupyter import parameter_form
from runbook.jupyter.parameter_form import Form
from runbook.model.parameters import Parameters, load_file, read
from runbook.system import credentials


@pytest.fixture(autouse=True)
def mine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the form write into a folder of the test's own."""
    monkeypatch.setattr(parameter_form, "MINE", tmp_path / "parameters" / "mine.yml")
    return tmp_path / "parameters" / "mine.yml"


def test_groups_hold_each_parameter_once() -> None:
    """Fails if a parameter of the model has no field that a person can reach, or two."""
    names = [name for names in parameter_form.groups().values() for name in names]
    first = {"domain", "port", "username"}
    assert sorted({*Parameters.model_fields} - {"message", "confirm"} - first) == sorted(names)
    assert "private_directory" in parameter_form.groups()["Used throughout"]
    assert "bcrypt_cost" in parameter_form.groups()["40-configuration"]
    assert parameter_form.groups()["75-prove"] == ["accept_proof"]


def test_untouched_form_holds_the_parameters_it_was_given() -> None:
    """Fails if a field shows another value than the one that counts, or reads it back as another."""
    given = Parameters(domain="a.example.org", extra_names=["b.test", "c.test"], delete_enabled=False, log_level="warn")
    made = Form(given)
    assert given == made.parameters
    assert made.fields["extra_names"].value == "b.test\nc.test"
    assert [note.value for note in made.notes.values() if "role='alert'" in note.value] == []
    assert "name of the registry" in made.notes["domain"].value


@pytest.mark.parametrize(
    ("name", "typed", "expected"),
    [
        pytest.param("port", "70000", "input should be less than or equal to 65535; found 70000", id="out-of-range"),
        pytest.param("port", "much", "input should be a valid integer; found &#x27;much&#x27;", id="no-number"),
        pytest.param("extra_addresses", "1.2.3.4\n<b>", "an IPv4 or IPv6 address", id="second-of-a-list"),
        pytest.param("basic_port", "443", "a port other than that of the registry over TLS", id="does-not-fit-another"),
    ],
)
def test_wrong_value_is_named_beside_its_field_alone(mine: Path, name: str, typed: str, expected: str) -> None:
    """Fails if an error stands beside another field, in other words than a run's, or the file can be written."""
    made = Form(Parameters())
    made.fields[name].value = typed
    assert [known for known, note in made.notes.items() if "role='alert'" in note.value] == [name]
    assert expected in made.notes[name].value
    assert "typed here" in made.notes[name].value
    assert "<b>" not in made.notes[name].value
    made.write.click()
    assert f"Not yet: correct {name}." in made.written.value
    assert not mine.exists()
    made.fields[name].value = "" if name == "extra_addresses" else str(getattr(Parameters(), name))
    assert "role='alert'" not in made.notes[name].value
    assert mine.exists()  # it was asked for, and what is typed now can be written


def test_form_begins_with_what_most_deployments_need() -> None:
    """Fails if a newcomer has to look for name, port, user or password, or meets all the other fields unfolded."""
    made = Form(Parameters())
    _, *shown, _ = made.box.children
    first = [made.fields[name] for name in ("domain", "port", "username")]
    folds = [fold.box for fold in made.folds.values()]
    assert [widget for widget in shown if widget not in made.notes.values()] == [*first, made.password.box, *folds]
    assert {fold.rows.layout.display for fold in made.folds.values()} == {"none"}


def test_fold_opens_and_closes_by_its_button() -> None:
    """Fails if fields stay out of reach, or the button does not say which way it goes."""
    fold = Form(Parameters()).folds["40-configuration"]
    assert fold.button.description == "▸ 40-configuration"
    fold.button.value = True
    assert (fold.button.description, fold.rows.layout.display) == ("▾ 40-configuration", "flex")
    fold.button.value = False
    assert fold.rows.layout.display == "none"


def test_value_that_does_not_fit_another_is_said_where_it_was_typed() -> None:
    """Fails if the reader of a field has to look for its error in a folded group."""
    made = Form(Parameters())
    made.fields["port"].value = "5000"
    wrong = [known for known, note in made.notes.items() if "role='alert'" in note.value]
    assert wrong == ["port", "basic_port"]
    assert "for basic_port: a port other than" in made.notes["port"].value
    made.fields["basic_port"].value = "5001"
    assert [known for known, note in made.notes.items() if "role='alert'" in note.value] == []


def test_several_wrong_values_are_all_named() -> None:
    """Fails if only the first of them is: the others would come up one after another."""
    made = Form(Parameters())
    made.fields["port"].value = "0"
    made.fields["bcrypt_cost"].value = "99"
    assert [known for known, note in made.notes.items() if "role='alert'" in note.value] == ["port", "bcrypt_cost"]
    assert "port, bcrypt_cost" in made.written.value


def test_button_writes_what_differs_and_keeps_what_was_there(mine: Path) -> None:
    """Fails if the file is another than the preview, is not what was typed, or an earlier one is lost."""
    made = Form(Parameters())
    made.fields["domain"].value = "images.example.org"
    made.fields["insecure_registries"].value = "a.test:5000\n\n 192.168.1.0/24 "
    made.write.click()
    assert load_file(mine) == {"domain": "images.example.org", "insecure_registries": ["a.test:5000", "192.168.1.0/24"]}
    assert 'domain: "images.example.org"' in mine.read_text(encoding="utf-8")
    assert "domain: &quot;images.example.org&quot;" in made.preview.value
    assert not mine.with_name("mine.yml.bak").exists()
    first = mine.read_text(encoding="utf-8")
    made.write.click()
    assert not mine.with_name("mine.yml.bak").exists()  # the same again is no earlier one
    made.takes_until = 0.0  # it is some seconds later
    made.fields["domain"].value = "registry.test"
    made.write.click()
    assert first == mine.with_name("mine.yml.bak").read_text(encoding="utf-8")
    assert read(load_file(mine), where="a test").domain == "registry.test"
    assert "mine.yml.bak" in made.written.value


def test_press_takes_what_was_typed_before_it_and_arrives_after_it(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a press that overtakes what was typed writes less than that, or what is typed later is written too."""
    mine.parent.mkdir()
    mine.write_text("port: 8443\n", encoding="utf-8")
    made, now = Form(Parameters()), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made.fields["domain"].value = "images."  # refused, but not all that was typed
    made.write.click()
    assert "Not yet: correct domain." in made.written.value
    for typed in ("images.example.or", "images.example.org"):
        made.fields["domain"].value = typed
        assert load_file(mine) == {"domain": typed}
    assert "Written" in made.written.value
    assert mine.with_name("mine.yml.bak").read_text(encoding="utf-8") == "port: 8443\n"
    now += 3.0
    made.fields["domain"].value = "later.example.org"
    assert load_file(mine) == {"domain": "images.example.org"}
    assert made.written.value == ""
    made.fields["domain"].value = "images.example.org"
    assert "Written" in made.written.value  # it is what the file holds


def test_file_that_cannot_be_written_is_said(mine: Path) -> None:
    """Fails if a click ends in a traceback that nobody sees, or says that it has written."""
    mine.mkdir(parents=True)
    made = Form(Parameters())
    made.write.click()
    assert "found a folder" in made.written.value
    assert "Written" not in made.written.value


def test_password_is_in_its_file_and_in_no_widget(make_parameters: Callable[..., Parameters], mine: Path) -> None:
    """Fails if what is typed stays in the state of a widget, which a notebook can store, or reaches another file."""
    made = Form(make_parameters())
    made.password.field.value = "canary wren"
    states = [widget.get_state() for widget in (made.password.field, made.password.button, made.password.said)]
    assert "canary" not in str(states)
    assert "canary" not in made.preview.value
    made.password.button.click()
    path = made.parameters.password_path
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("canary wren\n", 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert str(path) in made.password.said.value
    assert made.password.field.comm is None  # closed
    made.write.click()
    assert "canary" not in mine.read_text(encoding="utf-8")


def test_refused_password_can_be_typed_again(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a password that no login could hold is kept, or the field is gone after it."""
    made = Form(make_parameters())
    made.password.field.value = "x" * 73
    made.password.button.click()
    assert "one of 73 bytes" in made.password.said.value
    assert not made.parameters.password_path.exists()
    made.password.field.value = "shorter"
    made.password.button.click()
    assert made.parameters.password_path.exists()


def test_password_waits_until_no_value_is_wrong(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a password is kept for a user or in a folder that is being corrected, or is lost meanwhile."""
    made = Form(make_parameters())
    made.fields["port"].value = "0"
    made.password.field.value = "canary wren"
    made.password.button.click()
    assert "Not yet: correct port." in made.password.said.value
    assert not made.parameters.password_path.exists()
    made.fields["port"].value = "443"
    made.password.button.click()
    assert made.parameters.password_path.read_text(encoding="utf-8") == "canary wren\n"


def test_form_says_whether_a_password_is_kept(make_parameters: Callable[..., Parameters]) -> None:
    """Fails if a password that is kept already has to be typed again to be sure."""
    parameters = make_parameters()
    assert "kept there already" not in Form(parameters).password.place.value
    credentials.write_password(parameters.password_path, "canary wren")
    assert "One is kept there already" in Form(parameters).password.place.value


def test_password_s_place_follows_the_fields() -> None:
    """Fails if a password is kept for another user than the form says."""
    made = Form(Parameters())
    made.fields["username"].value = "guest"
    assert "/etc/registry-runbook/secrets/password-guest" in made.password.place.value


def test_headless_run_shows_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Fails if a run that nobody watches stores a form, which nbval could not compare."""
    parameter_form.show(Parameters())
    shown = capsys.readouterr().out
    assert "The form is shown where a person runs this notebook in JupyterLab." in shown
    assert "VBox" not in shown
