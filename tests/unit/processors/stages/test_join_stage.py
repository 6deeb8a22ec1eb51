"""The joining stage around its pure parts: its outputs, and its gauges when partitions come and go."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from processors.call.contents import Content, Item
from processors.call.precedence import normalized
from processors.call.state import new_item
from processors.join import merge_stored
from processors.outbox import Message, Oversize
from processors.records import Record, RecordBatch
from processors.stages import join_stage
from processors.stages.join_outputs import Outputs
from processors.stages.join_stage import JoinStage
from processors.store import segments
from processors.store.changelog import new_writer
from processors.store.state_codec import decode_state
from schemas.codec import FACT, PREVIOUS, Codecs, codecs_for
from schemas.config.settings import JoinSettings
from schemas.errors import Unavailable
from schemas.facts import Fact
from schemas.metrics import Registry
from schemas.slot_hours import slot_of
from schemas.topics import DEAD, FACTS, MAX_MESSAGE_BYTES, NORMALIZED, STATE
from tests.support.kafka.join_log import Nowhere, StateLog, at_zero, batch_of, nothing
from tests.support.strategies import BOTH_LEGS, callback, in_a_row, participant, placed, privacy
from tests.unit.processors.stages.quarantined import Guard


class Strict(Nowhere):
    """An outbox with Kafka's limit of size."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take all messages or none."""
        for message in messages:
            if message.size_bytes > MAX_MESSAGE_BYTES:
                raise Oversize(message, MAX_MESSAGE_BYTES)
        await super().publish(messages)


def slotted(fact: Fact) -> Fact:
    """The fact in its own slot, as the normaliser writes it."""
    return msgspec.structs.replace(fact, slot_at=slot_of(fact), slot_certain=True)


FIRST, SECOND = in_a_row([callback(cost=Decimal("2.94")), callback(cost=Decimal("3.10"))])
CORRECTED = slotted(SECOND)
NORMALISED = slotted(normalized(new_item(FIRST)))
BOTH = tuple(Content(fact=fact) for fact in sorted((NORMALISED, CORRECTED), key=lambda fact: fact.content_digest))


RELEASES: dict[str, dict[str, int]] = {"newest": {}, "previous": dict(PREVIOUS)}


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        pytest.param([NORMALISED], NORMALISED, id="a fact as this release writes it"),
        pytest.param([FIRST], NORMALISED, id="a fact without its version, as an older release wrote it"),
        pytest.param([NORMALISED, NORMALISED], NORMALISED, id="the same record read twice"),
        pytest.param(
            [NORMALISED, CORRECTED],
            normalized(Item(contents=BOTH)),
            id="corrected in the same batch",
        ),
    ],
)
@pytest.mark.parametrize("ids", [{}, {1004: 7, 1005: 8, 1009: 9}], ids=["pinned ids", "ids of a registry set since"])
@pytest.mark.parametrize("ours", RELEASES.values(), ids=[f"written as {name}" for name in RELEASES])
@pytest.mark.parametrize("theirs", RELEASES.values(), ids=[f"sent as {name}" for name in RELEASES])
async def test_what_goes_on_is_written_as_this_worker_writes(
    sent: list[Fact], published: Fact, ids: dict[int, int], ours: dict[str, int], theirs: dict[str, int]
) -> None:
    """Bytes that another release wrote on `calls.facts` are not passed on: other services may not know them."""
    codecs, outbox = codecs_for(ids, ours), Nowhere()
    normaliser = codecs_for({}, theirs)
    stage = JoinStage(outbox, codecs, JoinSettings(), nothing, Registry(), end=at_zero)  # type: ignore[arg-type]  # as much of an outbox as it uses
    await stage.step(batch_of(normaliser.stage_fact.encode(fact) for fact in sent))

    assert [each.value for each in outbox.messages if each.topic == NORMALIZED.name] == [codecs.fact.encode(published)]


def calls(count: int) -> list[Fact]:
    """Make this many calls of one record each."""
    return [
        msgspec.structs.replace(fact, fact_id=str(UUID(int=number)), call_key=f"ytx|main|{number}")
        for number, fact in enumerate(in_a_row([callback()] * count))
    ]


@pytest.mark.parametrize("part", ["_fact", "_join"])
async def test_a_fact_at_which_workers_die_is_found_by_two_deaths_when_it_is_read_and_when_it_is_joined(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All facts are read before the first is joined, and yet one alone is put aside for what it does."""
    guard, codecs, do = Guard(), Codecs(), getattr(JoinStage, part)

    def dies(stage: JoinStage, *given: Any) -> Any:
        if any(isinstance(each, Record) and each.offset == 51 for each in given):
            raise MemoryError
        return do(stage, *given)

    monkeypatch.setattr(JoinStage, part, dies)
    outboxes = [Nowhere() for _ in range(3)]
    steps = [
        JoinStage(outbox, codecs, JoinSettings(), nothing, Registry(), end=at_zero).step  # type: ignore[arg-type]  # as much of an outbox as it uses
        for outbox in outboxes
    ]
    facts = calls(70)
    died = await guard.deaths("join", steps.pop, batch_of(codecs.stage_fact.encode(fact) for fact in facts))

    assert died == [(50, 70), (51, 52)]
    assert [codecs.dead_letter.decode(each.value).offset for each in guard.sent.messages] == [51]
    normalized = [codecs.fact.decode(each.value) for each in outboxes[0].messages if each.topic == NORMALIZED.name]
    assert {fact.fact_id for fact in normalized} == {fact.fact_id for fact in facts} - {facts[51].fact_id}
    assert guard.crashes.book.suspects == ()


async def test_outputs_at_which_a_worker_dies_accuse_all_facts_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of calls of any run."""
    guard, codecs = Guard(), Codecs()

    def dies(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Outputs, "messages", dies)
    stage = JoinStage(Nowhere(), codecs, JoinSettings(), nothing, Registry(), end=at_zero)  # type: ignore[arg-type]  # as much of an outbox as it uses
    with pytest.raises(MemoryError):
        await guard.guarding(stage.step)(batch_of(map(codecs.stage_fact.encode, calls(70))))

    assert guard.at == (0, 70)


def huge(note: str) -> Fact:
    """A record that fits into a message of Kafka's while two of them do not."""
    return callback(extras={"note": note * (MAX_MESSAGE_BYTES * 5 // 8)})


LARGE = in_a_row([huge("x"), huge("y"), BOTH_LEGS[0]])
ANOTHER = in_a_row([privacy()], first_offset=9)[0]
TOO_LARGE = {
    "in one batch: neither is known": ([[LARGE[0], LARGE[1], ANOTHER]], [(0, 0), (0, 1)]),
    "one after the other: the first one stays": ([[LARGE[0]], [LARGE[1], ANOTHER]], [(1, 0)]),
    "again and again": ([[LARGE[0], ANOTHER], [LARGE[1]], [LARGE[1], LARGE[1]]], [(1, 0), (2, 0), (2, 1)]),
    "what fits is joined": ([[LARGE[0]], [LARGE[1]], [LARGE[2], ANOTHER]], [(1, 0)]),
}


@pytest.mark.parametrize(("batches", "dead"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_a_call_that_outgrows_a_message_costs_only_what_does_not_fit(
    batches: list[list[Fact]], dead: list[tuple[int, int]]
) -> None:
    """A worker that ended on it would end again and again, and nothing behind it would be joined."""
    codecs, outbox, metrics = Codecs(), Strict(), Registry()
    stage = JoinStage(outbox, codecs, JoinSettings(), nothing, metrics, end=at_zero)  # type: ignore[arg-type]  # as much of an outbox as it uses
    bodies = [[FACT.encode(fact) for fact in facts] for facts in batches]
    found: list[tuple[int, int, str, bool]] = []
    for number, values in enumerate(bodies):
        outbox.messages.clear()
        await stage.step(batch_of(values))
        dead_letters = [codecs.dead_letter.decode(each.value) for each in outbox.messages if each.topic == DEAD.name]
        found += [(number, each.offset, each.code, each.original == values[each.offset]) for each in dead_letters]
    metrics.text()

    joined = {fact.content_digest for facts in batches for fact in facts} - {
        batches[number][offset].content_digest for number, offset in dead
    }
    assert found == [(number, offset, "oversize", True) for number, offset in dead]
    assert sum(metrics.get("callweave_join_items", vendor, "fact") for vendor in ("ytx", "huawei")) == len(joined)


async def test_bytes_that_leave_no_room_for_a_dead_letter_stay_at_their_place() -> None:
    codecs, outbox = Codecs(), Strict()
    stage = JoinStage(outbox, codecs, JoinSettings(), nothing, Registry(), end=at_zero)  # type: ignore[arg-type]  # as much of an outbox as it uses
    await stage.step(batch_of([b"junk" * (MAX_MESSAGE_BYTES // 4 - 30)]))

    (dead_letter,) = [codecs.dead_letter.decode(each.value) for each in outbox.messages]
    assert (dead_letter.code, dead_letter.offset, dead_letter.original) == ("schema", 0, b"")
    assert "left at the origin" in dead_letter.detail


async def test_a_worker_does_not_count_what_it_no_longer_holds() -> None:
    """Its partitions went to another worker, which counts them: the sum over all workers stays exact."""
    codecs, metrics = Codecs(), Registry()
    stage = JoinStage(Nowhere(), codecs, JoinSettings(), nothing, metrics, end=at_zero)  # type: ignore[arg-type]  # as much of an outbox as it uses
    facts = in_a_row([*BOTH_LEGS, callback()])
    await stage.step(batch_of(codecs.fact.encode(fact) for fact in facts))
    metrics.text()
    held = metrics.get("callweave_join_items", facts[0].vendor, "fact")

    stage.drop([(FACTS.name, 1)])
    metrics.text()

    assert held == len(facts)
    assert metrics.get("callweave_join_items", facts[0].vendor, "fact") == 0
    assert (
        sum(metrics.get("callweave_join_calls", phase) for phase in ("open", "provisional", "final", "reopened")) == 0
    )


async def test_what_a_zombie_wrote_is_mended_at_the_next_tick() -> None:
    """States are merged before compaction keeps only the zombie's; a tick without foreign states costs nothing."""
    log = StateLog()
    stage = JoinStage(log, Codecs(), JoinSettings(), log.restore, Registry(), end=log.end)  # type: ignore[arg-type]  # as much of an outbox as it uses
    first, second = in_a_row(BOTH_LEGS[:2])
    await stage.step(batch_of([FACT.encode(first)]))
    less = log.states[-1]
    await stage.step(batch_of([FACT.encode(second)]))
    whole = log.states[-1]
    log.messages.append(msgspec.structs.replace(less, headers=new_writer(0).headers))

    await stage.step(batch_of([None]))
    mended = log.states[-1]
    await stage.step(batch_of([None]))

    assert [decode_state(each.value or b"") for each in (mended, log.states[-1])] == [
        merge_stored(decode_state(whole.value or b""), decode_state(less.value or b""), JoinSettings())
    ] * 2
    assert len(log.states) == 4


class InTurn(StateLog):
    """An outbox that knows what was published together."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[list[Message]] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take the messages."""
        await super().publish(messages)
        self.turns.append([each for each in messages if each.topic == STATE.name])


PEOPLE = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(3 * segments.LARGE)])


async def test_segments_go_only_once_the_state_that_contains_them_is_acknowledged() -> None:
    """The second of two batches to one partition may arrive without the first."""
    log, codecs = InTurn(), Codecs()
    stage = JoinStage(log, codecs, JoinSettings(), log.restore, Registry(), end=log.end)  # type: ignore[arg-type]  # as much of an outbox as it uses
    for fact in PEOPLE:
        await stage.step(batch_of([FACT.encode(fact)]))
    removing = [number for number, turn in enumerate(log.turns) if any(each.value is None for each in turn)]

    assert removing
    for number in removing:
        (whole,) = log.turns[number - 1]
        assert whole.key == PEOPLE[0].call_key.encode()
        assert whole.value is not None
        assert all(each.value is None for each in log.turns[number])
    assert len(log.states) == await log.end("", 0) == sum(map(len, log.turns))
    assert not await stage._others_wrote(1)


@pytest.mark.parametrize(
    ("codecs", "keys"), [(Codecs(), 11), (codecs_for({}, PREVIOUS), 1)], ids=["this release", "beside the one before"]
)
async def test_segments_are_for_those_who_know_them(codecs: Codecs, keys: int) -> None:
    log = StateLog()
    stage = JoinStage(log, codecs, JoinSettings(), log.restore, Registry(), end=log.end)  # type: ignore[arg-type]  # as above
    for fact in PEOPLE[: segments.LARGE + 10]:
        await stage.step(batch_of([codecs.stage_fact.encode(fact)]))

    assert len({each.key for each in log.states}) == keys


RESTARTS = {
    "of this release": (Codecs(), Codecs(), 0, True),
    "of the release before": (codecs_for({}, PREVIOUS), codecs_for({}, PREVIOUS), 0, False),
    "behind one of the release before, with what that may have read": (codecs_for({}, PREVIOUS), Codecs(), 2, False),
    "behind one of the release before, with news": (codecs_for({}, PREVIOUS), Codecs(), 0, True),
}


@pytest.mark.parametrize(("first", "second", "facts_end", "certain"), RESTARTS.values(), ids=RESTARTS.keys())
async def test_a_worker_is_certain_of_slots_that_nobody_left_out(
    first: Codecs,
    second: Codecs,
    facts_end: int,
    certain: bool,  # noqa: FBT001 - a case
) -> None:
    """One that died may have published rows of the facts behind its offset, and no states of them."""
    log = StateLog()

    async def end(topic: str, partition: int) -> int:
        return facts_end if topic == FACTS.name else await log.end(topic, partition)

    new = placed(privacy(), 2)
    now_ms = int(new.received_at.timestamp() * 1000)
    for codecs, fact in ((first, placed(callback(), 1)), (second, new)):
        stage = JoinStage(log, codecs, JoinSettings(), log.restore, Registry(), end=end)  # type: ignore[arg-type]  # as above
        await stage.step(batch_of([codecs.fact.encode(fact)], now_ms))
    state = decode_state(log.states[-1].value or b"")
    assert [slot.certain for slot in state.slots.values()] == [certain]


@pytest.mark.parametrize(("within_s", "joined"), [(30.0, True), (0.0, False)], ids=["half a minute", "longer"])
async def test_states_are_read_again_while_kafka_finds_a_leader(
    monkeypatch: pytest.MonkeyPatch, within_s: float, *, joined: bool
) -> None:
    """A worker that ended for it would come back much later than the leader."""
    monkeypatch.setattr(join_stage, "RESTORE_WITHIN_S", within_s)
    monkeypatch.setattr(join_stage, "RESTORE_EVERY_S", 0.001)
    refusals = [Unavailable("no leader"), Unavailable("no leader")]
    breaks = [Unavailable("no leader")]

    async def end(_topic: str, _partition: int) -> int:
        if refusals:
            raise refusals.pop()
        return 0

    async def broken(topic: str, partition: int, end: int) -> AsyncGenerator[RecordBatch, None]:
        if breaks:
            raise breaks.pop()
        async for batch in nothing(topic, partition, end):
            yield batch

    outbox = Nowhere()
    stage = JoinStage(outbox, Codecs(), JoinSettings(), broken, Registry(), end=end)  # type: ignore[arg-type]  # as much of an outbox as it uses
    with contextlib.nullcontext() if joined else pytest.raises(Unavailable, match="no leader"):
        await stage.step(batch_of([FACT.encode(in_a_row(BOTH_LEGS[:1])[0])]))
    assert bool(outbox.messages) is joined
