"""Secrets: where they come from, what they may be, and that no text shows one."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.model.errors import HostError, SecretError
from runbook.system import credentials
from runbook.system.certificates import tls
from tests.conftest import somebody_else

ASK = """
from runbook.model import errors
from runbook.system import credentials
try:
    print(credentials.ask_or_generate("the password"))
except errors.SecretError as error:
    print(type(error).__name__)
"""


def keep(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a secret's file as an operator would, and return its path."""
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("pa ss\n", "pa ss", id="one-newline-goes"),
        pytest.param("pass", "pass", id="without-newline"),
        pytest.param("pass\n\n", "pass\n", id="second-newline-stays"),
        pytest.param("", "", id="empty"),
    ],
)
def test_read_file_gives_the_text_without_its_last_newline(tmp_path: Path, text: str, expected: str) -> None:
    """Fails if an editor's newline becomes part of the secret, or more than that is taken off."""
    assert expected == credentials.read_file(keep(tmp_path / "s", text))


def test_read_file_gives_none_where_there_is_no_file(tmp_path: Path) -> None:
    """Fails if a missing secret is taken for an empty one."""
    assert credentials.read_file(tmp_path / "s") is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610, 0o601, 0o777])
def test_read_file_refuses_what_others_may_read(tmp_path: Path, mode: int) -> None:
    """Fails if a secret that is none any more is used."""
    path = keep(tmp_path / "s", "x", mode)
    with pytest.raises(SecretError, match=rf"mode {mode:04o}\. To repair: run `chmod 600 {path}`"):
        credentials.read_file(path)


def test_read_file_refuses_a_symbolic_link(tmp_path: Path) -> None:
    """Fails if a link decides which file is read."""
    (tmp_path / "link").symlink_to(keep(tmp_path / "s", "x"))
    with pytest.raises((HostError, SecretError), match=str(tmp_path / "link")):
        credentials.read_file(tmp_path / "link")


@pytest.mark.parametrize("password", ["x", "a" * 72, "ä" * 36, "密码", "pä ss:w$'\""])
def test_check_password_takes_what_bcrypt_and_a_login_can_hold(password: str) -> None:
    """Fails if a password that works is refused."""
    assert password == credentials.check_password(password, "here")


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        pytest.param("", "an empty one", id="empty"),
        pytest.param("a" * 73, "one of 73 bytes", id="73-bytes"),
        pytest.param("密" * 25, "one of 75 bytes", id="bytes-not-characters"),
        pytest.param("a\x00b", "one with a control character", id="nul"),
        pytest.param("a\n", "one with a control character", id="newline"),
        pytest.param("\udcff", "one with a control character, or with bytes that are not UTF-8", id="no-utf-8"),
    ],
)
def test_check_password_refuses_what_bcrypt_would_cut(password: str, expected: str) -> None:
    """Fails if somebody who knows a part of a password could get in, or the message repeats the password."""
    with pytest.raises(SecretError, match=rf"72 bytes of printable text \(here\); found {expected}") as caught:
        credentials.check_password(password, "here")
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "file", "expected"),
    [
        pytest.param("from-variable", "from-file", "from-variable", id="variable-wins"),
        pytest.param(None, "from-file\n", "from-file", id="file"),
        pytest.param(None, None, None, id="neither"),
    ],
)
def test_find_password_looks_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, file: str | None, expected: str | None
) -> None:
    """Fails if a password that was kept wins over the one that is given now."""
    if variable:
        monkeypatch.setenv("RUNBOOK_PASSWORD", variable)
    if file:
        keep(tmp_path / "s", file)
    assert expected == credentials.find_password(tmp_path / "s")


def test_find_password_refuses_an_empty_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a variable that came out empty is taken for none, and a file's old password is used."""
    monkeypatch.setenv("RUNBOOK_PASSWORD", "")
    with pytest.raises(SecretError, match=r"\(RUNBOOK_PASSWORD\); found an empty one"):
        credentials.find_password(keep(tmp_path / "s", "old"))


def test_require_password_names_the_notebook(tmp_path: Path) -> None:
    """Fails if the operator is not told where the password comes from."""
    with pytest.raises(SecretError, match=rf"RUNBOOK_PASSWORD or {tmp_path}/s; found neither.*40-configuration"):
        credentials.require_password(tmp_path / "s")
    assert credentials.require_password(keep(tmp_path / "s", "x")) == "x"


def test_find_passphrase_looks_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if no passphrase becomes an empty one, or the file wins over the variable."""
    assert credentials.find_passphrase(None) is None
    path = keep(tmp_path / "s", "über\n")
    assert "über".encode() == credentials.find_passphrase(path)
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", "now")
    assert credentials.find_passphrase(path) == b"now"


@pytest.mark.parametrize(
    ("text", "expected"),
    [pytest.param(None, "no such file", id="no-file"), pytest.param("\n", "an empty one", id="empty")],
)
def test_find_passphrase_refuses_a_file_without_one(tmp_path: Path, text: str | None, expected: str) -> None:
    """Fails if a key would be written unencrypted although a passphrase was asked for."""
    if text is not None:
        keep(tmp_path / "s", text)
    with pytest.raises(SecretError, match=f"a passphrase.*found {expected}"):
        credentials.find_passphrase(tmp_path / "s")


def test_find_passphrase_takes_what_a_key_can_be_encrypted_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if bytes that are no UTF-8, or more than OpenSSL takes, end in a traceback or in another passphrase."""
    key = tls.generate_key("ecdsa-p256")
    longest = "\udcff" + "x" * 1022
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", longest)
    found = credentials.find_passphrase(None)
    assert found == b"\xff" + b"x" * 1022
    assert b"ENCRYPTED" in tls.key_text(key, found)
    with pytest.raises(ValueError, match="longer than 1023 bytes"):
        tls.key_text(key, found + b"x")
    monkeypatch.setenv("RUNBOOK_CA_PASSPHRASE", f"{longest}x")
    with pytest.raises(SecretError, match="at most 1023 bytes; found one of 1024"):
        credentials.find_passphrase(None)


def test_generate_gives_24_random_bytes() -> None:
    """Fails if a generated secret is short, comes twice, or does not fit into a URL, a line or YAML."""
    first, second = credentials.generate(), credentials.generate()
    assert first != second
    assert len(base64.urlsafe_b64decode(first)) == 24
    assert credentials.check_password(first, "here") == first


def test_ask_or_generate_asks_nobody_in_a_headless_run() -> None:
    """Fails if a headless run waits for somebody to type, or http.secret is asked for."""
    assert len(credentials.ask_or_generate("the password")) == 32
    del os.environ["RUNBOOK_HEADLESS"]
    assert len(credentials.ask_or_generate("http.secret")) == 32


def ask(typed: str | None) -> str:
    """Return what a process of its own takes for the password that is typed at its terminal; None is no terminal."""
    terminal, end = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", ASK],
            stdin=subprocess.DEVNULL if typed is None else end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name != "RUNBOOK_HEADLESS"},
            start_new_session=True,
        )
        with process:
            if typed is not None and process.stderr:
                prompt = os.read(process.stderr.fileno(), 1000)  # what is typed before it would be thrown away
                assert b"(empty: one is generated): " in prompt
                os.write(terminal, typed.encode())
            out, err = process.communicate(timeout=60)
        assert out.strip() not in err
        return out.decode().strip()
    finally:
        os.close(terminal)
        os.close(end)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [pytest.param("pä ss\n", "pä ss", id="typed"), pytest.param("a" * 73 + "\n", "SecretError", id="too-long")],
)
def test_ask_or_generate_takes_what_is_typed(typed: str, expected: str) -> None:
    """Fails if what somebody types at a terminal is not taken, or is shown there."""
    assert expected == ask(typed)


@pytest.mark.parametrize("typed", [pytest.param("\n", id="nothing-typed"), pytest.param(None, id="nobody-there")])
def test_ask_or_generate_makes_one_where_none_is_typed(typed: str | None) -> None:
    """Fails if an empty password is taken, or somebody is waited for where nobody can type."""
    assert len(ask(typed)) == 32


def test_reveal_and_conceal_are_each_other_s_opposite(tmp_path: Path) -> None:
    """Fails if what is written is not what was planned with the secret in its place, or is read back differently."""
    path = keep(tmp_path / "s", "c4n4ry\n")
    planned = f"http:\n  secret: {credentials.placeholder(path)}\n  addr: :443\n"
    written = credentials.reveal(planned, (path,))
    assert written == "http:\n  secret: c4n4ry\n  addr: :443\n"
    assert planned == credentials.conceal(written, (path,))
    assert planned == credentials.conceal(planned, (path,))


@pytest.mark.parametrize("text", [None, "\n"])
def test_reveal_refuses_a_placeholder_without_a_secret(tmp_path: Path, text: str | None) -> None:
    """Fails if a file is written with a placeholder, or nothing, where its secret should stand."""
    path = tmp_path / "s"
    if text is not None:
        keep(path, text)
    with pytest.raises(SecretError, match=rf"a secret in {path}; found none.*40-configuration"):
        credentials.reveal(credentials.placeholder(path), (path,))
    assert credentials.reveal("nothing of it", (path,)) == "nothing of it"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("http:\n  secret: c4n4ry # x\n", "http:\n  secret: (not shown)\n", id="block"),
        pytest.param("secret: 'c4n4ry'\na: b\n", "secret: (not shown)\na: b\n", id="quoted"),
        pytest.param("secret:\n  c4n4ry\n", "secret:\n  (not shown)\n", id="on-the-next-line"),
        pytest.param('http:\n  "secret": c4n4ry\n', 'http:\n  "secret": (not shown)\n', id="quoted-name"),
        pytest.param("http: {secret: c4n4ry, a: b}\n", None, id="flow"),
        pytest.param("storage:\n  s3:\n    secretkey: c4n4ry\n", None, id="storage-key"),
        pytest.param("redis:\n  password: c4n4ry\n", None, id="redis-password"),
        pytest.param("secret: two c4n4ry\n", None, id="two-words"),
        pytest.param("secret: a,c4n4ry\n", None, id="comma"),
        pytest.param('secret: "a\\"c4n4ry"\na: b\n', None, id="escaped-quotation-mark"),
        pytest.param("secret: |\n  c4n4ry\na: b\n", None, id="block-scalar"),
    ],
)
def test_conceal_hides_secrets_that_are_not_ours(tmp_path: Path, text: str, expected: str | None) -> None:
    """Fails if a plan's diff shows the secret of a config.yml that the runbook did not make."""
    found = credentials.conceal(text, (tmp_path / "absent",))
    assert "c4n4ry" not in found
    assert expected in (None, found)


def test_keep_password_writes_it_for_its_owner_alone(tmp_path: Path) -> None:
    """Fails if the file, or a folder made for it, can be read by others, or what it replaces stays."""
    path = tmp_path / "a" / "b" / "password"
    credentials.write_password(path, "first")
    credentials.write_password(path, "pa ss")
    assert credentials.find_password(path) == "pa ss"
    assert [oct(item.stat().st_mode & 0o777) for item in (path, *path.parents[:2])] == ["0o600", "0o700", "0o700"]


def test_keep_password_refuses_what_cannot_be_used_or_written(tmp_path: Path) -> None:
    """Fails if a password that no login could hold is kept, or a user without the right gets a traceback."""
    with pytest.raises(SecretError, match="an empty one"):
        credentials.write_password(tmp_path / "password", "")
    with somebody_else(), pytest.raises(SecretError, match=r"user id 65534 is not.*password_file"):
        credentials.write_password(tmp_path / "a" / "password", "pass")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_find_password_takes_a_line_end_off(tmp_path: Path, end: str) -> None:
    """Fails if a file that was written on Windows holds another password than the one typed there."""
    assert credentials.find_password(keep(tmp_path / "p", f"pass{end}")) == "pass"


@pytest.mark.parametrize("text", ["", "\n", "\r\n", "pass\r\r\n", "\ufeffpass\n", "a\r\nb\n"])
def test_find_password_says_what_to_do_about_its_file(tmp_path: Path, text: str) -> None:
    """Fails if a file without one password is used, or who has it is not told what to write where."""
    path = keep(tmp_path / "p", text)
    with pytest.raises(SecretError, match=rf"write the right one into {path}, as one line; or, .* move it away"):
        credentials.find_password(path)
