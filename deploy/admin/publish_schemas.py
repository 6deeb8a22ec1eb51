"""Publishes the next version of each Avro schema whose type has new fields.

`python -m deploy.admin.publish_schemas` writes `schemas/avro/NAME.vN.avsc` and its line in `published.json`. Fields are
appended with their defaults, so that every version reads every other one. Changes of nested records and of the types of
fields are left to their author.
"""

import hashlib
import json
import types
import typing
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec

import schemas
from schemas.audit.entry import AuditEntry
from schemas.codec import PUBLISHED, PublishedSchema, schema_text
from schemas.dead_letter import DeadLetter
from schemas.facts import EPOCH, Fact
from schemas.privacy.erasures import Erasure
from schemas.timeline import Timeline

FOLDER: Final = Path(schemas.__file__).with_name("avro")
TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    "fact": Fact,
    "timeline": Timeline,
    "dead_letter": DeadLetter,
    "audit": AuditEntry,
    "erasure": Erasure,
}
_PLAIN: Final[dict[Any, Any]] = {
    str: "string",
    bool: "boolean",
    int: "long",
    bytes: "bytes",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
    Decimal: {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6},
}


def next_version(name: str, record: type[msgspec.Struct]) -> tuple[PublishedSchema, str] | None:
    """Returns the next version and its text; None when the newest one has every field of `record`."""
    newest = max((one for one in PUBLISHED if one.name == name), key=lambda one: one.version)
    text = schema_text(newest)
    known = {field["name"] for field in json.loads(text)["fields"]}
    hints = typing.get_type_hints(record)
    new = [_field(field, hints[field.name]) for field in msgspec.structs.fields(record) if field.name not in known]
    if not new:
        return None
    added = "".join(f",\n  {json.dumps(field, ensure_ascii=False)}" for field in new)
    text = text.removesuffix("\n]}\n") + added + "\n]}\n"
    published = PublishedSchema(
        name=name,
        version=newest.version + 1,
        schema_id=max(one.schema_id for one in PUBLISHED) + 1,
        subjects=newest.subjects,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    return published, text


def _field(field: msgspec.structs.FieldInfo, hint: Any) -> dict[str, Any]:
    """Returns the Avro field; raises ValueError for one without a default, which older versions could not read."""
    if field.required:
        raise ValueError(f"a field of a published type needs a default: {field.name}")
    made = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    default = (made - EPOCH) // timedelta(microseconds=1) if isinstance(made, datetime) else msgspec.to_builtins(made)
    return {"name": field.name, "type": _avro(hint), "default": default}


def _avro(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ["null", *(_avro(arg) for arg in args if arg is not types.NoneType)]
    if origin is tuple:
        return {"type": "array", "items": _avro(args[0])}
    if origin is dict:
        return {"type": "map", "values": _avro(args[1])}
    if origin is typing.Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        return "string"
    if hint not in _PLAIN:
        raise ValueError(f"a schema for {hint} is to be written by hand")
    return _PLAIN[hint]


def publish(folder: Path, types_by_name: dict[str, type[msgspec.Struct]]) -> list[str]:
    """Writes the new versions into `folder`; returns the names of their files."""
    published = list(PUBLISHED)
    files = []
    for name, record in types_by_name.items():
        if found := next_version(name, record):
            version = msgspec.structs.replace(found[0], schema_id=max(one.schema_id for one in published) + 1)
            (folder / version.file).write_text(found[1], encoding="utf-8")
            published.append(version)
            files.append(version.file)
    if files:
        lines = ",\n  ".join(json.dumps(msgspec.to_builtins(one)) for one in published)
        (folder / "published.json").write_text(f"[\n  {lines}\n]\n", encoding="utf-8")
    return files


if __name__ == "__main__":
    print("\n".join(publish(FOLDER, TYPES)) or "nothing to publish")  # noqa: T201 - a command's answer
