"""Compares two settings: the paths that differ, and one set of settings with some paths of another. Pure.

A path is that of the settings file, as `kafka.password`; entries of a list have their number, as
`accounts[0].secret`. A list whose length changed differs as a whole. Values never leave this module.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import fields, replace

from schemas.config.settings import Settings

_NO_PATH: Final = ""


def differing(old: Settings, new: Settings) -> tuple[str, ...]:
    """Returns the paths of the settings that differ, in the order of the settings."""
    return tuple(_paths(old, new, _NO_PATH))


def combined(old: Settings, new: Settings, takes: Callable[[str], bool]) -> Settings:
    """Returns the new settings where `takes` is true for the path of a difference, and the old ones elsewhere."""
    mixed: Settings = _mixed(old, new, _NO_PATH, takes)
    return mixed


def _paths(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, msgspec.Struct):
        for field in fields(old):
            yield from _paths(getattr(old, field.name), getattr(new, field.name), _below(path, field.name))
    elif _entries(old, new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _paths(one, other, f"{path}[{number}]")
    elif old != new:
        yield path


def _mixed(old: Any, new: Any, path: str, takes: Callable[[str], bool]) -> Any:
    if isinstance(old, msgspec.Struct):
        names = [field.name for field in fields(old)]
        return replace(
            old,
            **{name: _mixed(getattr(old, name), getattr(new, name), _below(path, name), takes) for name in names},
        )
    if _entries(old, new):
        return tuple(
            _mixed(one, other, f"{path}[{number}]", takes)
            for number, (one, other) in enumerate(zip(old, new, strict=True))
        )
    return new if old != new and takes(path) else old


def _entries(old: Any, new: Any) -> bool:
    """True for two lists of sections of the same length and kinds, whose entries are compared one by one."""
    return (
        isinstance(old, tuple)
        and isinstance(new, tuple)
        and len(old) == len(new)
        and all(
            isinstance(one, msgspec.Struct) and type(one) is type(other) for one, other in zip(old, new, strict=True)
        )
    )


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
