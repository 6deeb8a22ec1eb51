"""A call's state to bytes and back, small enough to hold millions: the values of `calls.join-state`, and in memory.

One format byte, then MessagePack of `StoredState`. Its items are MessagePack of `StoredItems`, compressed by LZ4, so
that a partition is loaded without decompressing anything; in the short form those of small calls are compressed behind
a text that all share (`shared_text`), which workers of the release before cannot read. Ids and hashes, which no
compression shortens, are stored as bytes. Facts are stored as arrays in the order of `FACT_FIELDS`: append new fields
at its end and never reorder it; then states that lack a field, or have one more, can be read. Bytes that are no state
raise `Undecodable` (`schema`). States of earlier releases are read by `old_state_codec`.

Measured against the form before it (CPU, best of 5): nine facts 930 instead of 1,222 bytes, 33 instead of 68 us to
write, 55 instead of 72 us to read; a record alone 358 instead of 393 bytes, 7 instead of 14 us, 11 instead of 17 us.
The short form takes a third less again for a record alone (nxcloud 464 to 309 bytes, huawei 727 to 464), and 1 to 2 us
more to write. Deflate in the place of LZ4 would save as much and take 6 to 25 us more. `python -m tests.bench join`
measures this.
"""

from binascii import unhexlify
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import cramjam
import msgspec
from msgspec.structs import force_setattr

from processors.call.contents import Content, Item
from processors.call.duplicates import Arrivals, FoldedUpTo
from processors.call.slots import Slots
from processors.call.state import CallState
from processors.store.old_state_codec import OLD_FORM, OldStateHead, decode_old_state, peek_old_state
from processors.store.shared_text import lengthened, shortened
from schemas.errors import CallweaveError, Undecodable
from schemas.facts import Fact, Leg
from schemas.topics import MAX_MESSAGE_BYTES

FORM: Final = 3
"""The format byte."""
SHORT_FORM: Final = 4
"""The format byte of the short form."""
_FORM_BYTES: Final = frozenset(bytes((form,)) for form in (OLD_FORM, FORM, SHORT_FORM))
_MOST_SHORTENED: Final = 16_384
"""Most bytes of items that are compressed behind the shared text: to larger ones it gives nothing."""
LIMIT_BYTES: Final = MAX_MESSAGE_BYTES
"""Most bytes of a call's items before compression: else repetitive facts could grow without a bound."""
_SIZE_BYTES: Final = 4
"""The uncompressed size that stands before an LZ4 block, little endian."""

FACT_FIELDS: Final = (
    "vendor", "account_id", "vendor_call_id", "conference_id", "binding_id", "direction", "from_number", "from_kind",
    "to_number", "to_kind", "display_number", "privacy_number", "setup_at", "alerting_at", "answer_at", "end_at",
    "legs", "pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s", "billable_source", "disposition",
    "hangup_cause", "q850", "sip_code", "hangup_reason", "cause_confidence", "hangup_party", "cost", "currency",
    "recording_state", "recording_url", "custom_ref", "agent_id", "agent_name", "is_final", "quality_flags", "fact_id",
    "content_digest", "call_key", "fact_type", "kind", "adapter_version", "schema_version", "version", "session_id",
    "from_raw", "to_raw", "display_raw", "display_kind", "privacy_raw", "privacy_kind", "time_precision", "cost_source",
    "recording_expires_at", "extras", "leg", "leg_number", "state", "event_at", "binding_state", "bound_at",
    "unbound_at", "revised_at", "received_at", "source", "request_id", "raw_topic", "raw_partition", "raw_offset",
    "raw_element", "raw_sha256", "account", "contents", "keeps", "slot_at", "slot_certain",
)  # fmt: skip
LEG_FIELDS: Final = (
    "role", "number", "number_raw", "number_kind", "setup_at", "alerting_at", "answer_at", "end_at", "disposition",
    "hangup_reason", "q850", "sip_code",
)  # fmt: skip


class StateTooLarge(CallweaveError):
    """A call's state that is not stored: its items exceed `LIMIT_BYTES`."""

    code = "oversize"


def stored_form(struct: type[msgspec.Struct], names: tuple[str, ...], **types: Any) -> Any:
    """Make the array-like twin of a struct with these fields in this order; `types` replaces types of fields."""
    known = {field.name: field for field in msgspec.structs.fields(struct)}
    fields: list[Any] = []
    for name in names:
        field = known[name]
        default = msgspec.field(default=field.default, default_factory=field.default_factory)  # type: ignore[call-overload]  # one of them is NODEFAULT
        fields.append((name, types.get(name, field.type), default))
    return msgspec.defstruct(f"Stored{struct.__name__}", fields, array_like=True, frozen=True, kw_only=True, gc=False)


StoredLeg: Final = stored_form(Leg, LEG_FIELDS)
StoredFact: Final = stored_form(Fact, FACT_FIELDS, legs=tuple[StoredLeg, ...])  # type: ignore[valid-type]  # likewise


class StoredContent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stored form of a `Content`."""

    fact: StoredFact  # type: ignore[valid-type]  # made at run time
    arrivals: Arrivals
    late: bool
    ids: bytes
    """The fact's `fact_id`, `content_digest` and `raw_sha256`, 16 + 16 + 0 or 32 bytes; empty where the fact has them
    as text."""


class StoredItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stored form of an `Item`."""

    contents: tuple[StoredContent, ...]
    more: int
    resolutions: tuple[StoredContent, ...]


class StoredItems(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The items of a state, as they are compressed."""

    items: tuple[StoredItem, ...]


class _Items(msgspec.Struct, frozen=True):
    """The decoded items: `msgspec.convert` makes them from `StoredItems` by the names of the fields."""

    items: tuple[Item, ...]


class StoredState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stored form of a `CallState`, its items still compressed: a partition reads the rest of every call."""

    contents: int
    duplicates: int
    merge_count: int
    timed_out: int
    touched_ms: int
    deadline_ms: int
    folded_up_to: FoldedUpTo
    overflow: bool
    phase: int
    items: bytes
    slots: Slots = {}
    told: int = 0
    """The amount merged that was told of the call; 0: everything."""

    def counts(self) -> tuple[int, int]:
        """Return (facts, duplicates), as `CallState.counts`."""
        return self.contents, self.duplicates


StateHead = StoredState | OldStateHead
"""The part of a stored state that is read without its items."""

_encoder: Final = msgspec.msgpack.Encoder(decimal_format="string")
_state_decoder: Final = msgspec.msgpack.Decoder(StoredState)
_items_decoder: Final = msgspec.msgpack.Decoder(StoredItems)
_fact_values: Final = msgspec.structs.astuple if Fact.__struct_fields__ == FACT_FIELDS else attrgetter(*FACT_FIELDS)
_leg_values: Final = msgspec.structs.astuple if Leg.__struct_fields__ == LEG_FIELDS else attrgetter(*LEG_FIELDS)
_LEGS: Final = FACT_FIELDS.index("legs")
_FACT_ID, _CONTENT_DIGEST, _RAW_SHA256 = map(FACT_FIELDS.index, ("fact_id", "content_digest", "raw_sha256"))


Packed = dict[str, tuple[Item, msgspec.Raw]]
"""The items of a state as they are stored, by their ids; one that is another object since is packed anew."""


def encode_state(
    state: CallState, told: int = 0, phase: int | None = None, *, short: bool = False, packed: Packed | None = None
) -> bytes:
    """Write a state; raises `StateTooLarge`.

    `told` is the amount merged that its timelines tell, 0 for all of it; `phase` that of the whole call where the state
    holds a part of its items; `short`: in the short form, where that can be. `packed` is what was packed of the call
    before, and has what was packed of this state afterwards.
    """
    items = _encoder.encode((_packed_items(state.items, Packed() if packed is None else packed),))
    if len(items) > LIMIT_BYTES:
        raise StateTooLarge(f"what is known of this call has {len(items)} bytes, the limit is {LIMIT_BYTES}")
    rest = shortened(items) if short and len(items) <= _MOST_SHORTENED else None
    return bytes((FORM if rest is None else SHORT_FORM,)) + _encoder.encode(
        (  # a `StoredState`
            state.contents,
            state.duplicates,
            state.merge_count,
            state.timed_out,
            state.touched_ms,
            state.deadline_ms,
            state.folded_up_to,
            state.overflow,
            state.phase if phase is None else phase,
            bytes(cramjam.lz4.compress_block(items))
            if rest is None
            else len(items).to_bytes(_SIZE_BYTES, "little") + rest,
            state.slots,
            told,
        )
    )


def _packed_items(items: Mapping[str, Item], packed: Packed) -> list[msgspec.Raw]:
    made = []
    for name, item in items.items():
        found = packed.get(name)
        if found is None or found[0] is not item:
            found = packed[name] = item, msgspec.Raw(_encoder.encode(_item(item)))
        made.append(found[1])
    if len(packed) > len(made):  # some were folded away
        for name in packed.keys() - items.keys():
            del packed[name]
    return made


def _item(item: Item) -> tuple[Any, ...]:
    contents, resolutions = item.contents, item.resolutions
    if len(contents) == 1 and not resolutions:  # as nearly all
        return (_content(contents[0]),), item.more, ()
    return [*map(_content, contents)], item.more, [*map(_content, resolutions)]


def _content(content: Content) -> tuple[Any, ...]:
    fact = content.fact
    values: list[Any] = list(_fact_values(fact))
    if fact.legs:
        values[_LEGS] = [_leg_values(leg) for leg in fact.legs]
    ids = _ids(fact.fact_id, fact.content_digest, fact.raw_sha256)
    if ids:
        values[_FACT_ID] = values[_CONTENT_DIGEST] = values[_RAW_SHA256] = ""
    return values, content.arrivals, content.late, ids


def _ids(fact_id: str, content_digest: str, raw_sha256: str) -> bytes:
    """The three hexadecimal texts as bytes; empty unless these give the same texts back."""
    if len(fact_id) != 36 or fact_id[8:24:5] != "----" or len(content_digest) != 32:
        return b""
    digits = fact_id.replace("-", "") + content_digest + raw_sha256
    try:
        ids = unhexlify(digits)
    except ValueError:
        return b""
    return ids if len(digits) == 64 + len(raw_sha256) and ids.hex() == digits else b""


def _set_texts(fact: Fact, ids: bytes) -> None:
    """Fill in the three texts of a fact that was just decoded, so that nobody else has it yet."""
    fact_id, content_digest, raw_sha256 = _texts(ids)
    force_setattr(fact, "fact_id", fact_id)
    force_setattr(fact, "content_digest", content_digest)
    if raw_sha256:
        force_setattr(fact, "raw_sha256", raw_sha256)


def _texts(ids: bytes) -> tuple[str, str, str]:
    text = ids.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}", text[32:64], text[64:]


def peek_state(data: bytes) -> StateHead:
    """Read a stored state without its items; raises `Undecodable` (`schema`)."""
    form, packed = _opened(data)
    try:
        return peek_old_state(packed) if form == OLD_FORM else _state_decoder.decode(packed)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise Undecodable(f"not a call's state: {type(exc).__name__}", code="schema") from exc


def items_bytes(data: bytes) -> int:
    """Return the size of a stored state's items before compression."""
    head = peek_state(data)
    return int.from_bytes(head.items[:_SIZE_BYTES], "little") if isinstance(head, StoredState) else len(data)


def decode_state(data: bytes) -> CallState:
    """Read a stored state; raises `Undecodable` (`schema`)."""
    form, packed = _opened(data)
    try:
        return decode_old_state(packed) if form == OLD_FORM else _state(_state_decoder.decode(packed), form)
    except MemoryError:
        raise
    except Exception as exc:
        # Bytes that are no state raise anything. Only the type is named: the error's text may quote a phone number.
        raise Undecodable(f"not a call's state: {type(exc).__name__}", code="schema") from exc


def _opened(data: bytes) -> tuple[int, memoryview]:
    if data[:1] not in _FORM_BYTES:
        raise Undecodable(
            f"a call's state of form {data[:1].hex() or 'none'}, not {FORM} or {SHORT_FORM}", code="schema"
        )
    return data[0], memoryview(data)[1:]


def _state(stored: StoredState, form: int) -> CallState:
    size = int.from_bytes(stored.items[:_SIZE_BYTES], "little")
    if size > LIMIT_BYTES:
        raise ValueError("larger than any state")
    if form == SHORT_FORM:
        packed = _items_decoder.decode(lengthened(stored.items[_SIZE_BYTES:], size))
    else:
        packed = _items_decoder.decode(bytes(cramjam.lz4.decompress_block(stored.items)))
    items = msgspec.convert(packed, _Items, from_attributes=True).items
    for stored_item, item in zip(packed.items, items, strict=True):
        for content, decoded in zip(stored_item.contents + stored_item.resolutions, item.every, strict=True):
            if content.ids:
                _set_texts(decoded.fact, content.ids)
    return CallState(
        items={item.every[0].fact.fact_id: item for item in items},
        contents=stored.contents,
        duplicates=stored.duplicates,
        merge_count=stored.merge_count,
        timed_out=stored.timed_out,
        touched_ms=stored.touched_ms,
        deadline_ms=stored.deadline_ms,
        folded_up_to=stored.folded_up_to,
        overflow=stored.overflow,
        slots=stored.slots,
    )
