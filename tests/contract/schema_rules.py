"""Compares two Avro schemas by the resolution rules of the Avro specification. Pure.

FULL_TRANSITIVE means that any two versions of a schema read each other. In one thing these rules are stricter than the
specification: types are never widened, because the older version could not read them.
"""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

_NAMED = ("record", "enum", "fixed")


def breaks(versions: Sequence[str]) -> list[str]:
    """Returns the reasons why versions cannot read each other; empty when all can."""
    parsed = [(number, json.loads(text)) for number, text in enumerate(versions, 1)]
    return [
        f"version {reader} cannot read version {writer}: {reason}"
        for (reader, new), (writer, old) in permutations(parsed, 2)
        for reason in unreadable(new, old, _Names(new, old), new.get("name", ""))
    ]


class _Names:
    """The named types of a reader and of a writer, and the pairs that are compared."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader = dict(_definitions(reader))
        self.writer = dict(_definitions(writer))
        self.compared: set[tuple[str, str]] = set()


def _definitions(schema: Any) -> list[tuple[str, Any]]:
    if isinstance(schema, list):
        return [found for branch in schema for found in _definitions(branch)]
    if not isinstance(schema, dict):
        return []
    below = [field["type"] for field in schema.get("fields", ())] + [schema.get(k) for k in ("items", "values", "type")]
    own = [(schema["name"], schema)] if schema.get("type") in _NAMED else []
    return own + [found for one in below for found in _definitions(one)]


def unreadable(reader: Any, writer: Any, names: _Names, path: str) -> list[str]:
    """Returns the reasons why a reader with `reader` cannot read data of `writer`."""
    reader, writer = _named(reader, names.reader), _named(writer, names.writer)
    if isinstance(writer, list):
        return [reason for branch in writer for reason in unreadable(reader, branch, names, path)]
    if isinstance(reader, list):
        found = [unreadable(branch, writer, names, path) for branch in reader]
        return [] if any(not reasons for reasons in found) else [f"{path}: no branch for {_kind(writer)}"]
    if _kind(reader) != _kind(writer):
        return [f"{path}: {_kind(writer)} became {_kind(reader)}"]
    return _below(reader, writer, names, path)


def _below(reader: Any, writer: Any, names: _Names, path: str) -> list[str]:
    kind = reader["type"] if isinstance(reader, dict) else reader
    if kind == "record":
        return _record(reader, writer, names, path)
    if kind == "array":
        return unreadable(reader["items"], writer["items"], names, f"{path}[]")
    if kind == "map":
        return unreadable(reader["values"], writer["values"], names, f"{path}{{}}")
    if kind == "enum":
        lost = set(writer["symbols"]) - set(reader["symbols"])
        return [f"{path}: symbols {sorted(lost)} are gone"] if lost and "default" not in reader else []
    return []


def _record(reader: Any, writer: Any, names: _Names, path: str) -> list[str]:
    if (reader["name"], writer["name"]) in names.compared:
        return []
    names.compared.add((reader["name"], writer["name"]))
    written = {field["name"]: field for field in writer["fields"]}
    reasons = []
    for field in reader["fields"]:
        place = f"{path}.{field['name']}"
        if field["name"] in written:
            reasons += unreadable(field["type"], written[field["name"]]["type"], names, place)
        elif "default" not in field:
            reasons.append(f"{place}: is not in the other and has no default")
    return reasons


def _named(schema: Any, names: dict[str, Any]) -> Any:
    return names.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    """Returns the type with everything that its encoding depends on."""
    if isinstance(schema, str):
        return schema
    marks = [str(schema[mark]) for mark in ("logicalType", "precision", "scale", "size") if mark in schema]
    name = [schema["name"]] if schema["type"] in _NAMED else []
    return " ".join([str(schema["type"]), *name, *marks])
