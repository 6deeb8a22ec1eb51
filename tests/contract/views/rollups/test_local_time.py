"""Figures by local time: each account's zone, and any other, equal to a count by hand with the zones of Python."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.config.figures.zones import DEFAULT
from schemas.errors import SetupError
from schemas.metrics import Registry
from sinks.clickhouse import ClickHouse
from sinks.rollups import account_zones
from sinks.rollups.marks import Marks
from sinks.rollups.roller import Roller
from sinks.rollups.zones import UTC_ALONE, Zones
from sinks.rows import TIMELINES
from tests.contract.views.rollups.local import GRAINS, TURNS, ZONES, random_calls, same, wrong_local
from tests.contract.views.samples import START, ask, call
from tests.oracle.by_hand import calls_of, local_rows, shown
from tests.oracle.figures import rolled

CALLS = 600
FEW = TURNS[:3]
ONE = timedelta(days=1)


@pytest.mark.long
async def test_random_calls_count_in_the_intervals_of_their_accounts_clocks(db: ClickHouse) -> None:
    await db.insert(TIMELINES, random_calls(random.Random("local"), CALLS))
    await rolled(db, ZONES)
    assert await wrong_local(db, ZONES) == []


async def test_days_of_every_zone_have_the_calls_of_all_days_of_utc(db: ClickHouse) -> None:
    """Sums that add up are equal, however the calls are cut into days."""
    await db.insert(TIMELINES, random_calls(random.Random("sums"), CALLS, FEW))
    await rolled(db, ZONES)
    sums = (
        "sum(attempts), sum(seizures), sum(answered), sum(network_effective), sum(provisional), sum(in_conflict), "
        "sum(talk_total_ms), sum(short_calls), sum(recorded), sum(billed_s), sum(billable_in_conflict_s)"
    )
    of_views = [await ask(db, f"SELECT {sums} FROM v_kpi_{g}{local}") for g in GRAINS for local in ("", "_local")]
    assert of_views == of_views[:1] * 6
    assert of_views[0][0][0] > CALLS / 2
    money = "currency, sum(cost), sum(cost_in_conflict), sum(cost_provisional)"
    costs = [
        await ask(db, f"SELECT {money} FROM v_kpi_{g}_cost{local} GROUP BY currency ORDER BY currency")
        for g in GRAINS
        for local in ("", "_local")
    ]
    assert costs == costs[:1] * 6
    of_calls = await ask(
        db,
        "SELECT toString(currency), sumIf(cost, is_final AND NOT has(quality_flags, 'conflict_final')) "
        "FROM v_timelines WHERE cost IS NOT NULL AND call_type = 'call' GROUP BY 1 ORDER BY 1",
    )
    assert [row[:2] for row in costs[0]] == of_calls
    assert len(of_calls) == 2


DAYS = [
    pytest.param("Europe/Berlin", "2026-03-29", 23, 3600, id="clocks go forward in Berlin"),
    pytest.param("Europe/Berlin", "2026-10-25", 25, 7200, id="clocks go back in Berlin"),
    pytest.param("America/New_York", "2026-03-08", 23, -18_000, marks=pytest.mark.long, id="clocks go forward in New York"),
    pytest.param("America/New_York", "2026-11-01", 25, -14_400, marks=pytest.mark.long, id="clocks go back in New York"),
    pytest.param("Asia/Kolkata", "2026-12-31", 24, 19_800, marks=pytest.mark.long, id="the last day of a year in Kolkata"),
    pytest.param("Asia/Kathmandu", "2027-01-01", 24, 20_700, id="the first day of a year in Kathmandu"),
    pytest.param("Australia/Lord_Howe", "2026-04-05", 24.5, 39_600, id="clocks go back by half an hour"),
    pytest.param("Australia/Lord_Howe", "2026-10-04", 23.5, 37_800, marks=pytest.mark.long, id="clocks go forward by half an hour"),
    pytest.param("Pacific/Apia", "2011-12-29", 24, -36_000, marks=pytest.mark.long, id="the day before the one that Samoa skipped"),
    pytest.param("Pacific/Apia", "2011-12-31", 24, 50_400, marks=pytest.mark.long, id="the day after it"),
    pytest.param("America/Sao_Paulo", "2018-11-04", 23, -7_200, id="a day that begins at one o'clock"),
    pytest.param("America/Sao_Paulo", "2018-02-17", 25, -7_200, marks=pytest.mark.long, id="a day whose last hour comes twice"),
    pytest.param("UTC", "2026-02-28", 24, 0, id="a day of UTC"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day", "hours", "offset_s"), DAYS)
async def test_a_day_has_the_hours_that_its_clock_shows(
    db: ClickHouse, zone: str, day: str, hours: float, offset_s: int
) -> None:
    """A call each five minutes of three days, of which this one is the second."""
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    starts = [midnight + timedelta(minutes=5 * n) for n in range(-300, 650)]
    await db.insert(
        TIMELINES, [call(n, slot_at=at.replace(minute=0), started_at=at, is_final=True) for n, at in enumerate(starts)]
    )
    await rolled(db, Zones({DEFAULT: zone}))
    of_day = f"WHERE local_date = '{day}'"
    assert await ask(db, f"SELECT attempts, slot_s, utc_offset_s FROM v_kpi_day_local {of_day}") == [
        (hours * 12, hours * 3600, offset_s)
    ]
    rows = await ask(
        db,
        f"SELECT local_hour, utc_offset_s, attempts, slot_s, slot_at FROM v_kpi_hour_local {of_day} ORDER BY slot_at",
    )
    assert [row[2] * 300 for row in rows] == [row[3] for row in rows]
    assert sum(row[2] for row in rows) == hours * 12
    assert len({row[:2] for row in rows}) == len(rows) == -(-hours // 1)
    assert await ask(db, f"SELECT count(), uniqExact(local_slot_at, utc_offset_s) FROM v_kpi_5m_local {of_day}") == [
        (hours * 12, hours * 12)
    ]
    of_any = f"time_zone = '{zone}', local_from = '{midnight.date() - ONE}', local_to = '{midnight.date() + 3 * ONE}'"
    for grain in GRAINS:
        assert same(
            await shown(db, f"SELECT * FROM {db.database}.v_kpi_{grain}_in({of_any}) {of_day}"),
            await shown(db, f"SELECT * FROM {db.database}.v_kpi_{grain}_local {of_day}"),
        )  # fmt: skip


async def test_a_day_that_there_was_not_has_no_row(db: ClickHouse) -> None:
    starts = [datetime(2011, 12, 30, 0, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(96)]
    await db.insert(
        TIMELINES, [call(n, slot_at=at.replace(minute=0), started_at=at, is_final=True) for n, at in enumerate(starts)]
    )
    await rolled(db, Zones({DEFAULT: "Pacific/Apia"}))
    days = await ask(db, "SELECT toString(local_date), attempts FROM v_kpi_day_local ORDER BY 1")
    assert days == [("2011-12-29", 20), ("2011-12-31", 48), ("2012-01-01", 28)]


@pytest.mark.parametrize(
    "zone",
    [
        *("Asia/Kathmandu", "Pacific/Apia"),
        *(pytest.param(each, marks=pytest.mark.long) for each in ("Europe/Berlin", "Australia/Lord_Howe", "UTC")),
    ],
)
async def test_figures_can_be_asked_for_in_a_zone_that_no_account_has(db: ClickHouse, zone: str) -> None:
    await db.insert(TIMELINES, random_calls(random.Random("any"), 300, FEW))
    await rolled(db)
    every = f"time_zone = '{zone}', local_from = '2000-01-01', local_to = '2030-01-01'"
    calls = await calls_of(db)
    for grain in GRAINS:
        found = await shown(db, f"SELECT * FROM {db.database}.v_kpi_{grain}_in({every})")
        assert same(found, local_rows(grain, calls, {DEFAULT: zone}))


async def test_bounds_of_any_zone_are_those_of_its_wall_clock(db: ClickHouse) -> None:
    starts = [START + timedelta(hours=n) for n in range(-48, 48)]
    await db.insert(TIMELINES, [call(n, slot_at=at, started_at=at, is_final=True) for n, at in enumerate(starts)])
    await rolled(db)
    asked = "time_zone = 'Asia/Kolkata', local_from = '2026-03-01 00:00:00', local_to = '2026-03-02 00:00:00'"
    assert await ask(db, f"SELECT toString(local_date), attempts, slot_at FROM v_kpi_day_in({asked})") == [
        ("2026-03-01", 24, datetime(2026, 2, 28, 18, 30, tzinfo=UTC))
    ]


MIDNIGHTS: list[Any] = [
    pytest.param("America/Sao_Paulo", "2018-11-04", id="a midnight that a clock skips"),
    pytest.param(
        "America/Sao_Paulo", "2018-02-18", marks=pytest.mark.long, id="a midnight before which an hour comes twice"
    ),
    pytest.param("Africa/Cairo", "2026-04-24", id="the skipped midnight of Cairo"),
    pytest.param("Pacific/Apia", "2011-12-31", marks=pytest.mark.long, id="a midnight behind a day that there was not"),
    pytest.param("Pacific/Apia", "2011-12-30", marks=pytest.mark.long, id="the day that there was not"),
    pytest.param("Asia/Kolkata", "2026-03-01", id="half an hour"),
]


@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS)
async def test_a_midnight_parts_the_calls_of_any_zone_even_where_clocks_skip_it(
    db: ClickHouse, zone: str, day: str
) -> None:
    """Every call is in one of two spans, and no day of one is a day of the other."""
    middle = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    starts = [(middle + timedelta(minutes=30 * n)).replace(second=0) for n in range(-96, 96)]
    await db.insert(
        TIMELINES, [call(n, slot_at=at.replace(minute=0), started_at=at, is_final=True) for n, at in enumerate(starts)]
    )
    await rolled(db)
    for view in (*(f"v_kpi_{grain}_in" for grain in GRAINS), "v_kpi_hour_detail_in", "v_kpi_day_detail_in"):
        found = [
            await ask(
                db, f"SELECT toString(min(local_date)), toString(max(local_date)), sum(attempts) FROM {view}({of})"
            )
            for of in (
                f"time_zone = '{zone}', local_from = '2000-01-01', local_to = '{day}'",
                f"time_zone = '{zone}', local_from = '{day}', local_to = '2100-01-01 00:00:00'",
            )
        ]
        assert sum(rows[0][2] for rows in found) == len(starts), view
        assert found[0][0][1] < day <= found[1][0][0], view


async def follow(db: ClickHouse, zones: Zones, **options: Any) -> int:
    """Does what a sink with other settings does when it starts."""
    return await Roller(db, Marks(db), Registry(), zones=zones, **options).once()


CHANGES: list[Any] = [
    pytest.param([UTC_ALONE, ZONES], id="the first zones"),
    pytest.param([ZONES, UTC_ALONE], marks=pytest.mark.long, id="zones that are taken away"),
    pytest.param([ZONES, Zones({**ZONES.of, ("ytx", "berlin"): "Asia/Kolkata", ("ytx", "kolkata"): "UTC"})], id="others of two accounts"),
    pytest.param([ZONES, Zones({**ZONES.of, DEFAULT: "Asia/Kathmandu"}), ZONES], marks=pytest.mark.long, id="another default, and back"),
]  # fmt: skip


@pytest.mark.parametrize("zones", CHANGES)
async def test_figures_follow_a_changed_zone_by_themselves(db: ClickHouse, zones: Sequence[Zones]) -> None:
    await db.insert(TIMELINES, random_calls(random.Random("changed"), 400, FEW))
    await rolled(db, zones[0])
    for now in zones[1:]:
        assert await wrong_local(db, now) != []
        assert await follow(db, now) > 0
        assert await wrong_local(db, now) == []
        assert await follow(db, now) == 0
    rows = await ask(db, "SELECT * FROM v_account_zones")
    assert {(vendor, account): zone for vendor, account, zone in rows} == zones[-1].of


async def test_figures_of_calls_that_have_expired_follow_a_changed_zone(db: ClickHouse) -> None:
    await db.insert(TIMELINES, random_calls(random.Random("expired"), 300, FEW))
    await rolled(db, ZONES)
    calls = await calls_of(db)
    await db.command(f"TRUNCATE TABLE {db.database}.timelines_by_slot")
    now = Zones({**ZONES.of, ("ytx", "york"): "Asia/Kathmandu"})
    assert await follow(db, now, keep_days=7) == 0
    assert await wrong_local(db, now, calls) == []


async def test_figures_whose_five_minutes_have_expired_keep_their_zone(db: ClickHouse) -> None:
    """Half an hour cannot be taken from an hour: such a row says of which zone it is, and its calls still count."""
    await db.insert(TIMELINES, random_calls(random.Random("kept"), 300, FEW))
    await rolled(db, ZONES)
    calls = await calls_of(db)
    await db.command(f"ALTER TABLE {db.database}.kpi_calls DELETE WHERE grain = '5m' SETTINGS mutations_sync = 1")
    before = await shown(db, f"SELECT * FROM {db.database}.v_kpi_day_local")
    assert await follow(db, Zones({DEFAULT: "Asia/Kathmandu"}), keep_days=7, keep_rows_days=8) == 0
    assert same(await shown(db, f"SELECT * FROM {db.database}.v_kpi_day_local"), before)
    assert same(before, local_rows("day", calls, ZONES.of))
    assert await Marks(db).found() == []


async def test_each_call_counts_once_while_figures_follow_a_zone(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.insert(TIMELINES, random_calls(random.Random("meanwhile"), 300, FEW))
    await rolled(db, ZONES)
    alone = db.alone
    counts = []

    async def counted(name: str, sql: str) -> None:
        await alone(name, sql)
        views = [f"SELECT sum(attempts + provisional) FROM v_kpi_{grain}_local" for grain in GRAINS]
        counts.append([(await ask(db, sql))[0][0] for sql in views])

    monkeypatch.setattr(db, "alone", counted)
    await follow(db, Zones({DEFAULT: "Asia/Kathmandu"}))
    assert len(counts) > 10
    assert [len(set(of_view)) for of_view in zip(*counts, strict=True)] == [1, 1, 1]


async def test_rows_that_an_older_release_computed_are_computed_anew(db: ClickHouse) -> None:
    """It may have run beside the migration; its statements name no column of now."""
    await db.insert(TIMELINES, random_calls(random.Random("older"), 100, FEW))
    await rolled(db)
    rows = "SELECT * EXCEPT (revision, seizures, version) REPLACE (1 + answered_without_talk AS answered_without_talk)"
    columns = [row[0] for row in await db.query(f"DESCRIBE ({rows} FROM {db.database}.kpi_calls)")]
    await db.command(
        f"INSERT INTO {db.database}.kpi_calls ({', '.join(f'`{name}`' for name in columns)}, version) "
        f"{rows}, version + 1 FROM {db.database}.kpi_calls FINAL"
    )
    assert await wrong_local(db, UTC_ALONE) != []
    await follow(db, UTC_ALONE)
    assert await wrong_local(db, UTC_ALONE) == []


async def test_a_zone_that_clickhouse_does_not_know_stops_no_rows_and_is_named(db: ClickHouse) -> None:
    with pytest.raises(SetupError, match="does not know the time zone Mars/Olympus"):
        await account_zones.follow(db, Marks(db), Zones({DEFAULT: "Mars/Olympus"}), START)
    assert await ask(db, "SELECT count() FROM account_zones") == [(0,)]
