"""The key of tokens that `callweave up` makes: once, for its owner alone, and never another one in its place."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from deploy.process import token_key
from deploy.runtime import resolved
from schemas.config.loader import shown, whole
from schemas.config.privacy import KEY_CHARS, PrivacySettings
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, EmbeddedSettings, Settings
from schemas.errors import SetupError


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    assert token_key.kept(tmp_path) == Secret()
    token_key.make(tmp_path)
    first = token_key.kept(tmp_path)
    token_key.make(tmp_path)

    assert token_key.kept(tmp_path) == first
    assert len(first.value) >= KEY_CHARS
    assert (tmp_path / token_key.FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [token_key.FILE]


def test_two_directories_have_two_keys(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        token_key.make(tmp_path / name)

    assert token_key.kept(tmp_path / "a").value != token_key.kept(tmp_path / "b").value


@pytest.mark.parametrize("damage", [b"", b"\n", b"\xff"], ids=["empty", "a line end", "no text"])
def test_a_damaged_one_is_an_error_and_not_replaced(tmp_path: Path, damage: bytes) -> None:
    """A new key in its place would give every number another token without a word."""
    (tmp_path / token_key.FILE).write_bytes(damage)

    with pytest.raises(SetupError, match=token_key.FILE):
        token_key.make(tmp_path)
    assert (tmp_path / token_key.FILE).read_bytes() == damage


def settings_in(data_dir: Path) -> Settings:
    return Settings(embedded=EmbeddedSettings(data_dir=str(data_dir)))


def test_parts_and_commands_use_it_and_do_not_show_it(tmp_path: Path) -> None:
    token_key.make(tmp_path)
    settings = resolved(settings_in(tmp_path))
    key = settings.privacy.key.value

    assert key == token_key.kept(tmp_path).value != ""
    assert key not in whole(settings)
    assert shown(settings)["privacy"]["key"] == f"*** (file {tmp_path / token_key.FILE})"


GIVEN = PrivacySettings(key=Secret("9f2c71e8b05d46a39f2c71e8b05d46a3"))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"privacy": GIVEN}, GIVEN.key.value),
        ({"clickhouse": ClickHouseSettings(url="http://db.example:8123")}, ""),
    ],
    ids=["a key in the settings", "a ClickHouse of one's own"],
)
def test_it_is_not_used_with(tmp_path: Path, changes: dict[str, object], key: str) -> None:
    token_key.make(tmp_path)

    assert resolved(replace(settings_in(tmp_path), **changes)).privacy.key.value == key
