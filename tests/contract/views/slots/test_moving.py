"""The move of rows into tables by slot: nothing is lost or changed, whenever it is broken off."""

import random
import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from schemas.config.settings import Settings
from schemas.errors import SetupError, Unavailable
from schemas.facts import Fact, FactType, Kind, Leg, Role
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline
from sinks import migrate as migrating
from sinks.clickhouse import ClickHouse
from sinks.migrate import migrate, migrations
from sinks.moving import row_move
from sinks.moving.moved_columns import MOVED, copied, differing, in_chunks
from sinks.rollups.marks import Marks
from sinks.rollups.roller import Roller
from tests.contract.views.samples import START, ask, call, record, record_content
from tests.contract.views.slots.tables_of_before import (
    BINDINGS_BEFORE,
    CALL_EVENTS_BEFORE,
    CDR_BEFORE,
    TIMELINES_BEFORE,
)

DAYS: Final = 5
NUMBERS: Final = tuple(f"+861390000000{n}" for n in range(6))
VIEWS: Final = (
    *("cdr", "call_events", "timelines", "bindings", "v_cdr", "v_timelines", "v_call_events", "v_bindings"),
    *("v_conflicts", "v_conferences", "v_kpi_hour", "v_charges_day", "masked_cdr", "masked_timelines"),
)
NEW: Final = {"slot_at", "row_hash"}
"""Columns of the views that came with the slots."""
FIGURES: Final = frozenset(
    [
        "abr",
        "billed_min",
        "cps_peak",
        "erlangs",
        "pdd_p99_ms",
        "recorded",
        "recording_coverage",
        "recording_unknown",
        "ring_p99_ms",
        "seizures",
        "slot_s",
        "talk_min",
    ]
)
"""Columns of the views of figures that came after them; `asr` and `ner` are of other calls since."""


def some_legs(rng: random.Random, at: datetime) -> tuple[Leg, ...]:
    """Returns legs with numbers of their call and of their own, and with instants known and not known."""
    return tuple(
        Leg(
            role=role, number=rng.choice((*NUMBERS, None)), number_raw=rng.choice(("", "139")), q850=rng.choice((16, None)),
            setup_at=rng.choice((at, None)), answer_at=at + timedelta(microseconds=rng.randrange(10**9)),
        )
        for role in (Role.A, Role.B)[: rng.randrange(3)]
    )  # fmt: skip


def some_call(rng: random.Random, number: int) -> dict[str, Any]:
    at = START + timedelta(minutes=rng.randrange(DAYS * 1440), microseconds=rng.randrange(10**6))
    known = rng.random() < 0.8
    call_id = rng.choice((f"call-{number}", "", f"with|bar-{number}", f"100%-{number}"))
    escaped = call_id.replace("%", "%25").replace("|", "%7C") or f"binding-{number}"
    return {
        "vendor_call_id": call_id, "call_key": f"ytx|a%7Cb|{escaped}", "from_number": rng.choice((*NUMBERS, None)),
        "to_number": rng.choice((*NUMBERS, None)), "setup_at": at if known else None,
        "end_at": at + timedelta(seconds=9) if known else None, "legs": some_legs(rng, at), "account": "main",
        "custom_ref": rng.choice(("", f"ref-{number}")), "slot_at": None,
    }  # fmt: skip


def facts_of(rng: random.Random, kind: FactType, count: int) -> list[Fact]:
    found = []
    for n in range(1, count):
        fields = {**some_call(rng, n), "fact_type": kind, "fact_id": str(uuid.UUID(int=n))}
        fields["kind"] = rng.choice((Kind.CALLBACK_CDR, Kind.CONFERENCE_LEG))
        fields["conference_id"] = rng.choice(("c1", "c2"))
        if rng.random() < 0.1:
            fields["contents"] = (record_content("a", from_number=NUMBERS[0]), record_content("b", cost=Decimal(n)))
        received = START + timedelta(days=rng.randrange(DAYS))
        versions = range(1, rng.randrange(2, 4))
        found += [record(n, received_at=received, version=v, agent_id=f"v{v}", **fields) for v in versions]
    return found


def calls_of(rng: random.Random, count: int) -> list[Timeline]:
    found = []
    for n in range(1, count):
        fields = some_call(rng, n)
        received = START + timedelta(days=rng.randrange(DAYS))
        more = {
            "timeline_id": fields["call_key"] + rng.choice(("", "#conference|acc")), "first_received_at": received,
            "started_at": fields["setup_at"] or received, "is_final": True,
        }  # fmt: skip
        found += [call(n, version=v, **{**fields, **more}) for v in range(1, rng.randrange(2, 4))]
    return found


async def filled(own: ClickHouse, settings: Settings, count: int = 300) -> None:
    """Fills the tables of before as a sink of then did."""
    rng = random.Random(16)
    async with ClickHouse(settings.clickhouse, NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")) as sink:
        await sink.insert(CDR_BEFORE, facts_of(rng, FactType.RECORD, count))
        await sink.insert(CALL_EVENTS_BEFORE, facts_of(rng, FactType.STATE, count))
        await sink.insert(BINDINGS_BEFORE, facts_of(rng, FactType.BINDING, count))
        await sink.insert(TIMELINES_BEFORE, calls_of(rng, count))


async def columns(own: ClickHouse, view: str) -> set[str]:
    return {row[0] for row in await own.query(f"DESCRIBE TABLE {own.database}.{view}")}


async def shown(own: ClickHouse) -> dict[str, list[str]]:
    """Returns the rows of each view as sorted text, without the columns that came with the slots or after them."""
    found = {}
    for view in VIEWS:
        listed = ", ".join(
            f"`{name}`" for name in sorted(await columns(own, view) - (FIGURES if "kpi" in view else NEW))
        )
        rows = await own.query(f"SELECT toString(tuple({listed})) AS row FROM {own.database}.{view} ORDER BY row")
        found[view] = [row[0] for row in rows]
    return found


Release = Callable[[], None]
"""Takes the place of the release before slots."""


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    """Begins with the release before slots, and returns what installs this one."""
    ours = migrations()
    before = tuple(one for one in ours if one.name < "019")
    monkeypatch.setattr(migrating, "migrations", lambda: before)
    return lambda: monkeypatch.setattr(migrating, "migrations", lambda: ours)


async def test_every_view_shows_the_same_rows_as_before(settings: Settings, own: ClickHouse, release: Release) -> None:
    await migrate(own, settings)
    await filled(own, settings)
    before = await shown(own)
    release()
    assert await migrate(own, settings) == [one.name for one in migrations() if one.name >= "019"]
    assert await Roller(own, Marks(own), Registry()).once() > 0

    after = await shown(own)
    for view in VIEWS:
        assert after[view] == before[view], view
    assert min(map(len, before.values())) > 0
    moved = await own.query(f"SELECT name, rows FROM {own.database}.rows_moved ORDER BY name")
    assert moved == [(name, 299) for name in sorted(one.table.name for one in MOVED)]
    left = await own.query(
        f"SELECT name FROM system.tables WHERE database = '{own.database}' AND name LIKE '%versions'"
    )
    assert left == [("dead_letters_versions",)]
    assert await migrate(own, settings) == []


async def test_it_goes_on_where_it_was_broken_off(
    settings: Settings, own: ClickHouse, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off before any statement of a server's that it runs, it is run again: at last all is as if it ran once."""
    await migrate(own, settings)
    await filled(own, settings, count=40)
    before = await shown(own)
    release()
    monkeypatch.setattr(row_move, "_CHUNK_ROWS", 10)
    ends = _Ends(monkeypatch)
    runs = 0
    while True:
        ends.after(runs)
        try:
            await migrate(own, settings)
        except _BrokenOff:
            runs += 1
            continue
        break
    assert runs > 5
    assert await Roller(own, Marks(own), Registry()).once() > 0
    assert await shown(own) == before


class _BrokenOff(Exception):
    """Raised where the process would have been killed."""


class _Ends:
    """Ends a migration after a number of statements that copy, drop or close."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = 0
        command = ClickHouse.command

        async def counted(db: ClickHouse, sql: str, *more: Any) -> None:
            if sql.startswith(("INSERT INTO", "ALTER TABLE")) and ("_by_slot" in sql or "max_parts" in sql):
                self._left -= 1
                if self._left < 0:
                    raise _BrokenOff
            await command(db, sql, *more)

        monkeypatch.setattr(ClickHouse, "command", counted)

    def after(self, statements: int) -> None:
        self._left = statements


async def test_a_sink_of_before_waits_from_the_last_copy_on_and_loses_nothing(
    settings: Settings, own: ClickHouse, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows of a moment before are moved; then it waits as for a busy server, and then for a table."""
    await migrate(own, settings)
    await filled(own, settings, count=30)
    release()
    async with ClickHouse(settings.clickhouse) as sink_of_before:
        close = row_move._close

        async def late(ddl: ClickHouse, moved: Any, ours: Any) -> None:
            if moved.old == "cdr_versions":
                await sink_of_before.insert(CDR_BEFORE, [record(1000, call_key="ytx|acc|call-1000", slot_at=None)])
            await close(ddl, moved, ours)
            if moved.old == "cdr_versions":
                with pytest.raises(Unavailable, match="TOO_MANY_PARTS"):
                    await sink_of_before.insert(CDR_BEFORE, [record(1001)])

        monkeypatch.setattr(row_move, "_close", late)
        await migrate(own, settings)
        with pytest.raises(Unavailable, match="run `callweave migrate`"):
            await sink_of_before.insert(CDR_BEFORE, [record(1001)])
    assert await ask(own, "SELECT count() FROM v_cdr WHERE vendor_call_id = 'call-1000'") == [(1,)]


async def test_a_row_that_is_not_copied_stops_the_migration(
    settings: Settings, own: ClickHouse, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(own, settings)
    await filled(own, settings, count=30)
    before = await shown(own)
    release()
    monkeypatch.setattr(
        row_move, "copied", lambda *a: copied(*a).replace(" SETTINGS ", " AND cityHash64(call_key) % 4 > 0 SETTINGS ")
    )
    with pytest.raises(SetupError, match=r"has other rows than cdr_versions on \d days, the first is 2026"):
        await migrate(own, settings)
    assert await shown(own) == before
    monkeypatch.setattr(row_move, "copied", copied)
    await migrate(own, settings)
    assert await ask(own, "SELECT count() FROM cdr") == [(29,)]


Counts = dict[date, tuple[int, int]]
FIRST, SECOND, THIRD = (date(2026, 3, day) for day in (1, 2, 3))


def test_days_differ_by_number_and_by_what_is_in_them() -> None:
    before: Counts = {FIRST: (1, 7), SECOND: (2, 8)}
    assert differing(before, {FIRST: (1, 7), SECOND: (2, 9), THIRD: (1, 1)}) == [SECOND, THIRD]
    assert differing(before, dict(before)) == []


def test_days_are_copied_in_groups_of_at_most_so_many_rows() -> None:
    before: Counts = {FIRST: (6, 0), SECOND: (4, 0), THIRD: (1, 0)}
    assert in_chunks([FIRST, SECOND, THIRD], before, 10) == [[FIRST, SECOND], [THIRD]]
    assert in_chunks([FIRST], {FIRST: (99, 0)}, 10) == [[FIRST]]
