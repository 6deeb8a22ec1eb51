"""Records are given up at their times, by one timer for all that have equally long."""

import asyncio

from ingress.kafka.batches import Record
from ingress.kafka.deadlines import Deadlines
from schemas.errors import Unavailable


def record(name: bytes) -> Record:
    return Record("calls.raw", name, b"", [], lambda _record, _error: None)


class Given:
    """Deadlines whose ends are noted, as hundredths of a second since the start."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()
        self.up: list[tuple[bytes, float, float]] = []
        self.deadlines = Deadlines(self._note)

    def _note(self, record: Record, after_s: float) -> None:
        self.up.append((record.key, after_s, self.loop.time() - self.begun))
        record.conclude(Unavailable("late", code="timeout"))

    def add(self, name: bytes, after_s: float) -> Record:
        made = record(name)
        self.deadlines.add(made, self.loop.time(), after_s)
        return made


async def test_each_is_given_up_at_its_time_and_not_before() -> None:
    given = Given()
    given.add(b"late", 0.09)
    given.add(b"soon", 0.03)
    await asyncio.sleep(0.03)
    given.add(b"second", 0.03)
    await asyncio.sleep(0.15)
    assert [name for name, _, _ in given.up] == [b"soon", b"second", b"late"]
    due = {b"soon": 0.03, b"second": 0.06, b"late": 0.09}
    assert all(at >= due[name] - 0.002 for name, _, at in given.up)


async def test_who_waits_no_more_is_not_given_up_and_not_kept() -> None:
    given = Given()
    for number in range(100):
        given.add(b"%d" % number, 0.02).conclude()
    assert sum(len(row) for row in given.deadlines._rows.values()) == 1
    given.add(b"waits", 0.02)
    given.add(b"is over", 0.02).conclude()
    await asyncio.sleep(0.06)
    assert [name for name, _, _ in given.up] == [b"waits"]
    assert not given.deadlines._rows
    assert not given.deadlines._timers


async def test_one_timer_is_set_for_all_that_have_equally_long() -> None:
    given = Given()
    for number in range(50):
        given.add(b"%d" % number, 0.02)
    assert len(given.deadlines._timers) == 1
    await asyncio.sleep(0.05)
    assert len(given.up) == 50
