"""Workers of one group that write different Avro versions: what comes of a call does not depend on who wrote what."""

import asyncio
import io
import json
import struct
from collections.abc import Sequence
from typing import Any, Final, Literal

import fastavro
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processors.call.precedence import normalized
from processors.call.state import CallState, new_item
from processors.outbox import Message
from processors.stages.join_stage import JoinStage
from processors.store.state_codec import decode_state, encode_state
from schemas.codec import PREVIOUS, PUBLISHED, Codecs, codecs_for, schema_text
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, FactType
from schemas.metrics import Registry
from schemas.slot_hours import slot_of
from schemas.topics import NORMALIZED, STATE, TIMELINES
from tests.support.kafka.join_log import StateLog, batch_of
from tests.support.strategies import callback, fact_logs, placed

Writes = Literal["newest", "previous", "older"]
"""The versions that a worker writes; `older` is one of the release before, which has no slots in its states either."""
RELEASES: Final[dict[Writes, Codecs]] = {
    "newest": Codecs(),
    "previous": codecs_for({}, PREVIOUS),
    "older": codecs_for({}, PREVIOUS),
}
_OLD_SCHEMAS: Final[dict[int, Any]] = {
    one.schema_id: json.loads(schema_text(one)) for one in PUBLISHED if PREVIOUS.get(one.name) == one.version
}
_FIELDS: Final = {NORMALIZED.name: "fact", TIMELINES.name: "timeline"}
NOW_MS: Final = int(placed(callback(), 1).received_at.timestamp() * 1000)


def outputs(log: Sequence[Fact], normalisers: Sequence[Writes], joiners: Sequence[Writes]) -> list[list[Message]]:
    """Returns what is published at each fact; every fact has a worker of its own, which restores the states."""
    return asyncio.run(_outputs(log, normalisers, joiners))


async def _outputs(
    log: Sequence[Fact], normalisers: Sequence[Writes], joiners: Sequence[Writes]
) -> list[list[Message]]:
    kept, published = StateLog(), list[list[Message]]()
    for number, (fact, normaliser, joiner) in enumerate(zip(log, normalisers, joiners, strict=True)):
        before = len(kept.messages)
        sent = normalized(new_item(fact)) if fact.fact_type is not FactType.RESOLUTION else fact
        slotted = msgspec.structs.replace(sent, slot_at=slot_of(fact), slot_certain=True)  # as the normaliser writes it
        stage = JoinStage(
            kept,  # type: ignore[arg-type]  # as much of an outbox as it uses
            RELEASES[joiner],
            JoinSettings(),
            kept.restore,
            Registry(),
            end=kept.end,
        )
        await stage.step(batch_of([RELEASES[normaliser].fact.encode(slotted)], NOW_MS + number * 1000))
        published.append([each for each in kept.messages[before:] if each.topic in _FIELDS])
        if joiner == "older":
            kept.messages[before:] = [_without_slots(each) for each in kept.messages[before:]]
    return published


def _without_slots(message: Message) -> Message:
    if message.topic != STATE.name or message.value is None:
        return message
    state = decode_state(message.value)
    return msgspec.structs.replace(message, value=encode_state(_forgetting(state)))


def _forgetting(state: CallState) -> CallState:
    replace = msgspec.structs.replace
    items = {
        name: replace(
            item,
            contents=tuple(
                replace(content, fact=replace(content.fact, slot_at=None, slot_certain=False))
                for content in item.contents
            ),
        )
        for name, item in state.items.items()
    }
    return replace(state, items=items, slots={})


def read(message: Message) -> Any:
    """Returns the typed record, as a sink of this release reads it."""
    return getattr(RELEASES["newest"], _FIELDS[message.topic]).decode(message.value)


def mixes(*choices: Writes) -> st.SearchStrategy[tuple[list[Fact], list[Writes], list[Writes]]]:
    def with_writers(log: list[Fact]) -> st.SearchStrategy[tuple[list[Fact], list[Writes], list[Writes]]]:
        writers = st.lists(st.sampled_from(choices), min_size=len(log), max_size=len(log))
        return st.tuples(st.just(log), writers, writers)

    return fact_logs().flatmap(with_writers)


@given(mixed=mixes("newest", "previous"))
def test_any_mix_of_writers_gives_the_same_rows_in_the_same_slots(
    mixed: tuple[list[Fact], list[Writes], list[Writes]],
) -> None:
    """To the byte: who writes the newest writes what it would have written alone, the other one that without slots."""
    log, normalisers, joiners = mixed
    alone = outputs(log, ["newest"] * len(log), ["newest"] * len(log))
    together = outputs(log, normalisers, joiners)

    for joiner, ours, expected in zip(joiners, together, alone, strict=True):
        assert [(each.topic, each.key) for each in ours] == [(each.topic, each.key) for each in expected]
        for one, other in zip(ours, expected, strict=True):
            codec = getattr(RELEASES[joiner], _FIELDS[one.topic])
            assert one.value == codec.encode(read(other))


@given(mixed=mixes("newest", "previous"))
def test_what_is_written_for_the_release_before_is_read_by_it(
    mixed: tuple[list[Fact], list[Writes], list[Writes]],
) -> None:
    log, normalisers, joiners = mixed
    for joiner, messages in zip(joiners, outputs(log, normalisers, joiners), strict=True):
        if joiner == "newest":
            continue
        for message in messages:
            assert message.value is not None
            _, schema_id = struct.unpack(">bI", message.value[:5])
            row: Any = fastavro.schemaless_reader(io.BytesIO(message.value[5:]), _OLD_SCHEMAS[schema_id], None)
            assert row["call_key"] == read(message).call_key


@given(mixed=mixes("newest", "previous", "older"))
def test_older_workers_beside_leave_the_rows_alone_and_no_wrong_slot_is_certain(
    mixed: tuple[list[Fact], list[Writes], list[Writes]],
) -> None:
    """A worker of the release before forgets slots: they are then found anew, and to be looked up."""
    log, normalisers, joiners = mixed
    alone = outputs(log, ["newest"] * len(log), ["newest"] * len(log))
    for joiner, ours, expected in zip(joiners, outputs(log, normalisers, joiners), alone, strict=True):
        rows, wanted = [read(each) for each in ours], [read(each) for each in expected]
        assert [_unslotted(row) for row in rows] == [_unslotted(row) for row in wanted]
        if joiner == "newest":
            for row, other in zip(rows, wanted, strict=True):
                assert row.slot_at is not None
                assert row.slot_at == other.slot_at or not row.slot_certain


def _unslotted(row: Any) -> Any:
    return msgspec.structs.replace(row, slot_at=None, slot_certain=False)
