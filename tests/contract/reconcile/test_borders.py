"""The borders of a comparison: hours of half-hour zones, records beside the file's time, doubled ours, spoilt rows."""

import asyncio
import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from deploy.reconcile.classes import PROVISIONAL, SECOND_OURS, Match
from deploy.reconcile.report import page
from deploy.reconcile.rows.bounds import UnreadableFile
from deploy.reconcile.run import AT_BORDER
from deploy.reconcile.totals import lines
from schemas.config.settings import Account
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.reconcile.carrier import ACCOUNT, BEGIN, Element, civil, facts, moved, table, two_way_calls
from tests.contract.reconcile.conftest import Reconcile
from tests.contract.views.samples import ask

NOW = datetime(2026, 3, 5, tzinfo=UTC)
CALLS = two_way_calls(40)
CHINESE = {
    "通话ID": "requestid", "主叫号码": "caller", "被叫号码": "called", "开始时间": "callerstime", "应答时间": "calledstime",
    "结束时间": "calledetime", "计费时长(秒)": "duration", "费用(元)": "oriamount",
}  # fmt: skip


def at(minutes: float, call_id: str, like: Element = CALLS[0]) -> Element:
    """Returns a call that began so many minutes after the day did."""
    begun = datetime.fromisoformat(like["callerstime"]).replace(tzinfo=UTC) - timedelta(hours=8)
    return {**moved(like, BEGIN + timedelta(minutes=minutes) - begun), "requestid": call_id}


async def test_the_hours_of_a_file_are_those_of_its_clock(db: ClickHouse, reconcile: Reconcile) -> None:
    """A day in India begins at half past six in the evening by UTC: what was before it is not missing in the file."""
    inside, before = at(31, "inside"), at(15, "before")
    missing = at(45, "missing")
    await db.insert(CDR, facts([inside, before, missing]))
    in_india = moved(inside, timedelta(hours=5.5) - timedelta(hours=8))

    done = await reconcile(table([in_india], CHINESE), now=NOW, file={"zone": "Asia/Kolkata"})

    assert done.result.totals.counts == {Match.EQUAL: 1, Match.ONLY_OURS: 1}
    assert await ask(db, "SELECT vendor_call_id FROM v_reconciled_records WHERE class = 'only_ours'") == [("missing",)]


async def test_a_record_an_hour_before_the_first_row_is_not_missing_and_one_beside_it_is_said_to_be_at_the_border(
    db: ClickHouse, reconcile: Reconcile
) -> None:
    rows = [at(130, "first"), at(250, "last")]
    ours = [*rows, at(70, "an hour before"), at(125, "shortly before"), at(255, "shortly behind"), at(200, "between")]
    await db.insert(CDR, facts(ours))

    done = await reconcile(table(rows), now=NOW)
    told = await reconcile(
        table(rows), now=NOW, begin=BEGIN + timedelta(minutes=129), end=BEGIN + timedelta(minutes=251)
    )

    assert done.result.totals.counts == {Match.EQUAL: 2, Match.ONLY_OURS: 3}
    assert done.result.totals.notes == {f"only_ours: {AT_BORDER}": 2}
    assert told.result.totals.counts == {Match.EQUAL: 2, Match.ONLY_OURS: 1}
    assert told.result.totals.notes == {}


async def test_a_row_that_cannot_be_read_takes_our_record_with_it(db: ClickHouse, reconcile: Reconcile) -> None:
    """The file has the call, so that it is not one that only we have."""
    await db.insert(CDR, facts(CALLS))
    spoilt = [{**CALLS[0], "oriamount": "1,234"}, {**CALLS[1], "callerstime": "03/02/2026 10:00:00"}, *CALLS[2:]]

    done = await reconcile(table(spoilt, CHINESE), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 38, Match.UNREADABLE: 2}
    rows = await ask(
        db, "SELECT line, vendor_call_id, note FROM v_reconciled_records WHERE class = 'unreadable' ORDER BY line"
    )
    assert rows == [
        (2, CALLS[0]["requestid"], "an amount of money cannot be read"),
        (3, CALLS[1]["requestid"], "a time cannot be read"),
    ]
    assert await ask(db, "SELECT uniqExact(record_id) FROM v_reconciled_records") == [(40,)]


async def test_a_field_that_the_mapping_refuses_takes_our_record_with_it(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    rounded = {**CALLS[0], "called": "1.39E+10"}

    done = await reconcile(table([rounded, *CALLS[1:]]), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 39, Match.UNREADABLE: 1}


async def test_a_call_that_is_doubled_on_our_side_is_said_to_be(db: ClickHouse, reconcile: Reconcile) -> None:
    """Two records of one call, of which the file has one: ours has no pair, and no call is missing."""
    made = facts(CALLS)
    twin = msgspec.structs.replace(made[0], fact_id="00000000-0000-0000-0000-00000000abcd", billable_s=1)
    await db.insert(CDR, [*made, twin])

    done = await reconcile(table(CALLS), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 40, Match.ONLY_OURS: 1}
    assert done.result.totals.notes == {f"only_ours: {SECOND_OURS}": 1}
    assert any(SECOND_OURS in line for line in lines(done.result))
    assert SECOND_OURS in page(done.result)
    assert await ask(db, "SELECT note FROM v_reconciled_records WHERE class = 'only_ours'") == [(SECOND_OURS,)]


async def test_a_record_that_may_still_change_is_said_to_be_one(db: ClickHouse, reconcile: Reconcile) -> None:
    made = facts(CALLS)
    await db.insert(CDR, [msgspec.structs.replace(made[0], is_final=False, billable_s=1), *made[1:]])

    done = await reconcile(table(CALLS), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 39, Match.DIFFERS: 1}
    assert done.result.totals.notes == {f"differs: {PROVISIONAL}": 1}


async def test_the_same_id_in_another_account_is_another_call(db: ClickHouse, reconcile: Reconcile) -> None:
    other = "ffff0000ffff0000ffff0000ffff0000"
    await db.insert(CDR, facts([*CALLS, {**CALLS[0], "appid": other, "duration": "7"}]))

    done = await reconcile(table(CALLS, CHINESE), now=NOW)
    theirs = await reconcile(table(CALLS, CHINESE), now=NOW, account=other)

    assert done.result.totals.counts == {Match.EQUAL: 40}
    assert theirs.result.totals.counts == {Match.DIFFERS: 1, Match.ONLY_THEIRS: 39}
    assert other != ACCOUNT


@pytest.mark.parametrize("said", ["main", ACCOUNT])
async def test_records_from_before_an_account_was_configured_are_its_records(
    db: ClickHouse, reconcile: Reconcile, said: str
) -> None:
    """They have the vendor's id alone, and those that came through its address may have our name alone."""
    made = facts(CALLS)
    named = [msgspec.structs.replace(one, account="main", account_id="") for one in made[20:]]
    other = msgspec.structs.replace(made[0], account="other", fact_id="00000000-0000-0000-0000-00000000abcd")
    await db.insert(CDR, [*made[:20], *named, msgspec.structs.replace(other, account_id="")])
    accounts = (Account(vendor="ytx", name="main", external_ids=(ACCOUNT,)),)

    done = await reconcile(table(CALLS, CHINESE), now=NOW, account=said, accounts=accounts)

    assert done.result.totals.counts == {Match.EQUAL: 40}


async def test_daily_files_that_were_joined_have_their_headings_again(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    joined = gzip.compress(table(CALLS[:20], CHINESE)) + gzip.compress(table(CALLS[20:], CHINESE))

    done = await reconcile(joined, now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 40}
    assert done.result.totals.skipped == {"the headings again": 1}


EMPTY = {
    "no byte": (b"", "no rows"),
    "headings alone": (table([]), "no record behind its headings"),
    "headings and totals": (table([]) + "合计,3\n".encode(), "a line of totals"),
}


@pytest.mark.parametrize(("content", "why"), EMPTY.values(), ids=EMPTY)
async def test_a_file_without_records_is_no_file_that_agrees(
    db: ClickHouse, reconcile: Reconcile, content: bytes, why: str
) -> None:
    await db.insert(CDR, facts(CALLS))

    with pytest.raises(UnreadableFile, match=why):
        await reconcile(content, now=NOW)


async def test_a_file_without_records_of_a_told_time_has_none_of_ours(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))

    done = await reconcile(table([]), now=NOW, begin=BEGIN, end=BEGIN + timedelta(days=1))

    assert done.result.totals.counts == {Match.ONLY_OURS: 40}


async def test_one_column_of_ids_pairs_and_says_that_nothing_is_compared(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS[1:]))
    content = "通话ID\n" + "\n".join(one["requestid"] for one in CALLS)

    done = await reconcile(content.encode(), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 39, Match.ONLY_THEIRS: 1}
    assert done.result.compared == ()
    with pytest.raises(UnreadableFile, match="both --from and --to"):
        await reconcile(content.encode(), now=NOW, begin=BEGIN)


async def test_tolerances_of_nothing_and_of_less_than_a_column_holds(db: ClickHouse, reconcile: Reconcile) -> None:

    await db.insert(CDR, facts(CALLS))
    late = {**CALLS[0], "duration": str(int(CALLS[0]["duration"]) + 1)}

    none = await reconcile(table([late, *CALLS[1:]]), now=NOW, tolerance_s=Decimal(0), tolerance_cost=Decimal(0))
    least = await reconcile(table([late, *CALLS[1:]]), now=NOW, tolerance_cost=Decimal("0.00000001"))

    assert none.result.totals.counts == {Match.EQUAL: 39, Match.DIFFERS: 1}
    assert least.result.totals.counts == {Match.EQUAL: 39, Match.WITHIN_TOLERANCE: 1}


async def test_two_runs_at_once_show_one_result(db: ClickHouse, reconcile: Reconcile) -> None:

    await db.insert(CDR, facts(CALLS[1:]))

    first, second = await asyncio.gather(
        reconcile(table(CALLS), now=NOW), reconcile(table(CALLS), now=NOW + timedelta(milliseconds=7))
    )

    assert first.result.run_id == second.result.run_id
    classes = Counter(dict(await ask(db, "SELECT class, count() FROM v_reconciled_records GROUP BY 1")))
    assert classes == {"equal": 39, "only_theirs": 1}


async def test_hostile_text_is_text_in_the_report_and_in_the_table(db: ClickHouse, reconcile: Reconcile) -> None:
    call_id = '<script>alert("1")</script>=cmd|\u202e'
    await db.insert(CDR, facts(CALLS))

    done = await reconcile(table([*CALLS, {**CALLS[0], "requestid": call_id}], CHINESE), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 40, Match.ONLY_THEIRS: 1}
    shown = page(done.result, clear_numbers=True)
    assert "<script" not in shown
    assert "\u202e" not in shown
    assert "&lt;script&gt;" in shown
    assert await ask(db, "SELECT vendor_call_id FROM v_reconciled_records WHERE class = 'only_theirs'") == [(call_id,)]


async def test_day_and_time_of_a_call_may_stand_in_two_columns(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    parted = [
        {**one, "day": one["callerstime"][:10].replace("-", "/"), "time": one["callerstime"][11:]} for one in CALLS
    ]
    columns = {"通话ID": "requestid", "日期": "day", "时间": "time", "主叫": "caller", "时长": "duration"}

    done = await reconcile(table(parted, columns), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 40}
    assert "start_at" in done.result.compared
    assert civil(BEGIN).startswith("2026-03-02")
