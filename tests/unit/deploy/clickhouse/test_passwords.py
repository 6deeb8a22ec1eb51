"""The passwords of a data directory: made once, kept in a private file, changed in one step."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.clickhouse import passwords
from schemas.errors import SetupError

KEPT: passwords.Passwords = {"a": ("now", "before")}
READY = [
    pytest.param({}, {"a": "given"}, {"a": ("given",)}, id="new, and given"),
    pytest.param(KEPT, {"a": ""}, {"a": ("now",)}, id="kept: what was before ends"),
    pytest.param(KEPT, {"a": "given"}, {"a": ("given",)}, id="given: what was kept ends"),
    pytest.param(KEPT, {"b": "given"}, {"b": ("given",)}, id="another name: who is not named any more is gone"),
    pytest.param({"a": ()}, {"a": "given"}, {"a": ("given",)}, id="a name without any"),
]


@pytest.mark.parametrize(("kept", "given", "wanted"), READY)
def test_a_start_settles_one_password_for_each_name(
    tmp_path: Path, kept: passwords.Passwords, given: dict[str, str], wanted: passwords.Passwords
) -> None:
    if kept:
        passwords.write(tmp_path, kept)
    current = passwords.ready(tmp_path, given)

    assert passwords.read(tmp_path) == wanted
    assert current == {name: all_[0] for name, all_ in wanted.items()}


def test_a_password_that_is_not_given_is_random_and_kept(tmp_path: Path) -> None:
    first = passwords.ready(tmp_path, {"a": "", "b": ""})
    second = passwords.ready(tmp_path, {"a": "", "b": ""})

    assert first == second
    assert first["a"] != first["b"]
    assert all(len(password) >= 24 and password.isascii() for password in first.values())


CHANGES = [
    pytest.param(("now", "before"), False, ("new",), id="at once"),
    pytest.param(("now", "before"), True, ("new", "now", "before"), id="with those that running parts may use"),
    pytest.param(("new",), True, ("new",), id="to what it is"),
    pytest.param((), True, ("new",), id="where there was none"),
]


@pytest.mark.parametrize(("before", "keep_old", "after"), CHANGES)
def test_a_password_is_changed(
    tmp_path: Path, before: tuple[str, ...], after: tuple[str, ...], *, keep_old: bool
) -> None:
    passwords.write(tmp_path, {"a": before, "other": ("stays",)})
    passwords.change(tmp_path, "a", "new", keep_old=keep_old)

    assert passwords.read(tmp_path) == {"a": after, "other": ("stays",)}


def test_a_name_that_has_no_account_gets_no_password(tmp_path: Path) -> None:
    passwords.write(tmp_path, {"a": ("now",)})
    with pytest.raises(SetupError, match="nobody is called 'b'"):
        passwords.change(tmp_path, "b", "new", keep_old=False)

    assert passwords.read(tmp_path) == {"a": ("now",)}


NAME = st.text(st.characters(exclude_categories=["Cs"]))


@given(kept=st.dictionaries(NAME, st.lists(NAME, max_size=3).map(tuple), max_size=4))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, kept: passwords.Passwords) -> None:
    folder = tmp_path_factory.mktemp("passwords")
    passwords.write(folder, kept)

    assert passwords.read(folder) == kept
    assert stat.S_IMODE((folder / passwords.FILE).stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [passwords.FILE]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"a": "b"}', b'{"a": [1]}', b"\xff"])
def test_a_file_that_cannot_be_read_is_reported_with_what_to_do(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / passwords.FILE).write_bytes(raw)
    with pytest.raises(SetupError, match="cannot be read") as caught:
        passwords.ready(tmp_path, {"a": ""})

    assert caught.value.code == "no_access"
    assert (tmp_path / passwords.FILE).read_bytes() == raw


def test_a_write_that_fails_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords.write(tmp_path, KEPT)

    def full(_: int) -> None:
        raise OSError("full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="full"):
        passwords.write(tmp_path, {"a": ("other",)})

    assert passwords.read(tmp_path) == KEPT
    assert [path.name for path in tmp_path.iterdir()] == [passwords.FILE]
