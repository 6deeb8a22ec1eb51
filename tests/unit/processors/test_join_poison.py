"""Bad contents or a bug at one call never stop the other calls, and the call is complete after the fix."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import pytest

from processors import join
from processors.outbox import Message
from processors.poison.suspects import describe_error
from processors.records import Record, RecordBatch
from processors.stages import join_outputs
from processors.stages.join_dead_letters import state_dead_letter
from processors.stages.join_stage import JoinStage
from processors.store import partition
from processors.store.changelog import new_writer
from processors.store.partition import PartitionState, Stuck
from processors.store.state_codec import FORM, encode_state
from processors.timeline import build
from schemas.codec import FACT, Codec, Codecs
from schemas.config.settings import JoinSettings
from schemas.dead_letter import DeadLetter
from schemas.errors import Unavailable
from schemas.facts import Fact, State
from schemas.metrics import Registry
from schemas.timeline import Timeline
from schemas.topics import DEAD, FACTS, NORMALIZED, STATE, TIMELINES
from tests.support.kafka.join_log import StateLog
from tests.support.strategies import CALLER, KEY, callback, in_a_row, privacy, pushed_state

JOIN = JoinSettings()
CODECS = Codecs()
OTHER: Final = "huawei|main|session-1"
POISON = in_a_row([callback(), callback(vendor_duration_s=61)])
GOOD = in_a_row([privacy(end=None), privacy()], first_offset=10)
MINUTE_MS = 60_000
DAY_MS = 86_400_000


class World:
    """A stage with topics that can be read again."""

    def __init__(self) -> None:
        self.log = StateLog()
        self.metrics = Registry()
        self.renew()

    def renew(self) -> None:
        """Replace the worker by a new one, as after a restart."""
        self.stage = JoinStage(self.log, CODECS, JOIN, self.log.restore, self.metrics, end=self.log.end)  # type: ignore[arg-type]  # as much of an outbox as it uses

    async def take(self, facts: Iterable[Fact | bytes | None], now_ms: int = 0) -> list[DeadLetter]:
        """Join one batch of these; returns its dead letters."""
        before = len(self.log.messages)
        records = tuple(
            Record(
                offset=number, timestamp_ms=now_ms, key=b"", value=FACT.encode(fact) if isinstance(fact, Fact) else fact
            )
            for number, fact in enumerate(facts)
        )
        await self.stage.step(
            RecordBatch(topic=FACTS.name, partition=1, records=records, first_offset=0, next_offset=len(records))
        )
        return [CODECS.dead_letter.decode(each.value) for each in self.log.messages[before:] if each.topic == DEAD.name]

    def timelines(self) -> dict[str, Timeline]:
        """Map each call to the row that a table would show."""
        rows: dict[str, Timeline] = {}
        for each in self.log.messages:
            if each.topic == TIMELINES.name:
                row = CODECS.timeline.decode(each.value)
                rows[row.call_key] = max(row, rows.get(row.call_key, row), key=lambda one: one.version)
        return rows

    def on_topic(self, topic: str) -> list[Message]:
        """List the messages of a topic."""
        return [each for each in self.log.messages if each.topic == topic]


def raising_for(key: str, real: Callable[..., Any], read: Callable[..., str]) -> Callable[..., Any]:
    """Return the real function with a bug that only one call provokes."""

    def buggy(*args: Any, **kwargs: Any) -> Any:
        if read(*args, **kwargs) == key:
            raise KeyError("a message that quotes +8613810603954")
        return real(*args, **kwargs)

    return buggy


def of_state(state: Any, *_: Any, **__: Any) -> str:
    return str(next(iter(state.items.values())).sample.call_key)


def of_item(item: Any, *_: Any, **__: Any) -> str:
    return str(item.sample.call_key)


def of_row(_codec: Any, row: Any) -> str:
    return str(getattr(row, "call_key", ""))


BUGS: dict[str, tuple[Any, str, Callable[..., str]]] = {
    "merging": (join, "normalized", of_item),
    "building a timeline": (join_outputs, "timelines_of", of_state),
    "a part of a timeline": (build, "group", lambda items: next(iter(items)).sample.call_key),
    "encoding": (Codec, "encode", of_row),
    "storing a state": (partition, "encode_state", of_state),
    "joining": (partition, "step", lambda _state, fact, *_: fact.call_key),
}


@pytest.mark.parametrize(("module", "name", "read"), BUGS.values(), ids=BUGS.keys())
async def test_a_bug_that_one_call_provokes_costs_that_call_alone(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, read: Callable[..., str]
) -> None:
    """Its records are dead letters, its state is as before; replayed after the fix they are joined."""
    world = World()
    facts = [FACT.encode(fact) for fact in (POISON[0], GOOD[0], POISON[1], GOOD[1])]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, raising_for(KEY, getattr(module, name), read))
        dead_letters = await world.take(facts)
        await world.take([GOOD[1]])

    assert [(dead_letter.offset, dead_letter.code, dead_letter.stage, dead_letter.vendor) for dead_letter in dead_letters] == [
        (0, "internal", "join", "ytx"), (2, "internal", "join", "ytx"),
    ]  # fmt: skip
    assert all(
        "KeyError at test_join_poison.py" in dead_letter.detail and "8613" not in dead_letter.detail
        for dead_letter in dead_letters
    )
    assert [dead_letter.original for dead_letter in dead_letters] == [facts[0], facts[2]]
    assert set(world.timelines()) == {OTHER}
    assert {each.key for each in (*world.on_topic(NORMALIZED.name), *world.on_topic(STATE.name))} == {OTHER.encode()}
    assert world.metrics.get("callweave_join_outcomes_total", "ytx", "dead") == 2

    again = await world.take([dead_letter.original for dead_letter in dead_letters])
    untouched = World()
    await untouched.take([*POISON, *GOOD])
    assert again == []
    assert world.timelines() == untouched.timelines()


async def test_what_was_known_of_the_call_stays_known(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.take(POISON[:1])
    with monkeypatch.context() as patch:
        patch.setattr(join_outputs, "timelines_of", raising_for(KEY, build.timelines_of, of_state))
        dead_letters = await world.take([POISON[1], *GOOD])
    world.metrics.text()

    assert [dead_letter.offset for dead_letter in dead_letters] == [0]
    assert world.timelines()[KEY].fact_count == 1
    assert world.metrics.get("callweave_join_items", "ytx", "fact") == 1

    await world.take([dead_letters[0].original])
    assert world.timelines()[KEY].fact_count == 2


async def test_kafka_and_memory_end_the_process_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def exhausted(*_: Any) -> None:
        raise MemoryError

    async def away(_messages: Sequence[Message]) -> None:
        raise Unavailable("Kafka is away")

    with monkeypatch.context() as patch:
        patch.setattr(partition, "step", exhausted)
        with pytest.raises(MemoryError):
            await world.take(POISON)
    monkeypatch.setattr(world.log, "publish", away)
    with pytest.raises(Unavailable):
        await world.take(POISON)


STATES = in_a_row([pushed_state(CALLER, State.SETUP, 0)])


@pytest.mark.parametrize("module", [partition, join_outputs], ids=["deciding it", "telling it"])
async def test_a_timeout_that_a_bug_prevents_is_reported_once_and_forgotten_at_the_horizon(
    monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    """It is not tried again with every record, and it stops no timeouts of other calls."""
    world = World()
    await world.take([*STATES, GOOD[0]])
    whole = world.on_topic(STATE.name)[0]
    name = "timeout" if module is partition else "timelines_of"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, raising_for(KEY, getattr(module, name), of_state))
        dead_letters = [await world.take([None], now_ms=31 * MINUTE_MS) for _ in range(5)]
        later = await world.take([None], now_ms=DAY_MS + 1)
        at_the_end = await world.take([None], now_ms=8 * DAY_MS)
        forgotten = [await world.take([None], now_ms=8 * DAY_MS + number) for number in range(3)]

    (dead_letter,) = [dead_letter for each in dead_letters for dead_letter in each]
    assert (dead_letter.code, dead_letter.topic, dead_letter.partition, dead_letter.original) == (
        "internal",
        STATE.name,
        1,
        whole.value,
    )
    assert (dead_letter.headers, later, forgotten) == ({"kafka_key": KEY}, [], [[], [], []])
    assert world.timelines()[OTHER].phase == 1
    assert [each.code for each in at_the_end] == ["internal"]
    assert (world.on_topic(STATE.name)[-1].key, world.on_topic(STATE.name)[-1].value) == (KEY.encode(), None)


async def test_a_call_whose_timeout_failed_goes_on_with_its_next_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.take(STATES)
    with monkeypatch.context() as patch:
        patch.setattr(partition, "timeout", raising_for(KEY, join.timeout, of_state))
        await world.take([None], now_ms=31 * MINUTE_MS)
    more = in_a_row([pushed_state(CALLER, State.ALERTING, 3)], first_offset=5)
    await world.take(more, now_ms=32 * MINUTE_MS)
    await world.take([None], now_ms=63 * MINUTE_MS)

    assert (world.timelines()[KEY].phase, world.timelines()[KEY].fact_count) == (1, 2)


async def test_a_state_sent_again_after_the_fix_is_carried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state's bytes go to its topic under its key, as by `dead replay`, and are read at the next tick."""
    world = World()
    await world.take(STATES)
    with monkeypatch.context() as patch:
        patch.setattr(partition, "timeout", raising_for(KEY, join.timeout, of_state))
        (dead_letter,) = await world.take([None], now_ms=31 * MINUTE_MS)

    world.log.messages.append(
        Message(
            topic=STATE.name, key=dead_letter.headers["kafka_key"].encode(), value=dead_letter.original, partition=1
        )
    )
    await world.take([None], now_ms=32 * MINUTE_MS)

    assert world.timelines()[KEY].phase == 1


DAMAGED: dict[str, bytes] = {
    "another schema": b"\x63" + b"rest",
    "nothing": b"",
    "no head": bytes((FORM,)) + b"\xc1",
    "a head and no items": bytes((FORM,)) + msgspec.msgpack.encode([1, 0, 1, 0, 5, 9, [], False, 0, b"items"]),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_state_that_cannot_be_read_costs_its_call_alone(damaged: bytes) -> None:
    """It is found at the restore, when a fact comes, or when its timeout is due."""
    first = World()
    await first.take([*POISON, *GOOD])
    for facts, now_ms in (([*POISON, GOOD[1]], 0), ([None], 8 * DAY_MS)):
        world = World()
        world.log.messages += [
            msgspec.structs.replace(each, value=damaged) if each.key == KEY.encode() else each
            for each in first.on_topic(STATE.name)
        ]
        dead_letters = await world.take(facts, now_ms=now_ms)
        more = await world.take([None], now_ms=now_ms)

        assert [(dead_letter.code, dead_letter.topic, dead_letter.original) for dead_letter in dead_letters] == [
            ("schema", STATE.name, damaged)
        ]
        assert dead_letters[0].headers == {"kafka_key": KEY}
        assert more == []
        if facts[0] is not None:
            assert {key: row.fact_count for key, row in world.timelines().items()} == {KEY: 2, OTHER: 2}


async def test_the_dead_letter_of_a_state_is_the_same_after_every_restart() -> None:
    world = World()
    world.log.messages.append(
        Message(topic=STATE.name, key=KEY.encode(), value=b"junk", partition=1, headers=new_writer(0).headers)
    )
    dead_letters = []
    for _ in range(3):
        world.renew()
        dead_letters += await world.take([None], now_ms=5)

    assert len(dead_letters) == 3
    assert (
        len(
            {
                (
                    dead_letter.topic,
                    dead_letter.partition,
                    dead_letter.offset,
                    dead_letter.element,
                    dead_letter.origin_hash,
                )
                for dead_letter in dead_letters
            }
        )
        == 1
    )
    assert dead_letters[0].offset >= 0


async def test_a_key_that_is_no_text_stops_nothing() -> None:
    world = World()
    world.log.messages.append(Message(topic=STATE.name, key=b"\xff\xfe", value=b"junk", partition=1))

    assert [dead_letter.code for dead_letter in await world.take(GOOD)] == ["schema"]
    assert set(world.timelines()) == {OTHER}


def test_of_several_states_those_that_can_be_read_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    held = PartitionState(JOIN)
    states = []
    for fact in POISON:
        done = join.step(None, fact, 0, JOIN)
        assert done.state
        states.append(encode_state(done.state))
    held.load(KEY, [states[0], b"junk", states[1]])
    assert [(stuck.code, stuck.state) for stuck in held.take_stuck()] == [("schema", b"junk")]
    assert held.items["ytx", "fact"] == 2

    def broken(*_: Any) -> Any:
        raise ValueError("no way")

    monkeypatch.setattr(partition, "merge_stored", broken)
    held = PartitionState(JOIN)
    held.load(KEY, states)
    assert [(stuck.code, stuck.state) for stuck in held.take_stuck()] == [("internal", states[0])]
    assert held.items["ytx", "fact"] == 1


def test_an_error_is_described_without_its_values() -> None:
    with pytest.raises(KeyError) as caught:
        raising_for("k", str, str)("k")

    assert describe_error(caught.value).startswith("KeyError at test_join_poison.py:")
    assert describe_error(ValueError("+8613810603954")) == "ValueError"


def test_a_key_names_its_vendor_or_none() -> None:
    stuck = Stuck(key="?|x", state=b"", code="schema", detail="")

    assert state_dead_letter(stuck, 0, 0).vendor == ""
