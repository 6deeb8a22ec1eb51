"""The room for batches that are worked on at once."""

import asyncio

import pytest

from processors.engine.room import FULL, Room, share_of
from processors.records import Record, RecordBatch


def batch_of(count: int, each_bytes: int) -> RecordBatch:
    records = tuple(Record(offset=n, timestamp_ms=0, key=None, value=bytes(each_bytes)) for n in range(count))
    return RecordBatch(topic="t", partition=0, records=records, first_offset=0, next_offset=max(count, 1))


@pytest.mark.parametrize(
    ("count", "each_bytes", "share"),
    [
        pytest.param(0, 0, 1, id="nothing"),
        pytest.param(1, 10, 10, id="a record"),
        pytest.param(50, 10, FULL // 2, id="half of the records"),
        pytest.param(100, 10, FULL, id="all records"),
        pytest.param(1, 2500, FULL // 4, id="a quarter of the bytes"),
        pytest.param(1, 90_000, FULL, id="a record that is larger than a fetch"),
    ],
)
def test_a_batch_takes_room_by_its_records_or_its_bytes(count: int, each_bytes: int, share: int) -> None:
    assert share_of(batch_of(count, each_bytes), full_records=100, full_bytes=10_000) == share


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Visits:
    """Tasks that take a share each, and who of them is in the room."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, share: int) -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._visit(name, share))
        await turns()

    async def _visit(self, name: str, share: int) -> None:
        async with self.room.taken(share):
            self.inside.append(name)
            try:
                await self.ends[name].wait()
            finally:
                self.inside.remove(name)

    async def go(self, name: str) -> None:
        self.ends[name].set()
        await turns()


async def test_no_more_is_in_the_room_than_fits_and_whoever_came_first_enters_first() -> None:
    """A small one does not pass a large one that waits, or that would wait for ever."""
    visits = Visits(Room(10))
    for name, share in (("a", 6), ("b", 4), ("large", 9), ("small", 1)):
        await visits.come(name, share)

    assert visits.inside == ["a", "b"]

    await visits.go("b")
    assert visits.inside == ["a"]

    await visits.go("a")
    assert visits.inside == ["large", "small"]


@pytest.mark.parametrize(
    "entered", [pytest.param(False, id="while it waits"), pytest.param(True, id="as it may enter")]
)
async def test_one_that_is_cancelled_keeps_nobody_out(*, entered: bool) -> None:
    visits = Visits(Room(10))
    for name, share in (("a", 6), ("large", 9), ("small", 4)):
        await visits.come(name, share)
    if entered:
        visits.ends["a"].set()
        while visits.inside:  # noqa: ASYNC110 - what is waited for is the moment at which the next one may enter
            await asyncio.sleep(0)
    visits.tasks["large"].cancel()
    await turns()

    assert visits.inside == (["small"] if entered else ["a", "small"])
