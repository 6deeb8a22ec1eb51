"""Names the places that lack a field of a call: policy, schemas, columns, migrations, views, the joiner's state."""

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from processors.call.contents import Content, item_of
from processors.call.state import CallState
from processors.store.state_codec import decode_state, encode_state
from schemas.call_fields import POLICIES, CallFields
from schemas.codec import PUBLISHED, schema_text
from schemas.config.settings import ClickHouseSettings
from schemas.facts import Fact
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.migrate import Migration, migrations, statements
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, SHOWN_AS, TIMELINES, shown_columns

NOT_COLUMNS: Final = {"fact_id", "fact_type", "content_digest", "keeps", "slot_certain"}
"""Fields of a fact without a column of their name: `tests/unit/sinks/test_rows.py` says why."""
EACH_ITS_OWN: Final = {"call_key", "kind", "schema_version", "version", "account", "slot_at", "slot_certain"}
"""Fields that a fact and a timeline both have, and that a timeline does not take over from its record."""
STATES_ONLY: Final = {"leg", "leg_number", "state", "event_at"}
"""Fields of a fact that only state events have, so that the table of records lacks them."""
NOT_IN_STATES: Final = {"contents"}
"""Fields that the joiner computes each time from what it keeps."""
_ADDED: Final = re.compile(r"ADD COLUMN IF NOT EXISTS `?([\w.]+)`?")
_DECLARED: Final = re.compile(r"^    `?([\w.]+)`? +[A-Z]", re.MULTILINE)
_VIEWS: Final = {CDR.name: ("cdr", "v_cdr"), TIMELINES.name: ("timelines", "v_timelines")}


def missing_places(
    fact: type[Fact] = Fact, timeline: type[Timeline] = Timeline, released: Sequence[Migration] | None = None
) -> list[str]:
    """Returns a sentence for each place that lacks a field of these types, beginning with its file."""
    released = migrations() if released is None else released
    return [*_policies(fact, timeline), *_schemas(fact, timeline), *_columns(fact, timeline, released), *_state(fact)]


def names(record: type[msgspec.Struct]) -> set[str]:
    """Returns the names of the fields of a type."""
    return {field.name for field in msgspec.structs.fields(record)}


def _policies(fact: type[Fact], timeline: type[Timeline]) -> Iterator[str]:
    for name in sorted((names(fact) & names(timeline)) - names(CallFields) - EACH_ITS_OWN):
        yield f"schemas/call_fields.py: CallFields lacks {name}, which fact and timeline share"
    for name in sorted(names(fact) - set(POLICIES)):
        yield f"schemas/call_fields.py: POLICIES lacks {name}"
    for name in sorted(set(POLICIES) - names(fact)):
        yield f"schemas/call_fields.py: POLICIES has {name}, which is no field"


def _schemas(fact: type[Fact], timeline: type[Timeline]) -> Iterator[str]:
    for schema, record in (("fact", fact), ("timeline", timeline)):
        newest = max((one for one in PUBLISHED if one.name == schema), key=lambda one: one.version)
        known = {field["name"] for field in json.loads(schema_text(newest))["fields"]}
        for name in sorted(names(record) - known):
            yield f"schemas/avro: the newest {schema} schema lacks {name}"


def _columns(fact: type[Fact], timeline: type[Timeline], released: Sequence[Migration]) -> Iterator[str]:
    shared = names(fact) & names(timeline)
    of_fact = names(fact) - NOT_COLUMNS
    wanted = {CDR.name: of_fact - STATES_ONLY, TIMELINES.name: (shared | names(timeline)) - NOT_COLUMNS}
    for table in (CDR, TIMELINES):
        for name in sorted(wanted[table.name] - _in_code(table)):
            yield f"sinks/rows.py: {table.name} lacks {name}"
        for name in sorted((wanted[table.name] | _in_code(table)) - _in_migrations(table.name, released)):
            if name != "record_id":
                yield f"sinks/migrations: no migration gives {table.name} a column {name}"
        for view in _VIEWS[table.name]:
            if _last(rf"CREATE OR REPLACE VIEW \S*\.{view}\b", released) < _last(
                rf"{table.name}\b.*?ADD COL", released
            ):
                yield f"sinks/migrations: {view} is not created anew after the last column of {table.name}"
    for name in sorted(of_fact & STATES_ONLY - _in_code(CALL_EVENTS) - _in_code(BINDINGS)):
        yield f"sinks/rows.py: {CALL_EVENTS.name} lacks {name}"


def _in_code(table: Table[Any]) -> set[str]:
    return {name.split(".")[0] for name in shown_columns(table)}


def _sql(migration: Migration) -> list[str]:
    return statements(migration.template, ClickHouseSettings())


def _in_migrations(table: str, released: Sequence[Migration]) -> set[str]:
    found: set[str] = {"record_id"}
    for statement in (statement for migration in released for statement in _sql(migration)):
        if re.match(rf"CREATE TABLE IF NOT EXISTS \S+\.{table}\b", statement):
            found |= set(_DECLARED.findall(statement))
        elif re.match(rf"ALTER TABLE \S+\.{table}\b", statement):
            found |= set(_ADDED.findall(statement))
    return {SHOWN_AS.get(name, name).split(".")[0] for name in found}


def _last(pattern: str, released: Sequence[Migration]) -> str:
    """Returns the name of the last migration with a statement of this pattern, "" without any."""
    found = re.compile(pattern, re.DOTALL)
    return max((one.name for one in released if any(found.search(sql) for sql in _sql(one))), default="")


def _state(fact: type[Fact]) -> Iterator[str]:
    """Compares a fact with a value in every field to what the joiner reads back of it."""
    sent = filled(fact)
    state = CallState(
        items={sent.fact_id: item_of((Content(fact=sent),))}, contents=1, duplicates=0, merge_count=1, touched_ms=0
    )
    (item,) = decode_state(encode_state(state)).items.values()
    for name in sorted(names(fact) - NOT_IN_STATES):
        if getattr(item.sample, name, None) != getattr(sent, name):
            yield f"processors/store/state_codec.py: a stored state lacks {name}"


_T = typing.TypeVar("_T", bound=msgspec.Struct)
_VALUES: Final[Mapping[Any, Any]] = {
    str: "text",
    bool: True,
    int: 7,
    datetime: datetime(2026, 3, 1, 8, 0, 0, 1, tzinfo=UTC),
    Decimal: Decimal("2.940000"),
}


def filled(record: type[_T]) -> _T:
    """Returns a value of the type with something else than the default in every field."""
    hints = typing.get_type_hints(record)
    return record(**{name: _value(hints[name]) for name in names(record)})


def _value(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _value(next(arg for arg in args if arg is not types.NoneType))
    if origin is tuple:
        return (_value(args[0]),)
    if origin is dict:
        return {_value(args[0]): _value(args[1])}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(member for member in hint if member.value not in {"unknown", ""})
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return filled(hint)
    return _VALUES[hint]
