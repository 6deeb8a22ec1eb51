"""The tables as data: each column with its type and the value that a record has for it. Pure.

The types are those of `migrations/`, so that an insert needs no DESCRIBE; a test compares the two. The server itself
fills `ingested_at`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Fact, FactType, Kind
from schemas.timeline import Timeline
from sinks.error_classes import unfit

T = TypeVar("T")

_WORD: Final = "LowCardinality(String)"
_TEXT: Final = "String"
_PHONE: Final = "Nullable(String)"
_TIME: Final = "Nullable(DateTime64(6, 'UTC'))"
_CLOCK: Final = "DateTime64(3, 'UTC')"
_MAP: Final = "Map(LowCardinality(String), String)"
_AMOUNT: Final = "Nullable(UInt32)"
_CODE: Final = "Nullable(UInt16)"
RESOLVED_BIT: Final = 1 << 62
"""Set in the version of a resolved dead letter, which is thereby above every version of an open one."""


class Column(msgspec.Struct, Generic[T], frozen=True):
    """One column, its type in ClickHouse, and the function that reads its value from a record."""

    name: str
    type: str
    value: Callable[[T], Any]


class Table(msgspec.Struct, Generic[T], frozen=True):
    """One table that keeps all versions of a row."""

    name: str
    columns: tuple[Column[T], ...]

    @property
    def label(self) -> str:
        """The name of the view that people query, which is also the metrics' label."""
        return self.name.removesuffix("_versions")


def row_of(table: Table[T], record: T) -> tuple[Any, ...]:
    """Returns the record's row; raises `RowsRefused` naming the column that cannot hold it."""
    return tuple(column[0] for column in columns_of(table, [record]))


def columns_of(table: Table[T], records: Sequence[T]) -> list[list[Any]]:
    """Returns the records as columns; raises `RowsRefused` naming the first column that cannot hold one of them."""
    block: list[list[Any]] = []
    for column in table.columns:
        try:
            block.append(list(map(column.value, records)))
        except Exception as exc:  # no record may end the process: it becomes a dead letter
            raise unfit(column.name, exc) from exc
    return block


def _fields(kind: str, names: str) -> tuple[Column[Any], ...]:
    return tuple(Column(name, kind, attrgetter(name)) for name in names.split())


def _nested(parent: str, name: str, kind: str) -> Column[Any]:
    """Returns the column with one field of every member of the tuple `parent`, as an array."""
    members: Callable[[Any], Sequence[Any]] = attrgetter(parent)
    one: Callable[[Any], Any] = attrgetter(name)
    return Column(f"{parent}.{name}", f"Array({kind})", lambda record: [one(member) for member in members(record)])


def _leg(name: str, kind: str) -> Column[Any]:
    return _nested("legs", name, kind)


def _contents(kind: str, names: str) -> tuple[Column[Any], ...]:
    return tuple(_nested("contents", name, kind) for name in names.split())


def _flags(record: Any) -> list[str]:
    return list(record.quality_flags)


_LEGS: Final = (
    _leg("role", _WORD),
    _leg("number", _PHONE),
    _leg("number_raw", _TEXT),
    _leg("number_kind", _WORD),
    *(_leg(name, _TIME) for name in ("setup_at", "alerting_at", "answer_at", "end_at")),
    _leg("disposition", _WORD),
    _leg("hangup_reason", _TEXT),
    _leg("q850", _CODE),
    _leg("sip_code", _CODE),
)
_instants: Final = attrgetter("setup_at", "alerting_at", "answer_at", "end_at")
_FLAGS: Final[Column[Any]] = Column("quality_flags", "Array(LowCardinality(String))", _flags)
_NUMBERS: Final = (
    *_fields(_PHONE, "from_number to_number display_number"),
    *_fields(_TEXT, "from_raw to_raw display_raw"),
    *_fields(_WORD, "from_kind to_kind display_kind"),
)
_PRIVACY: Final = (
    *_fields(_PHONE, "privacy_number"),
    *_fields(_TEXT, "privacy_raw"),
    *_fields(_WORD, "privacy_kind"),
)
_ENDING: Final = (*_fields(_WORD, "hangup_cause"), *_fields(_CODE, "q850 sip_code"), *_fields(_TEXT, "hangup_reason"))
_MILESTONES: Final = _fields(_TIME, "setup_at alerting_at answer_at end_at")
_AMOUNTS: Final = (
    *_fields(_AMOUNT, "pdd_ms ring_ms talk_ms vendor_duration_s billable_s"),
    *_fields(_WORD, "billable_source"),
)
_PRICE: Final = "Nullable(Decimal(18, 6))"
_MONEY: Final = (*_fields(_PRICE, "cost"), *_fields(_WORD, "currency"))
_OUTCOME: Final = _fields(_WORD, "disposition cause_confidence hangup_party recording_state")
_OWN: Final = _fields(_TEXT, "custom_ref agent_id agent_name")
_BINDING: Final = (*_fields(_WORD, "binding_state"), *_fields(_TIME, "bound_at unbound_at revised_at"))
_FACT: Final = (
    # UUID(...) refuses an empty or broken id, which would otherwise put many facts into one row.
    Column("record_id", "UUID", lambda fact: UUID(fact.fact_id)),
    *_fields(_TEXT, "call_key account account_id request_id raw_sha256"),
    *_fields(_WORD, "vendor kind direction time_precision source raw_topic"),
    *_fields("UInt32", "adapter_version schema_version"),
    *_fields("UInt64", "version"),
    *_fields(_MAP, "extras"),
    *_fields(_CLOCK, "received_at"),
    *_fields("Int32", "raw_partition raw_element"),
    *_fields("Int64", "raw_offset"),
    _FLAGS,
)

_CONTENTS: Final = (
    *_contents(_TEXT, "digest hangup_reason"),
    *_contents("Bool", "is_shown is_final"),
    *_contents(_CLOCK, "received_at"),
    *_contents(_WORD, "source raw_topic disposition currency hangup_cause hangup_party"),
    *_contents("Int32", "raw_partition raw_element"),
    *_contents("Int64", "raw_offset"),
    *_contents(_TIME, "setup_at answer_at end_at"),
    *_contents(_AMOUNT, "talk_ms vendor_duration_s billable_s"),
    *_contents(_PRICE, "cost"),
    *_contents(_PHONE, "from_number to_number"),
    *_contents(_CODE, "q850 sip_code"),
)

CDR: Final[Table[Fact]] = Table(
    "cdr_versions",
    (
        *_FACT,
        *_fields(_TEXT, "vendor_call_id session_id conference_id binding_id recording_url"),
        *_NUMBERS,
        *_PRIVACY,
        *_MILESTONES,
        *_LEGS,
        *_AMOUNTS,
        *_ENDING,
        *_OUTCOME,
        *_MONEY,
        *_fields(_WORD, "cost_source"),
        *_fields(_TIME, "recording_expires_at"),
        *_OWN,
        *_BINDING,
        *_fields("Bool", "is_final"),
        *_CONTENTS,
    ),
)
CALL_EVENTS: Final[Table[Fact]] = Table(
    "call_events_versions",
    (
        *_FACT,
        *_fields(_TEXT, "vendor_call_id session_id leg custom_ref"),
        *_fields(_PHONE, "leg_number"),
        *_fields(_WORD, "state"),
        *_fields(_TIME, "event_at"),
        *_NUMBERS,
        *_ENDING,
    ),
)
BINDINGS: Final[Table[Fact]] = Table(
    "bindings_versions",
    (*_FACT, *_fields(_TEXT, "binding_id custom_ref"), *_NUMBERS, *_PRIVACY, *_BINDING),
)


_CALL_TYPES: Final[Mapping[str, str]] = {Kind.CONFERENCE_LEG: "conference", Kind.VOICE_OTP: "voice_code"}


def _call_type(call: Timeline) -> str:
    """Returns the type of the call; one written before there were types is classified by its kind."""
    return _CALL_TYPES.get(call.kind, call.call_type)


def _started_at(call: Timeline) -> datetime:
    """Returns the call's start; without one its earliest instant, those of its legs included, or its first receipt."""
    if call.started_at is not None:
        return call.started_at
    known = (_instants(call), *map(_instants, call.legs))
    return min((at for instants in known for at in instants if at is not None), default=call.first_received_at)


TIMELINES: Final[Table[Timeline]] = Table(
    "timelines_versions",
    (
        *_fields(
            _TEXT, "timeline_id call_key account account_id vendor_call_id conference_id binding_id recording_url"
        ),
        *_fields(_WORD, "vendor kind direction from_kind to_kind"),
        Column("call_type", _WORD, _call_type),
        *_fields(_PHONE, "from_number to_number display_number privacy_number"),
        *_MILESTONES,
        Column("started_at", _TIME, _started_at),
        *_LEGS,
        *_AMOUNTS,
        *_ENDING,
        *_OUTCOME,
        *_MONEY,
        *_OWN,
        *_fields("Bool", "is_final has_record has_states"),
        *_fields("UInt8", "phase"),
        *_fields("UInt32", "fact_count schema_version"),
        *_fields(_CLOCK, "first_received_at last_received_at"),
        *_fields("UInt64", "version"),
        _FLAGS,
    ),
)


def _dead_letter_version(dead_letter: DeadLetter) -> int:
    return max(0, int((dead_letter.occurred_at - EPOCH).total_seconds() * 1000))


DEAD_LETTERS: Final[Table[DeadLetter]] = Table(
    "dead_letters_versions",
    (
        *_fields(_WORD, "stage code vendor callback topic"),
        *_fields(_TEXT, "detail account processor origin_hash"),
        *_fields("Int32", "partition element"),
        *_fields("Int64", "offset"),
        *_fields(_TEXT, "original"),
        *_fields(_MAP, "headers"),
        *_fields(_CLOCK, "occurred_at"),
        Column("resolved", "Bool", lambda _: False),
        Column("version", "UInt64", _dead_letter_version),
    ),
)

TABLES: Final[tuple[Table[Any], ...]] = (CDR, CALL_EVENTS, TIMELINES, BINDINGS, DEAD_LETTERS)

_OF_FACT: Final = {FactType.RECORD: CDR, FactType.STATE: CALL_EVENTS, FactType.BINDING: BINDINGS}


_WITHOUT_CONTENTS: Final[Table[Any]] = Table(
    CDR.name, tuple(column for column in CDR.columns if column not in _CONTENTS)
)


def narrowest(table: Table[T], records: Sequence[T]) -> Table[T]:
    """Returns the table without the contents' columns where no record has any: they are half of the work of a row."""
    plain = table is CDR and not any(getattr(record, "contents", ()) for record in records)
    return _WITHOUT_CONTENTS if plain else table


def table_of(fact: Fact) -> Table[Fact]:
    """Returns the table of a fact; raises `Undecodable` for a resolution, which is internal to `calls.facts`."""
    table = _OF_FACT.get(fact.fact_type)
    if table is None:
        raise Undecodable(f"a fact of type {fact.fact_type} is in no table", code="schema")
    return table
