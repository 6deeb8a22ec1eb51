"""The example of a settings file, `deploy/example.toml`: every setting with its sentence and default, commented out.

`python -m deploy.admin.example_settings` writes it anew from the settings; a test compares the two.
"""

import inspect
import json
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

import deploy
from deploy.admin.contract_lists import texts_below
from schemas.config.secret import Secret
from schemas.config.settings import Settings

FILE: Final = Path(deploy.__file__).with_name("example.toml")
_WIDTH: Final = 118
_HEAD: Final = """\
# All settings of Callweave at their defaults. Copy this file to callweave.toml and uncomment what is to be different.
# A variable of the environment wins: CALLWEAVE_KAFKA__BOOTSTRAP for bootstrap of [kafka], a list as JSON. A secret may
# name its source in the place of a text: { file = "/run/secrets/name" } or { env = "NAME" }; as a variable,
# CALLWEAVE_CLICKHOUSE__PASSWORD__FILE.
# `callweave --check-config` shows the effective settings. This file is written by
# python -m deploy.admin.example_settings.
"""


def document() -> str:
    """Returns the whole file."""
    return "\n".join([_HEAD, *_section(Settings, ())])


def _section(section: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[str]:
    """Yields the lines of a section: its own settings, its lists of entries, and then the sections below it."""
    texts = documented(section)
    hints = typing.get_type_hints(section)
    below = []
    for field in msgspec.structs.fields(section):
        kind = hints[field.name]
        entry = _entry(kind)
        if entry is not None:
            below += [*_entries(entry, (*path, field.name), texts[field.name])]
        elif _is_section(kind):
            name = ".".join((*path, field.name))
            text = texts.get(field.name) or inspect.getdoc(kind) or ""
            below += [*_comment(text), f"[{name}]", "", *_section(kind, (*path, field.name))]
        else:
            yield from [
                *_comment(_with_choices(texts[field.name], kind)),
                f"#{field.name} = {_toml(_default(field))}",
                "",
            ]
    yield from below


def _entries(entry: type[msgspec.Struct], path: tuple[str, ...], text: str) -> Iterator[str]:
    """Yields the form of a list of tables, indented, so that it is told apart from settings with a default."""
    texts = documented(entry)
    hints = typing.get_type_hints(entry)
    lines = [*_comment(f"{text} One block for each:"), "#", f"#     [[{'.'.join(path)}]]"]
    below: list[str] = []
    for field in msgspec.structs.fields(entry):
        kinds = _kinds(hints[field.name])
        for line in textwrap.wrap(_with_choices(texts[field.name], hints[field.name]), _WIDTH - 8):
            (below if kinds else lines).append(f"#     # {line}")
        if kinds:
            below += [line for kind in kinds for line in _kind(kind, (*path, field.name))]
        else:
            lines.append(_line(field))
    yield from [*lines, *below, ""]


def _kind(kind: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[str]:
    """Yields the form of one kind of table in a list that may hold several kinds."""
    texts = documented(kind)
    hints = typing.get_type_hints(kind)
    yield "#"
    for line in textwrap.wrap(" ".join((inspect.getdoc(kind) or "").split()), _WIDTH - 8):
        yield f"#     # {line}"
    yield from [f"#     [[{'.'.join(path)}]]", f'#     kind = "{kind.__struct_config__.tag}"']
    for field in msgspec.structs.fields(kind):
        for line in textwrap.wrap(_with_choices(texts[field.name], hints[field.name]), _WIDTH - 8):
            yield f"#     # {line}"
        yield _line(field)


def _line(field: msgspec.structs.FieldInfo) -> str:
    return f"#     {field.name} = " + ('"..."  # required' if field.required else _toml(_default(field)))


def documented(section: type[msgspec.Struct]) -> dict[str, str]:
    """Returns the docstring under each field of a section as one line, those that it inherits included."""
    found: dict[str, str] = {}
    for base in section.__bases__:
        if base is not msgspec.Struct and issubclass(base, msgspec.Struct):
            found |= documented(base)
    return found | {name: " ".join(text.split()) for name, text in texts_below(section)}


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH)]


def _with_choices(text: str, kind: Any) -> str:
    if typing.get_origin(kind) is not typing.Literal:
        return text
    return f"{text} One of {', '.join(map(json.dumps, typing.get_args(kind)))}."


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _kinds(kind: Any) -> tuple[type[msgspec.Struct], ...]:
    """Returns the types of a list whose tables are of several kinds, () for any other setting."""
    arguments = typing.get_args(kind)
    members = typing.get_args(arguments[0]) if typing.get_origin(kind) is tuple else ()
    return members if members and all(map(_is_section, members)) else ()


def _entry(kind: Any) -> type[msgspec.Struct] | None:
    """Returns the type of a list's tables, None for any other setting."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and _is_section(arguments[0]):
        return typing.cast("type[msgspec.Struct]", arguments[0])
    return None


def _default(field: msgspec.structs.FieldInfo) -> Any:
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return default.value if isinstance(default, Secret) else default


def _toml(value: Any) -> str:
    """Returns a plain value as TOML, which is JSON for all types of settings; a secret as its text."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
