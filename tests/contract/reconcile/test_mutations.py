"""Two hundred mutations of a carrier's file and of our records: each shows in exactly one class, nothing else does."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.reconcile.classes import Match
from sinks.clickhouse import ClickHouse
from sinks.rows import CDR
from tests.contract.reconcile.carrier import FIELDS, Element, facts, moved, table, two_way_calls
from tests.contract.reconcile.conftest import Reconcile
from tests.contract.views.samples import ask

CALLS = 700
MUTATIONS = 200
NOW = datetime(2026, 3, 5, tzinfo=UTC)


def _duration(element: Element) -> Element:
    return {**element, "duration": str(int(element["duration"]) + 37)}


def _price(element: Element) -> Element:
    return {**element, "oriamount": "99.99"}


def _called(element: Element) -> Element:
    return {**element, "called": "13900009999" if element["called"] != "13900009999" else "13900009998"}


def _caller(element: Element) -> Element:
    return {**element, "caller": "13800009999" if element["caller"] != "13800009999" else "13800009998"}


def _end(element: Element) -> Element:
    late = moved(element, timedelta(seconds=50))
    return {**element, "calleretime": late["calleretime"], "calledetime": late["calledetime"]}


def _start(element: Element) -> Element:
    return {**element, "callerstime": moved(element, timedelta(seconds=-20))["callerstime"]}


def _an_hour_later(element: Element) -> Element:
    return moved(element, timedelta(hours=1))


def _an_hour_earlier(element: Element) -> Element:
    return moved(element, timedelta(hours=-1))


CHANGES: dict[str, tuple[Callable[[Element], Element], str]] = {
    "duration": (_duration, "billed_s"),
    "price": (_price, "cost"),
    "called": (_called, "to_number"),
    "caller": (_caller, "from_number"),
    "end": (_end, "end_at"),
    "start": (_start, "start_at"),
    "later": (_an_hour_later, "start_at"),
    "earlier": (_an_hour_earlier, "start_at"),
}
KINDS = (
    *((side, name) for side in ("theirs", "ours") for name in CHANGES),
    *((side, name) for side in ("theirs", "ours") for name in ("dropped", "doubled")),
)

FORMS: dict[str, Any] = {
    "the vendor's fields, UTF-8": (FIELDS, {"encoding": "utf-8-sig"}, {}),
    "the vendor's fields, tabs, GB 18030": (FIELDS, {"encoding": "gb18030", "delimiter": "\t"}, {}),
    "Chinese headings, UTF-16": (
        {
            "通话ID": "requestid", "主叫号码": "caller", "被叫号码": "called", "开始时间": "callerstime",
            "应答时间": "calledstime", "结束时间": "calledetime", "计费时长(秒)": "duration", "费用(元)": "oriamount",
        },
        {"encoding": "utf-16", "delimiter": "\t"},
        {},
    ),
    "English headings, semicolons": (
        {
            "Call ID": "requestid", "Caller": "caller", "Called": "called", "Start Time": "callerstime",
            "Answer time": "calledstime", "End Time": "calledetime", "Billed seconds": "duration", "Charge": "oriamount",
        },
        {"delimiter": ";"},
        {},
    ),
}  # fmt: skip


async def found(db: ClickHouse) -> dict[str, Counter[str]]:
    """Returns the classes of each call."""
    rows = await ask(db, "SELECT vendor_call_id, class, count() FROM v_reconciled_records GROUP BY 1, 2")
    classes: dict[str, Counter[str]] = {}
    for call_id, name, count in rows:
        classes.setdefault(call_id, Counter())[name] += count
    return classes


@pytest.mark.parametrize(("columns", "form", "more"), FORMS.values(), ids=FORMS)
async def test_each_mutation_shows_in_exactly_one_class(
    db: ClickHouse, reconcile: Reconcile, columns: Any, form: Any, more: Any
) -> None:
    rng = random.Random(200)
    calls = two_way_calls(CALLS)
    theirs, ours, wanted, changed = list(calls), list(calls), dict[str, Counter[str]](), dict[str, str]()
    wanted = {call["requestid"]: Counter([Match.EQUAL]) for call in calls}
    for number, at in enumerate(rng.sample(range(CALLS), MUTATIONS)):
        side, name = KINDS[number % len(KINDS)]
        call, rows = calls[at], theirs if side == "theirs" else ours
        call_id = call["requestid"]
        if name == "dropped":
            rows.remove(call)
            wanted[call_id] = Counter([Match.ONLY_OURS if side == "theirs" else Match.ONLY_THEIRS])
        elif name == "doubled" and side == "theirs":
            rows.insert(rng.randrange(len(rows)), call)
            wanted[call_id] = Counter([Match.EQUAL, Match.DOUBLED_THEIRS])
        elif name == "doubled":  # ours: the same call under another id, since a record is never there twice
            twin = {**call, "requestid": f"{call_id[:8]}9{call_id[9:]}"}
            rows.append(twin)
            wanted[twin["requestid"]] = Counter([Match.ONLY_OURS])
        else:
            change, field = CHANGES[name]
            rows[rows.index(call)] = change(call)
            wanted[call_id] = Counter([Match.DIFFERS])
            changed[call_id] = field
    await db.insert(CDR, facts(ours))

    done = await reconcile(table(theirs, columns, **form), now=NOW, **more)

    assert await found(db) == wanted
    fields = await ask(db, "SELECT vendor_call_id, differences.field FROM v_reconciled_records WHERE class = 'differs'")
    assert {call_id: field for call_id, names in fields for field in [changed[call_id]] if field in names} == changed
    totals = done.result.totals
    assert totals.counts == sum(wanted.values(), Counter())
    assert not totals.agrees
    assert (totals.theirs.records, totals.ours.records) == (len(theirs), len(ours))
    assert totals.theirs.seconds == sum(int(one["duration"]) for one in theirs)
    assert totals.ours.seconds == sum(int(one["duration"]) for one in ours)
    assert f"{totals.theirs.money['CNY'] - totals.ours.money['CNY']:.2f}" == f"{_money(theirs) - _money(ours):.2f}"


def _money(calls: list[Element]) -> float:
    return sum(round(100 * float(one["oriamount"])) for one in calls) / 100


@pytest.mark.parametrize(("columns", "form", "more"), FORMS.values(), ids=FORMS)
async def test_a_clean_file_shows_none(
    db: ClickHouse, reconcile: Reconcile, columns: Any, form: Any, more: Any
) -> None:
    calls = two_way_calls(CALLS)
    await db.insert(CDR, facts(calls))

    done = await reconcile(table(calls, columns, **form), now=NOW, **more)

    assert done.result.totals.counts == {Match.EQUAL: CALLS}
    assert done.result.totals.agrees
    assert done.missing == ()
    assert await ask(db, "SELECT count(), uniqExact(line), uniqExact(record_id) FROM v_reconciled_records") == [
        (CALLS, CALLS, CALLS)
    ]
