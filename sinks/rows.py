"""The tables as data: the columns of each, by the record that makes its rows. Pure.

The types are those of `migrations/`, so that an insert needs no DESCRIBE; a test compares the two. The server itself
fills `ingested_at`.
"""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Fact, FactType, Kind
from schemas.timeline import Timeline
from sinks.columns import (
    AMOUNT,
    CLOCK,
    CODE,
    MAP,
    PHONE,
    TEXT,
    TIME,
    WORD,
    Column,
    Table,
    fields,
    leg_instant,
    nested,
    nested_stand_ins,
    of_leg,
    of_members,
    own_numbers,
    parties,
    stand_ins,
)
from sinks.scanning import derived
from sinks.slots import slot_of

RESOLVED_BIT: Final = 1 << 62
"""Set in the version of a resolved dead letter, which is thereby above every version of an open one."""


def _contents(kind: str, names: str) -> tuple[Column[Any], ...]:
    return tuple(nested("contents", name, kind) for name in names.split())


def _flags(record: Any) -> list[str]:
    return list(record.quality_flags)


_LEGS: Final = (
    of_leg("role", WORD),
    of_members("legs", "party", WORD, parties, scanned=derived.parties),
    of_members("legs", "own_number", PHONE, own_numbers, scanned=derived.own_numbers),
    of_members("legs", "own_token", TEXT, own_numbers, "token", derived.own_numbers),
    of_members("legs", "own_masked", TEXT, own_numbers, "masked", derived.own_numbers),
    of_leg("number_raw", TEXT),
    of_leg("number_kind", WORD),
    *(leg_instant(name) for name in ("setup", "alerting", "answer", "end")),
    of_leg("disposition", WORD),
    of_leg("hangup_reason", TEXT),
    of_leg("q850", CODE),
    of_leg("sip_code", CODE),
)
"""The views make of them what people query: `legs.number` with its token and masked form, `legs.setup_at` and so on."""
_instants: Final = attrgetter("setup_at", "alerting_at", "answer_at", "end_at")
_FLAGS: Final[Column[Any]] = Column("quality_flags", "Array(LowCardinality(String))", _flags)
_NUMBERS: Final = (
    *fields(PHONE, "from_number to_number display_number"),
    *fields(TEXT, "from_raw to_raw display_raw"),
    *fields(WORD, "from_kind to_kind display_kind"),
    *stand_ins("from to display"),
)
_PRIVACY: Final = (
    *fields(PHONE, "privacy_number"),
    *fields(TEXT, "privacy_raw"),
    *fields(WORD, "privacy_kind"),
    *stand_ins("privacy"),
)
_ENDING: Final = (*fields(WORD, "hangup_cause"), *fields(CODE, "q850 sip_code"), *fields(TEXT, "hangup_reason"))
_MILESTONES: Final = fields(TIME, "setup_at alerting_at answer_at end_at")
_AMOUNTS: Final = (
    *fields(AMOUNT, "pdd_ms ring_ms talk_ms vendor_duration_s billable_s"),
    *fields(WORD, "billable_source"),
)
_PRICE: Final = "Nullable(Decimal(18, 6))"
_MONEY: Final = (*fields(_PRICE, "cost"), *fields(WORD, "currency"))
_OUTCOME: Final = fields(WORD, "disposition cause_confidence hangup_party recording_state")
_OWN: Final = fields(TEXT, "custom_ref agent_id agent_name")
_BINDING: Final = (*fields(WORD, "binding_state"), *fields(TIME, "bound_at unbound_at revised_at"))
_SLOT: Final[Column[Any]] = Column("slot_at", "DateTime('UTC')", slot_of, scanned=derived.required("slot_at"))
_KEY: Final[tuple[Column[Any], ...]] = (
    Column("key_account", WORD, lambda record: key_account(record) or "", scanned=derived.key_account),
    Column(
        "key_other",
        TEXT,
        lambda record: record.call_key if key_account(record) is None else "",
        scanned=derived.key_other,
    ),
)
"""The stored parts of a call's key, which else would repeat the call's id: the column `call_key` puts it together."""


def key_account(record: Any) -> str | None:
    """Returns the account within a call's key; None for a key that is not made of vendor, account and call id."""
    vendor, _, rest = record.call_key.partition("|")
    account, _, call_id = rest.partition("|")
    return account if vendor == record.vendor and call_id == record.vendor_call_id else None


def _suffix(call: Timeline) -> str:
    """Returns the end of the call's id behind its key; raises ValueError for an id that does not begin with it."""
    if not call.timeline_id.startswith(call.call_key):
        raise ValueError("a timeline_id that does not begin with its call_key")
    return call.timeline_id[len(call.call_key) :]


_FACT: Final = (
    _SLOT,
    # A UUID is never empty: an empty id would put many facts into one row.
    Column("record_id", "UUID", attrgetter("fact_id"), field="fact_id"),
    *fields(TEXT, "account account_id request_id raw_sha256"),
    *fields(WORD, "vendor kind direction time_precision source raw_topic"),
    *fields("UInt32", "adapter_version schema_version"),
    *fields("UInt64", "version"),
    *fields(MAP, "extras"),
    *fields(CLOCK, "received_at"),
    *fields("Int32", "raw_partition raw_element"),
    *fields("Int64", "raw_offset"),
    _FLAGS,
)

_CONTENTS: Final = (
    *_contents(TEXT, "digest hangup_reason"),
    *_contents("Bool", "is_shown is_final"),
    *_contents(CLOCK, "received_at"),
    *_contents(WORD, "source raw_topic disposition currency hangup_cause hangup_party"),
    *_contents("Int32", "raw_partition raw_element"),
    *_contents("Int64", "raw_offset"),
    *_contents(TIME, "setup_at answer_at end_at"),
    *_contents(AMOUNT, "talk_ms vendor_duration_s billable_s"),
    *_contents(_PRICE, "cost"),
    *_contents(PHONE, "from_number to_number"),
    *_contents(CODE, "q850 sip_code"),
    *nested_stand_ins("contents", "from", "from_number"),
    *nested_stand_ins("contents", "to", "to_number"),
)

CDR: Final[Table[Fact]] = Table(
    "cdr_by_slot",
    (
        *_FACT,
        *_KEY,
        *fields(TEXT, "vendor_call_id session_id conference_id binding_id recording_url"),
        *_NUMBERS,
        *_PRIVACY,
        *_MILESTONES,
        *_LEGS,
        *_AMOUNTS,
        *_ENDING,
        *_OUTCOME,
        *_MONEY,
        *fields(WORD, "cost_source"),
        *fields(TIME, "recording_expires_at"),
        *_OWN,
        *_BINDING,
        *fields("Bool", "is_final"),
        *_CONTENTS,
    ),
)
CALL_EVENTS: Final[Table[Fact]] = Table(
    "call_events_by_slot",
    (
        *_FACT,
        *_KEY,
        *fields(TEXT, "vendor_call_id session_id leg custom_ref"),
        *fields(PHONE, "leg_number"),
        *stand_ins("leg"),
        *fields(WORD, "state"),
        *fields(TIME, "event_at"),
        *_NUMBERS,
        *_ENDING,
    ),
)
BINDINGS: Final[Table[Fact]] = Table(
    "bindings_by_slot",
    (*_FACT, *fields(TEXT, "call_key binding_id custom_ref"), *_NUMBERS, *_PRIVACY, *_BINDING),
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
    "timelines_by_slot",
    (
        _SLOT,
        *_KEY,
        Column("key_suffix", WORD, _suffix, scanned=derived.key_suffix),
        *fields(TEXT, "account account_id vendor_call_id conference_id binding_id recording_url"),
        *fields(WORD, "vendor kind direction from_kind to_kind"),
        Column("call_type", WORD, _call_type, scanned=derived.call_type(_CALL_TYPES)),
        *fields(PHONE, "from_number to_number display_number privacy_number"),
        *stand_ins("from to display privacy"),
        *_MILESTONES,
        Column("started_at", "DateTime64(6, 'UTC')", _started_at, scanned=derived.required("started_at")),
        *_LEGS,
        *_AMOUNTS,
        *_ENDING,
        *_OUTCOME,
        *_MONEY,
        *_OWN,
        *fields("Bool", "is_final has_record has_states"),
        *fields("UInt8", "phase"),
        *fields("UInt32", "fact_count schema_version"),
        *fields(CLOCK, "first_received_at last_received_at"),
        *fields("UInt64", "version"),
        _FLAGS,
    ),
)


def _dead_letter_version(dead_letter: DeadLetter) -> int:
    return max(0, int((dead_letter.occurred_at - EPOCH).total_seconds() * 1000))


DEAD_LETTERS: Final[Table[DeadLetter]] = Table(
    "dead_letters_versions",
    (
        *fields(WORD, "stage code vendor callback topic"),
        *fields(TEXT, "detail account processor origin_hash"),
        *fields("Int32", "partition element"),
        *fields("Int64", "offset"),
        *fields(TEXT, "original"),
        *fields(MAP, "headers"),
        *fields(CLOCK, "occurred_at"),
        Column("resolved", "Bool", lambda _: False),
        Column("version", "UInt64", _dead_letter_version),
    ),
)

SHOWN_AS: Final[Mapping[str, str]] = {
    "key_account": "call_key",
    "key_other": "",
    "key_suffix": "timeline_id",
    "legs.party": "",
    "legs.own_number": "legs.number",
    "legs.own_token": "legs.number_token",
    "legs.own_masked": "legs.number_masked",
    **{f"legs.{name}_us": f"legs.{name}_at" for name in ("setup", "alerting", "answer", "end")},
}
"""Columns that are stored in another form than the views show: the view's column, "" for a part of another one."""


def shown_columns(table: Table[Any]) -> tuple[str, ...]:
    """Returns the names of the columns that the view of a table has of it."""
    return tuple(filter(None, (SHOWN_AS.get(column.name, column.name) for column in table.columns)))


TABLES: Final[tuple[Table[Any], ...]] = (CDR, CALL_EVENTS, TIMELINES, BINDINGS, DEAD_LETTERS)

TABLE_OF_TYPE: Final[Mapping[str, Table[Fact]]] = {
    FactType.RECORD: CDR,
    FactType.STATE: CALL_EVENTS,
    FactType.BINDING: BINDINGS,
}


def table_of(fact: Fact) -> Table[Fact]:
    """Returns the table of a fact; raises `Undecodable` for a resolution, which is internal to `calls.facts`."""
    table = TABLE_OF_TYPE.get(fact.fact_type)
    if table is None:
        raise Undecodable(f"a fact of type {fact.fact_type} is in no table", code="schema")
    return table
