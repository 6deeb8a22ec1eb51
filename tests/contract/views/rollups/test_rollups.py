"""Figures that the sink computes: equal to those of all calls at once, whatever was written, broken off or repeated."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from schemas.config.figures.zones import DEFAULT
from schemas.errors import SetupError, Unavailable
from schemas.facts import Direction, Disposition, Flag, RecordingState
from schemas.metrics import Registry
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.rollups import roller as rolling
from sinks.rollups.figures import COLUMNS
from sinks.rollups.marks import Marks, marking
from sinks.rollups.roller import Roller
from sinks.rollups.statements import KEY
from sinks.rollups.zones import LOCAL, UTC_ALONE, Zones
from sinks.rows import CDR, TIMELINES
from tests.contract.views.rollups.local import wrong_local
from tests.contract.views.samples import START, ask, call, cny, record
from tests.oracle.figures import COSTS, VIEWS, differing, rolled
from tests.support.scale import SCALE

HISTORIES = 2 * SCALE
STEPS = 20
CALLS = 60
MONEY = [{}, cny("0.1"), cny("2.94"), {"cost": cny("1")["cost"], "currency": "USD"}]


def version_of(rng: random.Random, number: int, version: int) -> Timeline:
    """Returns some version of a call: any field that figures depend on may change, and its slot may not."""
    slot = START + timedelta(hours=number % 5 * 11)
    answered = rng.random() < 0.6
    started = slot + timedelta(seconds=rng.choice([rng.randrange(3600), rng.randrange(-90_000, 90_000)]))
    return call(
        number,
        version=version,
        slot_at=slot,
        vendor=rng.choice(["ytx", "huawei"]),
        account=rng.choice(["", "main"]),
        account_id=rng.choice(["a", "b"]),
        call_type=rng.choices(["call", "conference"], [9, 1])[0],
        direction=rng.choice([Direction.INBOUND, Direction.CALLBACK]),
        started_at=started,
        alerting_at=rng.choice([None, started]),
        disposition=Disposition.ANSWERED if answered else rng.choice(list(Disposition)),
        hangup_reason=rng.choice(["caller_cancel", ""]),
        hangup_party=rng.choice(["a", "platform"]),
        quality_flags=rng.choices([(), (Flag.CONFLICT_FINAL,), (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)], [8, 1, 1])[0],
        recording_state=rng.choice(list(RecordingState)),
        talk_ms=rng.choice([None, rng.randrange(12_000)]) if answered else None,
        pdd_ms=rng.choice([None, rng.randrange(9_000)]),
        ring_ms=rng.choice([None, 0, rng.randrange(60_000)]),
        billable_s=rng.choice([None, rng.randrange(100)]),
        is_final=rng.random() < 0.8,
        **rng.choice(MONEY),
    )  # fmt: skip


ZONES = (
    UTC_ALONE,
    Zones({DEFAULT: "Asia/Kathmandu", ("ytx", "main"): "Europe/Berlin"}),
    Zones({DEFAULT: "UTC", ("ytx", ""): "Australia/Lord_Howe", ("huawei", "main"): "America/New_York"}),
)


class World:
    """Sinks that insert, mark and roll, of which each step may be broken off; what is broken off is done again."""

    def __init__(self, db: ClickHouse, seed: int) -> None:
        self._db = db
        self.rng = random.Random(f"rollups {seed}")
        self._marks = [Marks(db), Marks(db)]
        self.zones = UTC_ALONE
        self._rollers: list[Roller] = []
        self.start(self.zones)
        self._versions = [0] * CALLS
        self._again: list[Sequence[Timeline]] = []
        self.broken_rolls = 0

    def start(self, zones: Zones) -> None:
        """Starts the sinks with these zones of accounts."""
        self.zones = zones
        self._rollers = [Roller(self._db, marks, Registry(), zones=zones) for marks in self._marks]

    async def write(self) -> None:
        """Inserts some versions, of which a crash may leave the slots unmarked; they then come again."""
        batch = [self._next(self.rng.randrange(CALLS)) for _ in range(self.rng.randrange(1, 25))]
        if self._again and self.rng.random() < 0.5:
            batch = [*self._again.pop(), *batch]
        await self._insert(batch, crash=self.rng.random() < 0.3)

    def _next(self, number: int) -> Timeline:
        self._versions[number] += 1
        older = self.rng.random() < 0.2
        return version_of(self.rng, number, max(1, self._versions[number] - 3) if older else self._versions[number])

    async def _insert(self, batch: Sequence[Timeline], *, crash: bool) -> None:
        if crash:
            await self._db.insert(TIMELINES, batch)
            self._again.append(batch)
        else:
            await marking(self._db.insert, self.rng.choice(self._marks).set)(TIMELINES, batch)

    async def roll(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Computes what is marked; may end behind any of the statements."""
        left = self.rng.choice([0, 1, 2, 3, 4, 100, 100])
        alone = self._db.alone

        async def counted(name: str, sql: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Unavailable("broken off", code="away")
            await alone(name, sql)

        with monkeypatch.context() as patch:
            patch.setattr(self._db, "alone", counted)
            try:
                await self.rng.choice(self._rollers).once()
            except Unavailable:
                self.broken_rolls += 1

    async def settle(self) -> None:
        """Does again all that was broken off."""
        for batch in self._again:
            await self._insert(batch, crash=False)
        await self._rollers[0].once()


async def wrong(db: ClickHouse) -> dict[str, list[tuple[Any, ...]]]:
    """Returns for each view the rows that differ from those computed from all calls at once."""
    found = {view: await db.query(differing(view, db.database)) for view in (*VIEWS, *COSTS)}
    return {view: rows for view, rows in found.items() if rows}


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_any_history_ends_in_the_figures_of_all_calls(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    world = World(db, seed)
    for _ in range(STEPS):
        if world.rng.random() < 0.6:
            await world.write()
        elif world.rng.random() < 0.8:
            await world.roll(monkeypatch)
        else:
            world.start(world.rng.choice(ZONES))
    await world.settle()
    assert await wrong(db) == {}
    assert await wrong_local(db, world.zones) == []
    assert await Marks(db).found() == []


async def test_a_query_of_figures_reads_no_call(db: ClickHouse) -> None:
    await db.insert(TIMELINES, [version_of(random.Random(n), n, 1) for n in range(CALLS)])
    await rolled(db)
    before = {view: await ask(db, f"SELECT * FROM {view} ORDER BY ALL") for view in VIEWS}
    await db.command(f"TRUNCATE TABLE {db.database}.timelines_by_slot")
    assert {view: await ask(db, f"SELECT * FROM {view} ORDER BY ALL") for view in VIEWS} == before
    assert min(map(len, before.values())) > 0


async def test_a_corrected_call_makes_one_slot_anew_and_in_it_the_groups_that_change(db: ClickHouse) -> None:
    marks, metrics = Marks(db), Registry()
    roller, insert = Roller(db, marks, metrics), marking(db.insert, marks.set)
    calls = [
        call(n, slot_at=START + timedelta(hours=n % 3), started_at=START + timedelta(hours=n % 3), is_final=True, account_id=f"a{n}")
        for n in range(30)
    ]  # fmt: skip
    await insert(TIMELINES, calls)
    assert await roller.once() == 3
    assert await roller.once() == 0
    stored = f"SELECT grain, slot_at, account_id, direction, version, calls FROM {db.database}.kpi_calls FINAL"
    before = await db.query(stored)

    await insert(TIMELINES, [msgspec.structs.replace(calls[4], version=2, direction=Direction.INBOUND)])
    assert await roller.once() == 1
    new = set(await db.query(stored)) - set(before)
    slot = START + timedelta(hours=1)
    # The group that it left and the one that it joined, in each of the three grains; the one that it left has none.
    assert new == {
        (grain, at, "a4", *group)
        for grain, at in (("5m", slot), ("hour", slot), ("day", START.replace(hour=0)))
        for group in (("unknown", 2, 0), ("inbound", 1, 1))
    }
    assert await ask(db, "SELECT direction, attempts FROM v_kpi_hour WHERE account_id = 'a4'") == [("inbound", 1)]
    assert metrics.get("callweave_kpi_slots_total") == 4


async def test_a_slot_computed_again_without_a_change_writes_nothing(db: ClickHouse) -> None:
    await db.insert(TIMELINES, [version_of(random.Random(n), n, 1) for n in range(CALLS)])
    await rolled(db)
    rows = await ask(db, "SELECT count(), max(version) FROM kpi_calls")
    await rolled(db)
    assert await ask(db, "SELECT count(), max(version) FROM kpi_calls") == rows != [(0, 0)]


async def test_a_mark_set_while_figures_are_computed_stays(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    marks = Marks(db)
    insert, alone = marking(db.insert, marks.set), db.alone
    await insert(TIMELINES, [call(1, is_final=True, started_at=START)])

    async def with_news(name: str, sql: str) -> None:
        await alone(name, sql)
        monkeypatch.setattr(db, "alone", alone)
        await insert(TIMELINES, [call(2, is_final=True, started_at=START)])

    monkeypatch.setattr(db, "alone", with_news)
    await Roller(db, marks, Registry()).once()
    assert [mark.slot_at for mark in await marks.found()] == [START]
    await Roller(db, marks, Registry()).once()
    assert await ask(db, "SELECT attempts FROM v_kpi_day") == [(2,)]


async def test_figures_computed_around_an_insert_are_computed_again_behind_it(db: ClickHouse) -> None:
    marks = Marks(db)
    roller = Roller(db, marks, Registry())

    async def insert_slowly(table: Table[Any], records: Sequence[Any]) -> None:
        await roller.once()
        await db.insert(table, records)
        await roller.once()

    for number in range(2):
        await marking(insert_slowly, marks.set)(TIMELINES, [call(number, is_final=True, started_at=START)])
    await roller.once()
    assert await ask(db, "SELECT attempts FROM v_kpi_day") == [(2,)]


async def test_starts_in_any_number_of_months_are_no_reason_to_stop(db: ClickHouse) -> None:
    """A sender may correct a call to any start, and the slot stays."""
    far = [call(n, slot_at=START, started_at=START - timedelta(days=31 * n), is_final=True) for n in range(150)]
    await db.insert(TIMELINES, far)
    assert await rolled(db) == 1
    assert await wrong(db) == {}


async def test_a_day_that_cannot_be_computed_stops_no_other(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    marks, alone = Marks(db), db.alone
    days = [START + timedelta(days=day) for day in range(3)]
    for number, day in enumerate(days):
        await marking(db.insert, marks.set)(TIMELINES, [call(number, slot_at=day, started_at=day, is_final=True)])

    async def refused(name: str, sql: str) -> None:
        if str(int(days[2].timestamp())) in sql:
            raise SetupError("too much memory", code="refused")
        await alone(name, sql)

    with monkeypatch.context() as patch:
        patch.setattr(db, "alone", refused)
        with pytest.raises(SetupError, match="too much memory"):
            await Roller(db, marks, Registry()).once()
    assert await ask(db, "SELECT slot_at FROM v_kpi_hour ORDER BY slot_at") == [(days[0],), (days[1],)]
    assert [mark.slot_at for mark in await marks.found()] == [days[2]]


async def test_a_pass_that_took_long_leaves_the_older_days_to_the_next_one(db: ClickHouse) -> None:
    """Then calls of now are on time while figures of years are computed, as after an upgrade."""
    marks = Marks(db)
    roller = Roller(db, marks, Registry())
    days = [START + timedelta(days=day) for day in range(3)]
    calls = [call(number, slot_at=day, started_at=day, is_final=True) for number, day in enumerate(days)]
    await marking(db.insert, marks.set)(TIMELINES, calls)
    assert await roller.once(0.0) == 1
    assert [mark.slot_at for mark in await marks.found()] == days[1::-1]
    await marking(db.insert, marks.set)(TIMELINES, [call(9, slot_at=days[2], started_at=days[2], is_final=True)])
    assert await roller.once(0.0) == 1
    assert await ask(db, "SELECT slot_at, attempts FROM v_kpi_hour") == [(days[2], 2)]
    assert await roller.once() == 2


async def test_two_that_compute_at_once_do_not(db: ClickHouse) -> None:
    slow = asyncio.create_task(db.alone("kpi", "SELECT sleep(1)"))
    await asyncio.sleep(0.3)
    with pytest.raises(Unavailable, match="runs the statement already") as caught:
        await db.alone("kpi", "SELECT 1")
    assert caught.value.code == "busy"
    await slow
    await db.alone("kpi", "SELECT 1")


async def test_only_rows_of_calls_are_marked(db: ClickHouse) -> None:
    marks = Marks(db)
    await marking(db.insert, marks.set)(CDR, [record(1)])
    assert await marks.found() == []


async def test_figures_outlive_their_calls(db: ClickHouse) -> None:
    """Late news of a day whose calls have expired must not make the figures of the day anew from what is left."""
    marks = Marks(db)
    insert = marking(db.insert, marks.set)
    await insert(TIMELINES, [call(n, is_final=True, started_at=START) for n in range(3)])
    assert await Roller(db, marks, Registry()).once() == 1
    await db.command(f"TRUNCATE TABLE {db.database}.timelines_by_slot")
    await insert(TIMELINES, [call(9, is_final=True, started_at=START)])
    assert await Roller(db, marks, Registry(), keep_days=7).once() == 0
    assert await marks.found() == []
    assert await ask(db, "SELECT attempts FROM v_kpi_day") == [(3,)]


async def test_with_replicas_figures_are_computed_once_more_later(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server that computes may not have what another one acknowledged."""
    marks = Marks(db)
    roller = Roller(db, marks, Registry(), replicas=True)
    await marking(db.insert, marks.set)(TIMELINES, [call(1, is_final=True, started_at=START)])
    assert await roller.once() == 1
    assert len(await marks.found()) == 1
    assert await roller.once() == 0
    await db.insert(TIMELINES, [call(2, is_final=True, started_at=START)])  # comes from the other server, late
    monkeypatch.setattr(roller, "_settled_s", 0.0)
    assert await roller.once() == 1
    assert await marks.found() == []
    assert await ask(db, "SELECT attempts FROM v_kpi_day") == [(2,)]
    assert rolling._REPLICAS_S >= 60


async def test_the_statements_name_every_column_of_figures(db: ClickHouse) -> None:
    columns = {row[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.kpi_calls")}
    assert columns - {"grain", "computed_at", "version"} == {*KEY, *COLUMNS, *LOCAL, "revision"}


@pytest.mark.parametrize(
    ("took_s", "pause_s"),
    [
        pytest.param(0.0, 1.0, id="nothing to do: a second"),
        pytest.param(0.3, 5.7, id="a twentieth of the time is the server's"),
        pytest.param(60.0, 10.0, id="a server that was halted delays the next pass by no more"),
    ],
)
def test_a_pass_is_followed_by_a_pause(took_s: float, pause_s: float) -> None:
    assert rolling.pause_s(took_s) == pytest.approx(pause_s)
