"""The reader of states in the form of earlier releases: format byte 2, then MessagePack of differences.

A fact was stored as its difference: the first one to an empty fact, the others to the first. `_FIELDS` is the numbering
of that form and never changes. States that this module reads are written in the present form at their next change, so
it can be removed once a release that has it has run for longer than `join.horizon_s`.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from processors.call.contents import Content, Item, item_of
from processors.call.duplicates import NEVER_AGAIN, Arrival, Arrivals
from processors.call.state import CallState
from schemas.facts import (
    Direction,
    Disposition,
    Fact,
    FactType,
    Flag,
    Kind,
    Leg,
    NumberKind,
    RecordingState,
    Role,
    State,
)

OLD_FORM: Final = 2
"""The format byte."""

_FIELDS: Final = (
    "fact_id", "content_digest", "call_key", "fact_type", "vendor", "kind", "adapter_version", "schema_version", "version",
    "account_id", "vendor_call_id", "session_id", "conference_id", "binding_id", "direction", "from_number", "from_raw",
    "from_kind", "to_number", "to_raw", "to_kind", "display_number", "display_raw", "display_kind", "privacy_number",
    "privacy_raw", "privacy_kind", "setup_at", "alerting_at", "answer_at", "end_at", "time_precision", "legs", "pdd_ms",
    "ring_ms", "talk_ms", "vendor_duration_s", "billable_s", "billable_source", "disposition", "hangup_cause", "q850",
    "sip_code", "hangup_reason", "cause_confidence", "hangup_party", "cost", "currency", "cost_source", "recording_state",
    "recording_url", "recording_expires_at", "custom_ref", "agent_id", "agent_name", "extras", "leg", "leg_number", "state",
    "event_at", "binding_state", "bound_at", "unbound_at", "revised_at", "is_final", "quality_flags", "received_at",
    "source", "request_id", "raw_topic", "raw_partition", "raw_offset", "raw_element", "raw_sha256", "account", "contents", "keeps",
)  # fmt: skip
_LEG_FIELDS: Final = (
    "role", "number", "number_raw", "number_kind", "setup_at", "alerting_at", "answer_at", "end_at", "disposition",
    "hangup_reason", "q850", "sip_code",
)  # fmt: skip


def _uuid(raw: bytes | str) -> str:
    if isinstance(raw, str):
        return raw
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _hex(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.hex()


def _to_legs(stored: list[dict[int, Any]]) -> tuple[Leg, ...]:
    return tuple(
        Leg(**{_LEG_FIELDS[i]: _LEG_TYPES[i](v) if i in _LEG_TYPES else v for i, v in leg.items()}) for leg in stored
    )


_LEG_TYPES: Final[dict[int, Callable[[Any], Any]]] = {
    _LEG_FIELDS.index("role"): Role,
    _LEG_FIELDS.index("number_kind"): NumberKind,
    _LEG_FIELDS.index("disposition"): Disposition,
}


def _maybe_decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _flags(names: list[str]) -> tuple[Flag, ...]:
    return tuple(map(Flag, names))


_FROM_STORED: Final[dict[int, Callable[[Any], Any]]] = {
    _FIELDS.index(name): convert
    for name, convert in (
        ("fact_id", _uuid),
        ("content_digest", _hex),
        ("raw_sha256", _hex),
        ("legs", _to_legs),
        ("fact_type", FactType),
        ("kind", Kind),
        ("direction", Direction),
        ("from_kind", NumberKind),
        ("to_kind", NumberKind),
        ("display_kind", NumberKind),
        ("privacy_kind", NumberKind),
        ("disposition", Disposition),
        ("recording_state", RecordingState),
        ("state", State),
        ("cost", _maybe_decimal),
        ("quality_flags", _flags),
    )
}
_decoder: Final = msgspec.msgpack.Decoder()


class OldStateHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of a stored state that a partition needs of all its calls; the items stay encoded."""

    contents: int
    duplicates: int
    merge_count: int
    timed_out: int
    touched_ms: int
    deadline_ms: int
    overflow: bool
    folded_up_to: msgspec.Raw
    items: msgspec.Raw
    phase: int
    told: int = 0
    """Everything, as by all workers that wrote this form."""

    def counts(self) -> tuple[int, int]:
        """Return (facts, duplicates), as `CallState.counts`."""
        return self.contents, self.duplicates


_head_decoder: Final = msgspec.msgpack.Decoder(OldStateHead)


def peek_old_state(packed: memoryview) -> OldStateHead:
    """Read the head of a stored state, without its format byte; raises `msgspec.DecodeError`."""
    return _head_decoder.decode(packed)


def decode_old_state(packed: memoryview) -> CallState:
    """Read a stored state, without its format byte; bytes that are no state raise all kinds of exceptions."""
    contents, duplicates, merge_count, timed_out, touched, deadline, overflow, marks, items, _ = _decoder.decode(packed)
    return CallState(
        items=_items(items),
        contents=contents,
        duplicates=duplicates,
        merge_count=merge_count,
        timed_out=timed_out,
        touched_ms=touched,
        deadline_ms=deadline,
        overflow=overflow,
        folded_up_to=tuple(tuple(mark) for mark in marks),
    )


def _items(stored: list[Any]) -> dict[str, Item]:
    items: dict[str, Item] = {}
    base: dict[int, Any] = {}
    for *more, contents in stored:
        kept: list[Content] = []
        for difference, *rest in contents:
            for i in difference.keys() & _FROM_STORED.keys():
                difference[i] = _FROM_STORED[i](difference[i])
            values = {**base, **difference}
            base = base or values
            kept.append(_content(Fact(**{_FIELDS[i]: value for i, value in values.items()}), rest))
        items[kept[0].fact.fact_id] = item_of(kept, more[0] if more else 0)
    return items


def _content(fact: Fact, rest: list[Any]) -> Content:
    if not rest:
        return Content(fact=fact)
    late, more, shuffled, others = rest
    arrivals = Arrivals(tuple(Arrival(*other) for other in others), more, shuffled)
    return Content(fact=fact, late=late, arrivals=arrivals if arrivals != NEVER_AGAIN else NEVER_AGAIN)
