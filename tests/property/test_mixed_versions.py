"""Workers of one group that write different Avro versions: what comes of a call does not depend on who wrote what.

400 seeded histories (10,000 in `make test-long`) go on to the tables: with news after the horizon, replays, deaths and
sinks in between, each row stands in one slot. A failure names its seed.
"""

import asyncio
import io
import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import join
from processors.call.contents import Item
from processors.call.precedence import normalized
from processors.call.slots import Slots, with_slot
from processors.call.state import new_item
from processors.outbox import Message
from processors.stages.join_stage import JoinStage
from processors.store.partition import PartitionState
from schemas.codec import PREVIOUS, PUBLISHED, schema_text
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, FactType
from schemas.metrics import Registry
from schemas.slot_hours import slot_of
from schemas.topics import NORMALIZED, TIMELINES
from sinks.columns import Table
from sinks.flush.placing import Places
from tests.property.mixed_releases.histories import judge_history, play_history
from tests.property.mixed_releases.releases import RELEASES, Writes, without_slots
from tests.support.kafka.join_log import StateLog, batch_of
from tests.support.scale import SCALE
from tests.support.strategies import callback, fact_logs, placed

_OLD_SCHEMAS: Final[dict[int, Any]] = {
    one.schema_id: json.loads(schema_text(one)) for one in PUBLISHED if PREVIOUS.get(one.name) == one.version
}
_FIELDS: Final = {NORMALIZED.name: "fact", TIMELINES.name: "timeline"}
HISTORIES: Final = 400 * SCALE
HAPPENS: Final = (
    "news comes after the horizon",
    "raw records are replayed",
    "raw records are replayed after the horizon",
    "a worker is older",
    "a worker is previous",
    "a worker is newest",
    "a worker dies between its messages",
    "a worker dies before its commit",
    "a worker is replaced in order",
    "a worker is frozen with a batch, and goes on beside its successor",
    "a sink commits",
    "a sink goes on",
    "a sink dies first",
    "a sink dies between",
    "a sink answer is lost",
    "a sink reads the topics again from their beginning",
    "rows are moved to the tables with slots",
    "rows are looked up",
)
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
        await stage.step(batch_of([RELEASES[normaliser].stage_fact.encode(slotted)], NOW_MS + number * 1000))
        published.append([each for each in kept.messages[before:] if each.topic in _FIELDS])
        if joiner == "older":
            kept.messages[before:] = [without_slots(each) for each in kept.messages[before:]]
    return published


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
    """To the byte: who writes the newest writes what it would have written alone, the other one that without slots.

    The newest is only less certain of a slot than alone: the other one's rows are stored where their instants say.
    """
    log, normalisers, joiners = mixed
    alone = outputs(log, ["newest"] * len(log), ["newest"] * len(log))
    together = outputs(log, normalisers, joiners)

    for joiner, ours, expected in zip(joiners, together, alone, strict=True):
        assert [(each.topic, each.key) for each in ours] == [(each.topic, each.key) for each in expected]
        for one, other in zip(ours, expected, strict=True):
            codec = getattr(RELEASES[joiner], _FIELDS[one.topic])
            row, wanted = read(one), read(other)
            certain = row.slot_certain and wanted.slot_certain
            assert certain is row.slot_certain
            assert one.value == codec.encode(msgspec.structs.replace(wanted, slot_certain=certain))


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


async def wrongs_of(seed: int, places: type[Places] = Places) -> tuple[list[str], Counter[str]]:
    """Returns what is wrong in a history, and what happened in it."""
    mixed = await play_history(seed, places=places)
    alone = await play_history(seed, mixed=False, places=places)
    return list(judge_history(mixed, alone)), mixed.happened


@pytest.fixture(scope="module")
async def histories() -> tuple[list[str], Counter[str]]:
    """All histories."""
    wrong, happened = list[str](), Counter[str]()
    for seed in range(HISTORIES):
        found, those = await wrongs_of(seed)
        wrong += [f"seed {seed}: {sentence}" for sentence in found]
        happened += those
    return wrong, happened


@pytest.mark.timeout(0)
def test_no_history_of_mixed_releases_makes_a_second_row_or_another_one(
    histories: tuple[list[str], Counter[str]],
) -> None:
    """News after the horizon, replays, deaths and look-ups: each row stands once, as this release alone has it."""
    assert histories[0] == []


@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", HAPPENS)
def test_it_happens_in_these_histories(histories: tuple[list[str], Counter[str]], what: str) -> None:
    """Histories in which nothing happens would prove nothing."""
    assert histories[1][what] >= HISTORIES // 20


class NeverLooks(Places):
    """Writes each row where it seems to belong, and remembers only its own."""

    async def _look_up(self, table: Table[Any], records: Mapping[Any, Any]) -> dict[Any, Any]:
        return {}


class LooksNearby(Places):
    """Looks for a row in the days around its slot alone."""

    async def _find(self, *arguments: Any) -> dict[Any, Any]:
        return await super()._find(*arguments) if arguments[3] else {}


class ForgetsItsOwn(Places):
    """Believes what is stored alone, so that two new versions in one insert part."""

    async def placed(self, table: Table[Any], records: Sequence[Any]) -> Sequence[Any]:
        return [row for record in records for row in await super(ForgetsItsOwn, self._anew()).placed(table, [record])]

    def _anew(self) -> "ForgetsItsOwn":
        self._known.clear()
        return self


def always_certain(slots: Slots, fact: Fact, items: Sequence[Item], now_ms: int, _sure_since_s: float) -> Slots:
    return with_slot(slots, fact, items, now_ms, float("-inf"))


def frozen_anew(slots: Slots, fact: Fact, _items: Sequence[Item], now_ms: int, sure_since_s: float) -> Slots:
    return with_slot(
        {name: slot for name, slot in slots.items() if name != fact.account}, fact, (), now_ms, sure_since_s
    )


def certain_for_good(slots: Slots, fact: Fact, items: Sequence[Item], now_ms: int, sure_since_s: float) -> Slots:
    return slots if fact.account in slots else with_slot(slots, fact, items, now_ms, sure_since_s)


def told(held: PartitionState, fact: Fact, *, slots_told: bool = True) -> join.JoinResult:
    return _apply(held, fact)


def _nothing(_held: PartitionState) -> int:
    return 0


def _ignored(_held: PartitionState, _at_ms: int) -> None:
    return None


_apply: Final = PartitionState.apply
NAIVE_PLACES: Final = (NeverLooks, LooksNearby, ForgetsItsOwn)
NAIVE_SLOTS: Final[dict[str, tuple[Any, str, Any]]] = {
    "every slot is certain": (join, "with_slot", always_certain),
    "a slot is frozen anew by each news": (join, "with_slot", frozen_anew),
    "a slot stays certain where a worker does not tell it": (join, "with_slot", certain_for_good),
    "a slot that was not told is as certain as any": (PartitionState, "apply", told),
    "what is read again is as certain as at first": (PartitionState, "forgotten_ms", property(_nothing, _ignored)),
}


CAUGHT: Final = (1, 3, 6, 13, 43, 216)
"""Seeds of histories in which naive ways failed; these are tried before all others."""


async def is_caught(places: type[Places] = Places) -> bool:
    """True when one of as many histories as `make test` has goes wrong."""
    for seed in (*CAUGHT, *range(400)):
        if (await wrongs_of(seed, places))[0]:
            return True
    return False


@pytest.mark.parametrize("places", NAIVE_PLACES)
async def test_a_naive_sink_is_caught(places: type[Places]) -> None:
    """Negative controls: histories that cannot fail them would prove nothing."""
    assert await is_caught(places)


@pytest.mark.parametrize(("where", "name", "naive"), NAIVE_SLOTS.values(), ids=NAIVE_SLOTS.keys())
async def test_a_naive_joiner_is_caught(where: Any, name: str, naive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, name, naive, raising=False)
    assert await is_caught()
