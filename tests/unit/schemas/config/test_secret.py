"""Secrets of the settings: a text, a file or a variable; never shown, and handed to a part with their source."""

import pickle
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from schemas.config.changes import differing
from schemas.config.loader import load, shown, whole
from schemas.config.secret import Secret, read_secret
from schemas.config.settings import Settings
from schemas.errors import SettingsError

VALUE = "open sesame [1]"
NONE: frozenset[str] = frozenset()


def read(toml: str, tmp_path: Path, **environ: str) -> Settings:
    path = tmp_path / "callweave.toml"
    path.write_text(toml, "utf-8")
    return load(path, environ, NONE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{VALUE}\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("toml", "environ", "source"),
    [
        pytest.param('password = "{value}"', {}, "", id="a text"),
        pytest.param('password = {{ value = "{value}" }}', {}, "", id="a value"),
        pytest.param('password = {{ file = "{file}" }}', {}, " (file {file})", id="a file"),
        pytest.param('password = {{ env = "PW" }}', {"PW": "{value}"}, " (env PW)", id="a variable"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__PASSWORD": "{value}"}, "", id="text of the environment"),
        pytest.param("", {"CALLWEAVE_CLICKHOUSE__PASSWORD__VALUE": "{value}"}, "", id="a value of the environment"),
        pytest.param(
            "", {"CALLWEAVE_CLICKHOUSE__PASSWORD__FILE": "{file}"}, " (file {file})", id="a file of the environment"
        ),
        pytest.param(
            "",
            {"CALLWEAVE_CLICKHOUSE__PASSWORD__ENV": "PW", "PW": "{value}"},
            " (env PW)",
            id="a variable named by the environment",
        ),
        pytest.param(
            'password = "another"',
            {"CALLWEAVE_CLICKHOUSE__PASSWORD__FILE": "{file}"},
            " (file {file})",
            id="the environment wins over a text",
        ),
        pytest.param(
            'password = {{ env = "OTHER" }}',
            {"CALLWEAVE_CLICKHOUSE__PASSWORD__FILE": "{file}", "OTHER": "another"},
            " (file {file})",
            id="the environment wins over another source",
        ),
        pytest.param(
            'password = {{ file = "/nowhere" }}',
            {"CALLWEAVE_CLICKHOUSE__PASSWORD": "{value}"},
            "",
            id="text of the environment wins over a file that is not there",
        ),
    ],
)
def test_a_secret_has_one_of_three_sources(
    toml: str, environ: dict[str, str], source: str, file: Path, tmp_path: Path
) -> None:
    given = {name: text.format(value=VALUE, file=file) for name, text in environ.items()}
    settings = read("[clickhouse]\n" + toml.format(value=VALUE, file=file), tmp_path, **given)

    assert settings.clickhouse.password.value == VALUE
    assert shown(settings)["clickhouse"]["password"] == "***" + source.format(file=file)
    assert VALUE not in repr(settings) + str(settings)
    assert load(None, given, NONE, handed_over=whole(settings)) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_part_gets_the_source_and_not_the_value(file: Path, tmp_path: Path) -> None:
    """It reads the secret again when it is told to read its settings again."""
    settings = read(f'[clickhouse]\npassword = {{ file = "{file}" }}\n', tmp_path)
    handed_over = whole(settings)
    file.write_text("the next one\r\n", "utf-8")

    assert VALUE not in handed_over
    assert load(None, {}, NONE, handed_over=handed_over).clickhouse.password.value == "the next one"


@pytest.mark.parametrize("text", ["", "\n", " a ", "a\n\n", "a\nb", "\ufeff"])
def test_of_a_file_only_one_line_end_is_left_out(text: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(text.encode())

    assert read_secret({"file": str(tmp_path / "secret")}, {}).value == text.removesuffix("\n")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        pytest.param('password = { file = "/nowhere/pw" }', "cannot read '/nowhere/pw': No such file", id="no file"),
        pytest.param('password = { file = "/" }', "cannot read '/'", id="a folder"),
        pytest.param('password = { env = "UNSET" }', "the variable 'UNSET' is not set", id="no variable"),
        pytest.param("password = {}", "one of `value`, `file` and `env`", id="no source"),
        pytest.param('password = { value = "hush", env = "PW" }', "one of `value`, `file` and `env`", id="two sources"),
        pytest.param('password = { path = "hush" }', "one of `value`, `file` and `env`", id="an unknown source"),
        pytest.param('password = { file = ["hush"] }', "one of `value`, `file` and `env`", id="a list for a file"),
        pytest.param("password = 815", "a text is wanted", id="a number"),
        pytest.param('password = ["hush"]', "a text is wanted", id="a list"),
    ],
)
def test_a_secret_that_cannot_be_read_is_named_and_not_shown(toml: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(f"[clickhouse]\n{toml}\n", tmp_path)

    assert message in str(caught.value)
    assert "`$.clickhouse.password`" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "815" not in str(caught.value)


def test_bytes_that_are_not_text_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(b"hush\xff")
    with pytest.raises(SettingsError, match=r"is not text in UTF-8 - at `\$\.clickhouse\.password`"):
        read(f'[clickhouse]\npassword = {{ file = "{tmp_path / "pw"}" }}\n', tmp_path)


def classes(hint: Any) -> Iterator[type]:
    """Yields the classes that a type is made of, those of the entries of a list included."""
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    for below in typing.get_args(hint):
        yield from classes(below)


def sections(hint: Any) -> list[type[msgspec.Struct]]:
    return [each for each in classes(hint) if issubclass(each, msgspec.Struct)]


def secret_paths(section: type[msgspec.Struct]) -> Iterator[str]:
    """Yields the path of every secret."""
    hints = typing.get_type_hints(section)
    for field in msgspec.structs.fields(section):
        if Secret in classes(hints[field.name]):
            yield field.name
        for below in sections(hints[field.name]):
            yield from (f"{field.name}.{path}" for path in secret_paths(below))


def with_secrets(section: type[msgspec.Struct], value: str) -> msgspec.Struct:
    """Returns a section in which every secret has this value; lists have an entry of each kind."""
    hints, given = typing.get_type_hints(section), dict[str, Any]()
    for field in msgspec.structs.fields(section):
        hint = hints[field.name]
        listed = typing.get_origin(hint) is tuple
        made = [Secret(value)] if Secret in classes(hint) else [with_secrets(each, value) for each in sections(hint)]
        if made:
            given[field.name] = tuple(made) if listed else made[0]
        elif field.required:
            given[field.name] = () if listed else "x"
    return section(**given)


SECRET_PATHS = list(secret_paths(Settings))


def test_no_secret_of_any_section_is_shown_compared_or_printed() -> None:
    """Fills every secret that there is, those of later releases too."""
    one, other = (cast("Settings", with_secrets(Settings, f"distinctive-{name}")) for name in ("one", "other"))

    assert {"clickhouse.password", "accounts.secret"} <= set(SECRET_PATHS)
    assert whole(one).count("distinctive-one") == len(SECRET_PATHS)
    assert "distinctive" not in str(shown(one))
    assert "distinctive" not in repr(one)
    assert len(differing(one, other)) == len(SECRET_PATHS)
    assert "distinctive" not in str(differing(one, other))


def test_an_address_with_a_login_is_not_quoted_whole(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read('[kafka]\nbootstrap = "user:hunter2@kafka 1:9092"', tmp_path)

    assert "hunter2" not in str(caught.value)
    assert "kafka 1:9092" in str(caught.value)
