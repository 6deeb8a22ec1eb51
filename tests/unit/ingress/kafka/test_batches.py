"""Records go into batches of aiokafka's own, and whoever waits for one hears of its fate."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from ingress.kafka.batches import Batch, Record, planned
from ingress.kafka.send_window import SendWindow
from schemas.errors import Unavailable

BATCH_BYTES = 1000
WINDOW_BYTES = 20_000


def new() -> BatchBuilder:
    return BatchBuilder(BATCH_BYTES, 0)


def record(key: str, size: int = 10, *, alone: bool = False, given_up: bool = False) -> Record:
    made = Record("calls.raw", key.encode(), bytes(size), [], lambda _record, _error: None)
    made.alone = alone
    if given_up:
        made.conclude()
    return made


def window() -> SendWindow:
    return SendWindow(limit_bytes=0, window_bytes=WINDOW_BYTES)


def named(records: Sequence[Record]) -> str:
    return " ".join(each.key.decode() for each in records)


def shown(batches: Sequence[Batch]) -> dict[int, str]:
    return {batch.partition: named(batch.records) for batch in batches}


Wanted = Sequence[tuple[str, int] | tuple[str, int, str]]


def made(wanted: Wanted) -> list[Record]:
    return [record(key, size, alone="alone" in how, given_up="given up" in how) for key, size, *how in wanted]


@pytest.mark.parametrize(
    ("wanted", "free", "batches", "rest"),
    [
        pytest.param([], [0, 1], {}, "", id="nothing"),
        pytest.param([("a", 9), ("b", 9), ("c", 9)], [4, 5], {4: "a b c"}, "", id="all fit into one batch"),
        pytest.param([("a", 600), ("b", 600), ("c", 9)], [4, 5], {4: "a", 5: "b c"}, "", id="a full batch has a next"),
        pytest.param([("a", 600), ("b", 600), ("c", 9)], [4], {4: "a"}, "b c", id="there is no partition for the rest"),
        pytest.param([("a", 9)], [], {}, "a", id="every partition has a batch under way"),
        pytest.param([("a", 9), ("b", 9000), ("c", 9)], [1, 2, 3], {1: "a", 2: "b", 3: "c"}, "", id="a large one"),
        pytest.param(
            [("a", 9), ("b", 9, "alone"), ("c", 9), ("d", 9)],
            [1, 2, 3],
            {1: "a", 2: "b", 3: "c d"},
            "",
            id="a lone one",
        ),
        pytest.param([("a", 9, "given up"), ("b", 9)], [1, 2], {1: "b"}, "", id="one that was given up is left out"),
        pytest.param([("a", 9, "given up")], [1], {}, "", id="nobody waits any more"),
        pytest.param(
            [("a", 12_000), ("b", 12_000), ("c", 9)],
            [1, 2],
            {1: "a"},
            "b c",
            id="no more bytes under way than the window",
        ),
        pytest.param([("a", 30_000)], [1], {1: "a"}, "", id="one that is larger than the window goes alone"),
    ],
)
async def test_records_go_together_as_they_come(
    wanted: Wanted, free: list[int], batches: dict[int, str], rest: str
) -> None:
    found, left = planned(made(wanted), free, window(), new)
    assert (shown(found), named(left)) == (batches, rest)


@pytest.mark.parametrize(
    ("wanted", "free", "batches", "rest"),
    [
        pytest.param([("0", 9), ("1", 9), ("0", 9)], [0, 1], {0: "0 0", 1: "1"}, "", id="one batch a partition"),
        pytest.param(
            [("0", 9), ("1", 9), ("0", 9)], [1], {1: "1"}, "0 0", id="a busy partition holds up its keys only"
        ),
        pytest.param(
            [("0", 600), ("0", 600), ("1", 9), ("0", 9)], [0, 1], {0: "0", 1: "1"}, "0 0", id="a key in order"
        ),
    ],
)
async def test_a_key_has_its_partition_where_the_key_decides(
    wanted: Wanted, free: list[int], batches: dict[int, str], rest: str
) -> None:
    found, left = planned(made(wanted), free, window(), new, keyed=int)
    assert (shown(found), named(left)) == (batches, rest)


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=2500), max_size=40),
    free=st.lists(st.integers(min_value=0, max_value=9), unique=True, max_size=10),
    by_key=st.booleans(),
)
def test_every_record_is_in_one_batch_or_waits_and_batches_have_their_bounds(
    *, sizes: list[int], free: list[int], by_key: bool
) -> None:
    async def holds() -> None:
        records = [record(str(number % 7), size) for number, size in enumerate(sizes)]
        room = window()
        batches, rest = planned(records, free, room, new, int if by_key else None)
        placed = [each for batch in batches for each in batch.records]
        assert sorted(map(id, [*placed, *rest])) == sorted(map(id, records))
        for key in {each.key for each in records}:
            assert [each for each in [*placed, *rest] if each.key == key] == [
                each for each in records if each.key == key
            ]
        assert len({batch.partition for batch in batches}) == len(batches)
        assert {batch.partition for batch in batches} <= set(free)
        for batch in batches:
            assert batch.size == sum(each.size for each in batch.records)
            assert len(batch.records) == 1 or batch.builder.size() <= BATCH_BYTES
            assert not by_key or {int(each.key) for each in batch.records} == {batch.partition}
        assert [each.handed for each in placed] == [True] * len(placed)
        handed = sum(each.size for each in placed)
        assert handed <= WINDOW_BYTES or len(placed) == 1
        assert room.has_room(WINDOW_BYTES - handed) == (handed <= WINDOW_BYTES)

    asyncio.run(holds())


@pytest.mark.parametrize("error", [None, Unavailable("no")], ids=["acknowledged", "failed"])
async def test_whoever_still_waits_hears_of_the_fate_once(error: Unavailable | None) -> None:
    told: list[tuple[bytes, Unavailable | None]] = []
    waits, gone, over = (
        Record("calls.raw", key, b"", [], lambda each, why: told.append((each.key, why)))
        for key in (b"waits", b"gone", b"over")
    )
    later = gone.outlive()
    gone.conclude()
    over.conclude()
    for each in (waits, gone, over):
        each.settle(error)
        each.settle(error)
    assert told == [(b"gone", None), (b"over", None), (b"waits", error)]
    assert later.exception() is error
    assert not any(each.waits or each.handed for each in (waits, gone, over))
