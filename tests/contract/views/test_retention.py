"""Retention on the real engine: rows beyond the days lose exactly the columns that the settings name, and stay."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace

from schemas.config.privacy import PrivacySettings
from schemas.config.settings import Settings
from schemas.facts import Fact, FactType, Leg, Role
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.migrate import migrate
from sinks.retention import EXPIRING
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TABLES, TIMELINES
from tests.contract.views.samples import ask, call, dead_letter, record, record_content
from tests.support.processes.made_tables import make_in

DAYS: Final = 30
NOW: Final = datetime.now(UTC).replace(microsecond=0)
OLD, YOUNG = NOW - timedelta(days=DAYS + 1), NOW - timedelta(days=DAYS - 1)
NUMBER: Final = "+8613900000001"
OTHER: Final = "+8613900000009"
"""A number that a leg alone has: that of a party of the call is stored once."""
LEGS: Final = (
    Leg(role=Role.A, number=NUMBER, number_raw="13900000001", q850=16),
    Leg(role=Role.B),
    Leg(role=Role.X, number=OTHER, number_raw="013900000009", hangup_reason="why"),
)
PARTIES: Final = ("from", "to", "display", "privacy")


def fact(number: int, at: datetime, **fields: Any) -> Fact:
    """Returns a fact with a number in each of its places."""
    parties = {f"{party}_{form}": NUMBER for party in PARTIES for form in ("number", "raw")}
    contents = (record_content("a", from_number=NUMBER, received_at=at), record_content("b", to_number=NUMBER))
    more = {"extras": {"field": "13900000001"}, "recording_url": "https://recordings.example/1", "legs": LEGS}
    return record(number, received_at=at, account="main", **{**parties, **more, "contents": contents, **fields})


def timeline(number: int, at: datetime, **fields: Any) -> Timeline:
    parties = {f"{party}_number": NUMBER for party in PARTIES}
    more = {"recording_url": "https://recordings.example/1", "legs": LEGS, "started_at": at}
    return call(number, first_received_at=at, last_received_at=at, account="main", **{**parties, **more, **fields})


def rows(number: int, at: datetime) -> list[tuple[Table[Any], Any]]:
    return [
        (CDR, fact(number, at)),
        (CALL_EVENTS, fact(number, at, fact_type=FactType.STATE, leg="13900000001", leg_number=NUMBER)),
        (BINDINGS, fact(number, at, fact_type=FactType.BINDING)),
        (TIMELINES, timeline(number, at)),
        (DEAD_LETTERS, dead_letter(number, occurred_at=at, original=b"13900000001", headers={"trace": NUMBER})),
    ]


@pytest.fixture
async def sink(settings: Settings, own: ClickHouse) -> ClickHouse:
    """A client that inserts with tokens into a migrated database, which `own` drops after the test."""
    await make_in(own, settings)
    return ClickHouse(settings.clickhouse, NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c"))


async def merged(own: ClickHouse) -> None:
    """Merges every part, by which expired columns are emptied."""
    for table in TABLES:
        await own.command(f"OPTIMIZE TABLE {own.database}.{table.name} FINAL")


async def row(own: ClickHouse, table: Table[Any], order: str, *, last: bool = False) -> dict[str, Any]:
    """Returns the first or the last row of a table, by the names of its columns."""
    names = [column.name for column in table.columns]
    selected = ", ".join(f"`{name}`" for name in names)
    found = await ask(own, f"SELECT {selected} FROM {table.name} FINAL ORDER BY {order}")
    return dict(zip(names, found[-1 if last else 0], strict=True))


def keeping(settings: Settings, **days: Any) -> Settings:
    return replace(settings, privacy=PrivacySettings(**days))


SETTINGS: Final = {
    "clear numbers": {"clear_number_days": DAYS},
    "addresses": {"address_days": DAYS},
    "bodies": {"body_days": DAYS},
    "all": {"clear_number_days": DAYS, "address_days": DAYS, "body_days": DAYS},
}


@pytest.mark.parametrize("days", SETTINGS.values(), ids=SETTINGS)
async def test_rows_beyond_the_days_lose_exactly_these_columns(
    settings: Settings, own: ClickHouse, sink: ClickHouse, days: dict[str, int]
) -> None:
    async with sink:
        for number, at in ((1, OLD), (2, YOUNG)):
            for table, one in rows(number, at):
                await sink.insert(table, [one])
    clock = {table.name: "received_at" for table in TABLES}
    clock |= {TIMELINES.name: "last_received_at", DEAD_LETTERS.name: "occurred_at"}
    before = {
        (table.name, last): await row(own, table, clock[table.name], last=last)
        for table in TABLES
        for last in (False, True)
    }

    assert await migrate(own, keeping(settings, **days)) != []
    await merged(own)

    for table in TABLES:
        old = await row(own, table, clock[table.name])
        young = await row(own, table, clock[table.name], last=True)
        was = before[table.name, False]
        lost = {name for name, value in old.items() if value != was[name]}
        assert lost == {
            column
            for each in EXPIRING
            if each.table == table.name and set(each.settings) & set(days)
            for column in each.columns
        }
        assert all(value in ("", b"", None, {}) or not any(value) for name, value in old.items() if name in lost)
        assert young == before[table.name, True]
        arrays = {name: len(value) for name, value in old.items() if name.startswith(("legs.", "contents."))}
        assert arrays == {name: len(was[name]) for name in arrays}
    masks = await ask(own, "SELECT DISTINCT `legs.number_masked` FROM timelines")
    assert masks == [(["+86139****0001", "", "+86139****0009"],)]
    assert await migrate(own, keeping(settings, **days)) == []


async def test_the_days_change_with_the_settings_and_none_keep_for_ever(
    settings: Settings, own: ClickHouse, sink: ClickHouse
) -> None:
    async with sink:
        await sink.insert(CDR, [fact(1, OLD)])
    assert "retention of cdr_by_slot" in await migrate(own, keeping(settings, clear_number_days=DAYS + 2))
    await merged(own)
    assert (await row(own, CDR, "version"))["from_number"] == NUMBER

    assert "retention of cdr_by_slot" in await migrate(own, settings)
    assert await migrate(own, settings) == []
    (created,) = await own.query(f"SHOW CREATE TABLE {own.database}.cdr_by_slot")
    assert " TTL " not in created[0]

    await migrate(own, keeping(settings, clear_number_days=DAYS))
    await merged(own)
    found = await row(own, CDR, "version")
    assert (found["from_number"], found["from_masked"]) == (None, "+86139****0001")


async def test_the_newest_version_is_shown_and_an_older_one_brings_no_number_back(
    settings: Settings, own: ClickHouse, sink: ClickHouse
) -> None:
    """Rows that are read again after a crash are inserted again, perhaps after the newest version lost its number."""
    await migrate(own, keeping(settings, clear_number_days=DAYS))
    newest = fact(1, OLD, version=2, custom_ref="newest")
    async with sink:
        await sink.insert(CDR, [newest])
        await merged(own)
        await sink.insert(CDR, [fact(1, OLD - timedelta(days=1), version=1)])
        await sink.insert(CDR, [fact(2, OLD), newest])
        for _ in range(2):
            assert await ask(own, "SELECT count(), countIf(custom_ref = 'newest') FROM v_cdr") == [(2, 1)]
            await merged(own)
        assert await ask(own, "SELECT DISTINCT from_number, `legs.number` FROM v_cdr") == [(None, [None] * 3)]
        assert await ask(own, "SELECT uniqExact(from_token), min(length(from_token)) FROM v_cdr") == [(1, 32)]
        await sink.insert(CDR, [fact(1, YOUNG, version=3, custom_ref="changed")])
    assert await ask(own, "SELECT from_number FROM v_cdr WHERE custom_ref = 'changed'") == [(NUMBER,)]


async def test_a_record_without_contents_is_inserted_as_before(
    settings: Settings, own: ClickHouse, sink: ClickHouse
) -> None:
    """Its insert leaves out the columns of contents, which have a default since they can expire."""
    await migrate(own, keeping(settings, clear_number_days=DAYS))
    async with sink:
        await sink.insert(CDR, [fact(1, YOUNG, contents=()), fact(2, OLD, contents=(), legs=())])
    await merged(own)
    assert await ask(own, "SELECT length(`contents.from_number`), length(`legs.number`) FROM cdr ORDER BY record_id") == [
        (0, 3), (0, 0),
    ]  # fmt: skip


async def test_a_conference_counts_the_same_when_the_numbers_are_gone(
    settings: Settings, own: ClickHouse, sink: ClickHouse
) -> None:
    phones = (NUMBER, "+8613900000002", NUMBER)
    legs = [
        fact(n, OLD, kind="conference_leg", conference_id="c", legs=(Leg(role=Role.P, number=phone),), answer_at=OLD)
        for n, phone in enumerate(phones)
    ]
    async with sink:
        await sink.insert(CDR, legs)
    before = await ask(own, "SELECT participants, legs FROM v_conferences")
    await migrate(own, keeping(settings, clear_number_days=DAYS))
    await merged(own)

    assert await ask(own, "SELECT participants, legs FROM v_conferences") == before == [(2, 3)]
