"""A call's state to bytes and back, small enough to hold millions: what goes to `calls.join-state` and stays in memory.

One byte of state schema, then msgpack. A fact is stored as its difference: the first to an empty one, the others to the
first, as the facts of a call repeat most of each other. `_FIELDS` numbers the fields for ever: add at its end, never
reorder. An unreadable state raises `Undecodable` (`schema`). This module must not know what the fields mean.
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import compress
from operator import is_not
from typing import Any, Final

import msgspec

from processors.call.contents import Content, Item, item_of
from processors.call.duplicates import NEVER_AGAIN, Arrival, Arrivals
from processors.call.state import CallState
from schemas.errors import Undecodable
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

STATE_SCHEMA: Final = 2

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


def _shorten(expand: Callable[[bytes | str], str]) -> Callable[[str], bytes | str]:
    """Hexadecimal text as bytes, where that gives the same text back."""

    def shorten(text: str) -> bytes | str:
        try:
            raw = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            return text
        return raw if expand(raw) == text else text

    return shorten


def _from_legs(legs: tuple[Leg, ...]) -> list[dict[int, Any]]:
    return [
        {i: v for i, name in enumerate(_LEG_FIELDS) if (v := getattr(leg, name)) != _LEG_DEFAULTS[i]} for leg in legs
    ]


def _to_legs(stored: list[dict[int, Any]]) -> tuple[Leg, ...]:
    return tuple(
        Leg(**{_LEG_FIELDS[i]: _LEG_TYPES[i](v) if i in _LEG_TYPES else v for i, v in leg.items()}) for leg in stored
    )


def _defaults(struct: type[msgspec.Struct], names: tuple[str, ...]) -> tuple[Any, ...]:
    known = {
        field.name: field.default_factory()
        if field.default_factory is not msgspec.NODEFAULT
        else (None if field.default is msgspec.NODEFAULT else field.default)
        for field in msgspec.structs.fields(struct)
    }
    return tuple(known[name] for name in names)


_DEFAULTS: Final = _defaults(Fact, _FIELDS)
_LEG_DEFAULTS: Final = _defaults(Leg, _LEG_FIELDS)
_LEG_TYPES: Final[dict[int, Callable[[Any], Any]]] = {
    _LEG_FIELDS.index("role"): Role,
    _LEG_FIELDS.index("number_kind"): NumberKind,
    _LEG_FIELDS.index("disposition"): Disposition,
}


def _maybe_decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _flags(names: list[str]) -> tuple[Flag, ...]:
    return tuple(map(Flag, names))


_TO_STORED: Final[dict[int, Callable[[Any], Any]]] = {
    _FIELDS.index("fact_id"): _shorten(_uuid),
    _FIELDS.index("content_digest"): _shorten(_hex),
    _FIELDS.index("raw_sha256"): _shorten(_hex),
    _FIELDS.index("legs"): _from_legs,
}
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
_encoder: Final = msgspec.msgpack.Encoder(decimal_format="string")
_decoder: Final = msgspec.msgpack.Decoder()


def encode_state(state: CallState) -> bytes:
    """The stored form."""
    base: tuple[Any, ...] | None = None
    items: list[Any] = []
    for item in state.items.values():
        contents: list[Any] = []
        for content in item.every:
            values = _values(content.fact)
            stored: list[Any] = [_difference(values, base or _DEFAULTS)]
            base = base or values
            if content.late or content.arrivals != NEVER_AGAIN:
                arrivals = content.arrivals
                stored += [content.late, arrivals.more, arrivals.shuffled, arrivals.others]
            contents.append(stored)
        items.append([item.more, contents] if item.more else [contents])
    head = [
        state.contents,
        state.duplicates,
        state.merge_count,
        state.timed_out,
        state.touched_ms,
        state.deadline_ms,
        state.overflow,
        state.folded_up_to,
    ]
    return bytes((STATE_SCHEMA,)) + _encoder.encode([*head, items, state.phase])


class StateSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a partition needs of all its calls, without their items."""

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

    def counts(self) -> tuple[int, int]:
        """As `CallState.counts`."""
        return self.contents, self.duplicates


_head_decoder: Final = msgspec.msgpack.Decoder(StateSummary)


def peek_state(data: bytes) -> StateSummary:
    """The head of what `encode_state` stored; raises `Undecodable` (`schema`)."""
    try:
        return _head_decoder.decode(_opened(data))
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise Undecodable(f"not a call's state: {type(exc).__name__}", code="schema") from exc


def _opened(data: bytes) -> memoryview:
    if data[:1] != bytes((STATE_SCHEMA,)):
        raise Undecodable(f"a call's state of schema {data[:1].hex() or 'none'}, not {STATE_SCHEMA}", code="schema")
    return memoryview(data)[1:]


def decode_state(data: bytes) -> CallState:
    """The state that `encode_state` stored; raises `Undecodable` (`schema`)."""
    packed = _opened(data)
    try:
        contents, duplicates, merge_count, timed_out, touched, deadline, overflow, folded_up_to, items, _ = (
            _decoder.decode(packed)
        )
        return CallState(
            items=_items(items),
            contents=contents,
            duplicates=duplicates,
            merge_count=merge_count,
            timed_out=timed_out,
            touched_ms=touched,
            deadline_ms=deadline,
            overflow=overflow,
            folded_up_to=tuple(tuple(mark) for mark in folded_up_to),
        )
    except MemoryError:
        raise
    except Exception as exc:
        # Bytes that are no state provoke anything. Its kind alone: what such an error says may quote a phone number.
        raise Undecodable(f"not a call's state: {type(exc).__name__}", code="schema") from exc


_NUMBERS: Final = range(len(_FIELDS))
_read_fields: Final = msgspec.structs.astuple
_IN_ORDER: Final = Fact.__struct_fields__ == _FIELDS


def _values(fact: Fact) -> tuple[Any, ...]:
    return _read_fields(fact) if _IN_ORDER else tuple(getattr(fact, name) for name in _FIELDS)


def _difference(values: tuple[Any, ...], base: tuple[Any, ...]) -> dict[int, Any]:
    return {
        i: _TO_STORED[i](value) if i in _TO_STORED else value
        for i, value, other in compress(zip(_NUMBERS, values, base, strict=True), map(is_not, values, base))
        if value != other
    }


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
