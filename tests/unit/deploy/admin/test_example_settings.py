"""`deploy/example.toml` is the settings: every one is in it, with its sentence and its default."""

import re
import tomllib
import types
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from deploy.admin.example_settings import FILE, document
from schemas.config.loader import load
from schemas.config.settings import Settings

TEXT = FILE.read_text(encoding="utf-8")
UNCOMMENTED = re.sub(r"^#(?=[a-z0-9_]+ = )", "", TEXT, flags=re.MULTILINE)


def every_setting(section: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the header and the name of every setting; the fields of accounts are under the header of their list."""
    for name, kind in typing.get_type_hints(section).items():
        arguments = [kind, *typing.get_args(kind)]
        below = [one for one in arguments if isinstance(one, type) and issubclass(one, msgspec.Struct)]
        kinds = [kind for one in arguments if isinstance(one, types.UnionType) for kind in typing.get_args(one)]
        if kinds and issubclass(kinds[0], msgspec.Struct):
            for one in kinds:
                yield from every_setting(one, f'{path}.{name}]]\n#     kind = "{one.__struct_config__.tag}"')
        elif below:
            yield from every_setting(below[0], f"{path}.{name}".lstrip("."))
        else:
            yield path, name


def test_the_example_is_made_from_the_settings() -> None:
    """After a new setting: `python -m deploy.admin.example_settings`."""
    assert document() == TEXT


def test_it_is_toml_that_sets_nothing() -> None:
    assert load(FILE, {}, frozenset()) == Settings()


def test_with_every_default_uncommented_it_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "callweave.toml"
    file.write_text(UNCOMMENTED, encoding="utf-8")

    assert UNCOMMENTED != TEXT
    assert load(file, {}, frozenset()) == Settings()


@pytest.mark.parametrize(("section", "name"), list(every_setting(Settings)))
def test_every_setting_is_in_it(section: str, name: str) -> None:
    """Every setting is in its own section; those of an account are in the form of its list."""
    values = tomllib.loads(UNCOMMENTED)
    for part in section.split("."):
        values = values.get(part, {})
    header = section if "]]" in section else f"{section}]]"
    form = TEXT.partition(f"#     [[{header}")[2].partition("\n#\n" if "kind" in section else "\n\n")[0]

    assert name in values or f"#     {name} = " in form


def test_every_default_has_a_sentence() -> None:
    lines = TEXT.split("\n")
    bare = [line for before, line in pairwise(lines) if re.match(r"#[a-z0-9_]+ = ", line) and before[:2] != "# "]

    assert bare == []
