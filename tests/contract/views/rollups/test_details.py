"""Figures by fine dimensions, and redials: each equals a count by hand over random calls."""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import phonenumbers
import pytest

from schemas.config.figures.zones import DEFAULT
from schemas.facts import Direction, Disposition, NumberKind
from schemas.privacy.masks import masked
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline
from sinks.clickhouse import ClickHouse
from sinks.rows import TIMELINES
from tests.contract.views.rollups.local import TURNS, ZONES, random_calls, same
from tests.contract.views.samples import START, ask, call, cny
from tests.oracle.by_hand import Call, calls_of, figures, interval, shown
from tests.oracle.figures import rolled

FEW_NUMBERS: Final = ("+8613900000001", "+12025550123", "+35312345678", "+74951234567")
HOUR: Final = timedelta(hours=1)


def _random_call(rng: random.Random, number: int) -> Timeline:
    started = START + timedelta(seconds=rng.randrange(-86_400, 86_400))
    caller, called = rng.sample(FEW_NUMBERS, 2)
    return call(
        number,
        slot_at=started.replace(minute=0, second=0),
        started_at=started,
        account=rng.choice(["", "main"]),
        account_id=rng.choice(["a", "b"]),
        agent_id=rng.choice(["", "7", "8"]),
        call_type=rng.choices(["call", "conference", "voice_code"], [8, 1, 1])[0],
        direction=rng.choice([Direction.INBOUND, Direction.CALLBACK]),
        from_number=rng.choice([caller, caller, None]),
        from_kind=NumberKind.E164,
        to_number=called,
        to_kind=rng.choices([NumberKind.E164, NumberKind.SHORT], [5, 1])[0],
        disposition=rng.choice([*Disposition, Disposition.ANSWERED, Disposition.ANSWERED]),
        alerting_at=rng.choice([None, started]),
        talk_ms=rng.choice([None, rng.randrange(12_000)]),
        pdd_ms=rng.choice([None, rng.randrange(9_000)]),
        is_final=rng.random() < 0.9,
        **cny("0.5"),
    )  # fmt: skip


def _of(one: Timeline) -> Call:
    fields = {name: getattr(one, name) for name in Call.__struct_fields__}
    return Call(**fields | {"quality_flags": list(one.quality_flags)})


def _moved(one: Timeline, rng: random.Random, turns: Sequence[datetime]) -> Timeline:
    """Returns the call near one of these changes of clocks."""
    at = rng.choice(turns) + timedelta(seconds=rng.randrange(-50_000, 50_000))
    return msgspec.structs.replace(one, started_at=at, slot_at=at.replace(minute=0, second=0))


def _country(one: Timeline) -> str:
    inbound = one.direction is Direction.INBOUND
    number, kind = (one.from_number, one.from_kind) if inbound else (one.to_number, one.to_kind)
    return str(phonenumbers.parse(number).country_code) if number and kind is NumberKind.E164 else ""


async def test_details_have_the_figures_of_their_calls(db: ClickHouse) -> None:
    rng = random.Random("details")
    calls = [_random_call(rng, number) for number in range(500)]
    await db.insert(TIMELINES, calls)
    names = ("slot_at", "vendor", "account", "account_id", "call_type", "direction", "country_code", "agent_id")
    groups: dict[tuple[Any, ...], list[Call]] = defaultdict(list)
    for one in calls:
        assert one.started_at is not None
        day = one.started_at.replace(hour=0, minute=0, second=0)
        key = (day, "ytx", one.account, one.account_id, one.call_type, str(one.direction), _country(one), one.agent_id)
        groups[key].append(_of(one))
    rows = await shown(db, f"SELECT * FROM {db.database}.v_kpi_day_detail")
    wanted = [{**dict(zip(names, key, strict=True)), **figures(some, 86_400)} for key, some in groups.items()]
    assert {row["country_code"] for row in rows} == {"", "1", "7", "86", "353"}
    assert same(rows, [{name: row[name] for name in rows[0] if name in row} for row in wanted])
    sums = [await ask(db, f"SELECT sum(attempts), sum(talk_total_ms) FROM v_kpi_{g}_detail") for g in ("day", "hour")]
    assert sums[0] == sums[1]


@pytest.mark.parametrize(
    "zone",
    [
        "Australia/Lord_Howe",
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ("Asia/Kathmandu", "Europe/Berlin", "America/Sao_Paulo", "UTC")
        ),
    ],
)
async def test_details_of_any_zone_have_the_figures_of_their_calls_by_its_clock(db: ClickHouse, zone: str) -> None:
    rng = random.Random("local details")
    calls = [_moved(_random_call(rng, number), rng, TURNS) for number in range(300)]
    await db.insert(TIMELINES, calls)
    every = f"time_zone = '{zone}', local_from = '2000-01-01', local_to = '2030-01-01'"
    for grain in ("hour", "day"):
        groups: dict[tuple[Any, ...], list[Call]] = defaultdict(list)
        for one in calls:
            assert one.started_at is not None
            at = interval(grain, zone, one.started_at)
            key = (one.account, one.account_id, one.call_type, str(one.direction), _country(one), one.agent_id)
            groups[at, "ytx", *key].append(_of(one))
        names = ("vendor", "account", "account_id", "call_type", "direction", "country_code", "agent_id")
        wanted = [
            {**msgspec.structs.asdict(at), **dict(zip(names, key, strict=True)), **figures(some, at.slot_s),
             "local_date": at.local_slot_at.date(), "local_hour": at.local_slot_at.hour, "time_zone": zone}
            for (at, *key), some in groups.items()
        ]  # fmt: skip
        rows = await shown(db, f"SELECT * FROM {db.database}.v_kpi_{grain}_detail_in({every})")
        assert same(rows, [{name: row[name] for name in rows[0] if name in row} for row in wanted]), grain


async def test_hours_of_the_local_day_have_the_figures_of_their_calls(db: ClickHouse) -> None:
    """On the clocks of the accounts: half hours, and both passes of an hour that comes twice."""
    await db.insert(TIMELINES, random_calls(random.Random("hours of the day"), 500))
    await rolled(db, ZONES)
    since, until = datetime(2018, 1, 1), datetime(2026, 11, 1, 1)  # noqa: DTZ001 - wall clocks
    groups: dict[tuple[Any, ...], list[Call]] = defaultdict(list)
    for one in await calls_of(db):
        zone = ZONES.of.get((one.vendor, one.account), ZONES.of[DEFAULT])
        hour = interval("hour", zone, one.started_at.astimezone(UTC)).local_slot_at.replace(tzinfo=None)
        if one.call_type == "call" and since <= hour < until:
            groups[hour.hour, zone, one.vendor, one.account, one.account_id, one.direction].append(one)
    names = ("local_hour", "time_zone", "vendor", "account", "account_id", "direction")
    wanted = [{**dict(zip(names, key, strict=True)), **figures(some, 3600)} for key, some in groups.items()]
    asked = f"local_from = '{since}', local_to = '{until}'"
    rows = await shown(db, f"SELECT * FROM {db.database}.v_kpi_hour_of_day({asked})")
    assert {row["local_hour"] for row in rows} >= {0, 1, 12, 23}

    def ordered(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(some, key=lambda row: str([row[name] for name in names]))

    assert len(rows) == len(wanted)
    for found, row in zip(ordered(rows), ordered(wanted), strict=True):
        expected = {name: row[name] for name in found}
        assert found == {**expected, "cost_per_minute": pytest.approx(expected["cost_per_minute"])}


async def test_the_calling_code_of_every_country_is_told_from_the_masked_form(db: ClickHouse) -> None:
    """Twelve digits and more keep at least three; a code has one to three."""
    codes = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    numbers = [f"+{code}{'5' * (12 - len(str(code)))}" for code in codes]
    assert all(masked(number)[:4] == number[:4] for number in numbers)
    await db.insert(
        TIMELINES,
        [call(n, to_number=number, to_kind=NumberKind.E164, agent_id=str(code), started_at=START)
         for n, (number, code) in enumerate(zip(numbers, codes, strict=True))],
    )  # fmt: skip
    assert await ask(db, "SELECT count() FROM v_kpi_day_detail WHERE country_code = agent_id") == [(len(codes),)]


def _redials(calls: Sequence[Timeline], since: datetime, until: datetime) -> dict[tuple[Any, ...], list[int]]:
    """Returns for each group the attempts, the first ones, those of them that were answered, redials, and theirs."""
    pairs: dict[tuple[Any, ...], list[Timeline]] = defaultdict(list)
    for one in calls:
        if one.is_final and one.call_type == "call" and one.from_number and one.to_number:
            pairs[one.account, one.account_id, one.from_number, one.to_number].append(one)
    found: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 5)
    for of_pair in pairs.values():
        ordered = sorted(of_pair, key=lambda one: one.started_at or START)
        for before, one in zip([None, *ordered], ordered, strict=False):
            at = one.started_at
            assert at is not None
            if since <= at < until:
                again = before is not None and before.started_at is not None and at - before.started_at <= HOUR
                answered = one.disposition is Disposition.ANSWERED
                row = found[at.replace(hour=0, minute=0, second=0), one.account, one.account_id, str(one.direction)]
                for index, counts in enumerate((True, not again, not again and answered, again, again and answered)):
                    row[index] += counts
    return found


@pytest.mark.parametrize("hours", [0, 12], ids=["whole days", "half days, whose redials have their first call before"])
async def test_redials_follow_an_attempt_of_the_same_pair_within_an_hour(db: ClickHouse, hours: int) -> None:
    rng = random.Random("redials")
    calls = [_random_call(rng, number) for number in range(1500)]
    since = START.replace(hour=hours) - timedelta(days=1)
    until = since + timedelta(days=1)
    await db.insert(TIMELINES, calls)
    asked = f"from = '{since:%Y-%m-%d %H:%M:%S}', to = '{until:%Y-%m-%d %H:%M:%S}'"
    rows = await ask(
        db,
        "SELECT slot_at, account, account_id, direction, attempts_with_pair, first_attempts, first_attempts_answered, redials, "
        f"redials_answered, first_attempt_success, redial_ratio FROM v_kpi_redials({asked})",
    )
    wanted = _redials(calls, since, until)
    assert {row[:4]: list(row[4:9]) for row in rows} == wanted
    assert sum(row[7] for row in rows) > 10
    assert all(row[9] == (row[6] / row[5] if row[5] else None) and row[10] == row[7] / row[4] for row in rows)


async def test_a_pair_whose_numbers_have_expired_is_known_by_its_tokens(db: ClickHouse) -> None:
    calls = [
        call(n, from_number="+8613900000001", to_number="+12025550123", is_final=True, started_at=START)
        for n in range(2)
    ]
    async with ClickHouse(db.settings, NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")) as sink:
        await sink.insert(TIMELINES, calls)
    await db.command(
        f"ALTER TABLE {db.database}.timelines_by_slot UPDATE from_number = NULL, to_number = NULL WHERE true SETTINGS mutations_sync = 1"
    )
    asked = "from = '2026-03-01 00:00:00', to = '2026-03-02 00:00:00'"
    assert await ask(db, f"SELECT first_attempts, redials FROM v_kpi_redials({asked})") == [(1, 1)]


async def test_numbers_with_hidden_digits_are_no_pair(db: ClickHouse) -> None:
    """The same hidden form may be that of ten thousand people."""
    hidden: dict[str, Any] = {"to_number": "150****0000", "to_kind": NumberKind.MASKED}
    withheld: dict[str, Any] = {"to_number": "+12025550123", "from_kind": NumberKind.ANONYMOUS}
    calls = [
        call(n, **{"from_number": "+8613900000001", "is_final": True, "started_at": START, **fields})
        for n, fields in enumerate([hidden, hidden, withheld, withheld, {"to_number": "8001"}, {"to_number": "8001"}])
    ]
    async with ClickHouse(db.settings, NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")) as sink:
        await sink.insert(TIMELINES, calls)
    asked = "from = '2026-03-01 00:00:00', to = '2026-03-02 00:00:00'"
    assert await ask(db, f"SELECT first_attempts, redials FROM v_kpi_redials({asked})") == [(1, 1)]
