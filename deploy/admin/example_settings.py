"""The example of a settings file, `deploy/example.toml`: every setting with its sentence and default, commented out.

`python -m deploy.admin.example_settings` writes it anew from the settings; a test compares the two.
"""

import ast
import inspect
import json
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

import deploy
from schemas.config.settings import Secret, Settings

FILE: Final = Path(deploy.__file__).with_name("example.toml")
_WIDTH: Final = 118
_HEAD: Final = """\
# All settings of Callweave at their defaults. Copy this file to callweave.toml and uncomment what is to be different.
# A variable of the environment wins: CALLWEAVE_KAFKA__BOOTSTRAP for bootstrap of [kafka], a list as JSON.
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
    yield from [*_comment(f"{text} One block for each:"), "#", f"#     [[{'.'.join(path)}]]"]
    for field in msgspec.structs.fields(entry):
        for line in textwrap.wrap(_with_choices(texts[field.name], hints[field.name]), _WIDTH - 8):
            yield f"#     # {line}"
        value = '"..."  # required' if field.required else _toml(_default(field))
        yield f"#     {field.name} = {value}"
    yield ""


def documented(section: type[msgspec.Struct]) -> dict[str, str]:
    """Returns the docstring under each field of a section as one line."""
    (definition,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(sentence))):
                found[name] = " ".join(sentence.split())
    return found


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH)]


def _with_choices(text: str, kind: Any) -> str:
    if typing.get_origin(kind) is not typing.Literal:
        return text
    return f"{text} One of {', '.join(map(json.dumps, typing.get_args(kind)))}."


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not Secret


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
