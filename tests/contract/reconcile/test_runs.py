"""Runs of a reconciliation on the real engine: periods, repetition, files without ids, workbooks, broken rows."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.admin.erasing.tables import erase_reconciliations
from deploy.reconcile.classes import Match
from deploy.reconcile.report import page
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.reconcile.carrier import ACCOUNT, BEGIN, Element, civil, facts, moved, table, two_way_calls
from tests.contract.reconcile.conftest import Reconcile
from tests.contract.reconcile.workbook import workbook
from tests.contract.views.samples import ask

WITHOUT_ID = {
    "主叫": "caller", "被叫": "called", "通话开始时间": "callerstime", "结束时间": "calledetime", "时长": "duration", "金额": "oriamount",
}  # fmt: skip
CALLS = two_way_calls(60)
NOW = datetime(2026, 3, 5, tzinfo=UTC)


async def test_the_same_file_again_takes_the_place_of_its_own_result(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS[10:]))
    first = await reconcile(table(CALLS), now=NOW)
    assert first.result.totals.counts == {Match.EQUAL: 50, Match.ONLY_THEIRS: 10}

    await db.insert(CDR, facts(CALLS[:10]))
    again = await reconcile(table(CALLS), now=NOW + timedelta(minutes=1))
    other = await reconcile(table(CALLS[:-1]), now=NOW + timedelta(minutes=2))

    assert again.result.run_id == first.result.run_id != other.result.run_id
    rows = await ask(db, "SELECT toString(run_id), class, count() FROM v_reconciled_records GROUP BY 1, 2")
    assert sorted(rows) == sorted(
        [
            (first.result.run_id, "equal", 60),
            (other.result.run_id, "equal", 59),
            (other.result.run_id, "only_ours", 1),
        ]
    )
    runs = await ask(
        db,
        "SELECT equal, only_theirs, only_ours, their_records, our_records, costs.currency FROM v_reconciliations ORDER BY equal",
    )
    assert runs == [(59, 0, 1, 59, 60, ["CNY"]), (60, 0, 0, 60, 60, ["CNY"])]


async def test_a_run_that_breaks_off_leaves_the_result_before_it(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    await reconcile(table(CALLS), now=NOW)
    await db.command(
        f"INSERT INTO {db.database}.reconciled_records (run_id, line, record_id, class, version) "
        f"SELECT run_id, line, record_id, 'differs', version + 1 FROM {db.database}.reconciled_records"
    )

    assert await ask(db, "SELECT class, count() FROM v_reconciled_records GROUP BY 1") == [("equal", 60)]


async def test_only_records_of_the_time_that_the_file_covers_are_missing_in_it(
    db: ClickHouse, reconcile: Reconcile
) -> None:
    """Nothing is said of records before and after the file's hours, unless the period is told."""
    early = moved({**CALLS[0], "requestid": "early"}, timedelta(days=-1))
    await db.insert(CDR, facts([*CALLS, early]))

    guessed = await reconcile(table(CALLS), now=NOW)
    told = await reconcile(table(CALLS), now=NOW, begin=BEGIN - timedelta(days=2), end=BEGIN + timedelta(days=1))
    half = await reconcile(table(CALLS), now=NOW, begin=BEGIN, end=BEGIN + timedelta(hours=12))

    assert guessed.result.totals.counts == {Match.EQUAL: 60}
    assert told.result.totals.counts == {Match.EQUAL: 60, Match.ONLY_OURS: 1}
    inside = sum(
        datetime.fromisoformat(one["callerstime"]).replace(tzinfo=UTC) - timedelta(hours=8)
        < BEGIN + timedelta(hours=12)
        for one in CALLS
    )
    assert half.result.totals.counts == {Match.EQUAL: inside}
    assert half.result.totals.skipped == {"outside the period": 60 - inside}


async def test_a_record_that_we_have_at_another_time_differs_and_is_not_missing(
    db: ClickHouse, reconcile: Reconcile
) -> None:
    await db.insert(CDR, facts([moved(CALLS[0], timedelta(days=-20)), *CALLS[1:]]))

    done = await reconcile(table(CALLS), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 59, Match.DIFFERS: 1}
    assert done.missing == ()


async def test_without_ids_numbers_and_starts_pair_the_records(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS[1:]))
    late = moved(CALLS[5], timedelta(seconds=3))

    done = await reconcile(table([*CALLS[:5], late, *CALLS[6:]], WITHOUT_ID), now=NOW)

    assert "numbers" in done.result.matched_by
    assert done.result.totals.counts == {Match.EQUAL: 58, Match.DIFFERS: 1, Match.ONLY_THEIRS: 1}
    assert await ask(db, "SELECT matched_by FROM v_reconciliations") == [("numbers_and_start",)]


async def test_a_workbook_of_a_spreadsheet_is_as_good_as_a_text(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))

    done = await reconcile(workbook(CALLS), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 60}


async def test_a_file_in_another_zone_is_read_in_that(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    in_utc = [moved(one, -timedelta(hours=8)) for one in CALLS]

    wrong = await reconcile(table(in_utc), now=NOW)
    right = await reconcile(table(in_utc), now=NOW, file={"zone": "UTC"})

    assert wrong.result.totals.counts[Match.DIFFERS] == 60
    assert right.result.totals.counts == {Match.EQUAL: 60}


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "no id": ({"requestid": ""}, "requestid: is missing"),
    "an id that a spreadsheet rounded": ({"requestid": "2.02603E+28"}, "rounded it"),
    "another account": ({"appid": "ffff0000ffff0000ffff0000ffff0000"}, "another account"),
    "fields of no kind": ({"fid": "9"}, "none of the four payloads"),
}


@pytest.mark.parametrize(("changed", "why"), BROKEN.values(), ids=BROKEN)
async def test_a_row_that_cannot_be_read_is_a_class_of_its_own(
    db: ClickHouse, reconcile: Reconcile, changed: Element, why: str
) -> None:
    await db.insert(CDR, facts(CALLS[1:]))

    done = await reconcile(table([{**CALLS[0], **changed}, *CALLS[1:]]), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 59, Match.UNREADABLE: 1}
    ((line, note),) = await ask(db, "SELECT line, note FROM v_reconciled_records WHERE class = 'unreadable'")
    assert (line, why in note) == (2, True), note


async def test_totals_and_titles_of_a_table_are_no_records(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    made = "2026年3月话单\n".encode() + table(CALLS) + "合计,,,,,,,,,,3600,99.00,,\n".encode()

    done = await reconcile(made, now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 60}
    assert done.result.totals.skipped == {"a line of totals": 1}


async def test_participants_of_a_conference_are_told_apart_by_their_phones(
    db: ClickHouse, reconcile: Reconcile
) -> None:
    def participant(phone: str, **changed: Any) -> Element:
        return {
            "requestid": "conf0001", "appid": ACCOUNT, "fid": "5", "tel": phone, "stime": civil(BEGIN), "confid": "516152",
            "etime": civil(BEGIN + timedelta(minutes=5)), "duration": "300", "singleoriamount": "0.50", **changed,
        }  # fmt: skip

    three = [participant(f"1380000000{n}") for n in range(3)]
    await db.insert(CDR, facts([*three[:2], participant("13800000009")]))
    columns = ("requestid", "appid", "fid", "tel", "stime", "etime", "confid", "duration", "singleoriamount")

    done = await reconcile(table([three[1], three[0], three[2]], columns), now=NOW)

    assert done.result.totals.counts == {Match.EQUAL: 2, Match.ONLY_THEIRS: 1, Match.ONLY_OURS: 1}


async def test_no_phone_number_stands_in_the_tables_and_a_masked_one_in_the_report(
    db: ClickHouse, reconcile: Reconcile
) -> None:
    await db.insert(CDR, facts(CALLS))
    other = {**CALLS[0], "called": "13900009999"}

    done = await reconcile(table([other, *CALLS[1:]]), now=NOW)

    rows = await db.query(f"SELECT * FROM {db.database}.v_reconciled_records WHERE class = 'differs'")
    assert "to_number" in str(rows)
    assert "1390000" not in str(rows)
    assert "13900009999" not in page(done.result)
    assert "+86139****9999" in page(done.result)
    assert "+8613900009999" in page(done.result, clear_numbers=True)


async def test_the_classes_of_all_runs_are_counted_alike_in_both_views(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS[5:]))
    await reconcile(table([*CALLS[:50], CALLS[20]]), now=NOW)

    ((equal, theirs, ours, doubled),) = await ask(
        db, "SELECT equal, only_theirs, only_ours, doubled_theirs FROM v_reconciliations"
    )
    counted = Counter(dict(await ask(db, "SELECT class, count() FROM v_reconciled_records GROUP BY 1")))
    assert counted == {"equal": equal, "only_theirs": theirs, "only_ours": ours, "doubled_theirs": doubled}
    assert (equal, theirs, doubled) == (45, 5, 1)


async def test_an_erased_account_leaves_no_reconciliation(db: ClickHouse, reconcile: Reconcile) -> None:
    await db.insert(CDR, facts(CALLS))
    await reconcile(table(CALLS), now=NOW)
    await erase_reconciliations(db, "another")
    assert await ask(db, "SELECT count() FROM v_reconciled_records") == [(60,)]

    await erase_reconciliations(db, ACCOUNT)

    assert await ask(db, "SELECT count() FROM reconciled_records") == [(0,)]
    assert await ask(db, "SELECT count() FROM reconciliations") == [(0,)]
