"""The simulator's poison through the whole way and the real engine: the views show what its ledger expects.

The same that the chaos runs send and judge, without servers that fail: every poison of every vendor comes several
times.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest

from deploy.simulator.poison.catalogue import POISONS
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.sending.ledger import LedgerEntry
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS, expected_record, tencent
from ingress.access.request_head import RequestHead
from schemas.errors import Rejected
from sinks.clickhouse import ClickHouse
from tests.oracle.compare import Difference, compare
from tests.oracle.expected import Expected, expect
from tests.property.real_rows.agree import disagreements
from tests.property.real_rows.engine import put, tables
from tests.property.real_rows.extremes import summary as lines
from tests.property.real_rows.way import Broken, Way

NOW: Final = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
CALLS: Final = 250
VIEWS: Final = {"cdr": "v_cdr", "events": "call_events", "bindings": "v_bindings", "timelines": "v_timelines"}


class Poisoned(msgspec.Struct, kw_only=True):
    """The results of the stream."""

    way: Way
    refused: list[str]
    expected: Expected
    labels: set[str]
    cases: dict[str, str]
    """Call id to the request's label."""
    db: ClickHouse


@pytest.fixture(scope="module")
async def poisoned(clickhouse_url: str) -> AsyncIterator[Poisoned]:
    """A stream with as much poison as calls."""
    way, entries, cases = Way(), [], dict[str, str]()
    traffic = Traffic(seed=3, vendors=dict.fromkeys(SIMULATED_VENDORS, 1.0), mix=Mix(poison=1.0), clock=lambda: NOW)
    for number, item in enumerate(traffic.stream(CALLS)):
        received_at = NOW + timedelta(milliseconds=number)
        entry = _pulled(way, item, received_at) if isinstance(item, Offer) else _pushed(way, item, received_at)
        entries.append(entry)
        cases |= {said.call: entry.label for said in entry.expected if said.call}
    way.join_all()
    async with tables(clickhouse_url) as db:
        refused = await put(db, way.normalized, way.timelines)
        labels = {entry.label.removeprefix("poison: ") for entry in entries}
        expected = expect(entries)
        yield Poisoned(way=way, refused=refused, expected=expected, labels=labels, cases=cases, db=db)


def _pushed(way: Way, send: PushRequest, received_at: datetime) -> LedgerEntry:
    headers = {name.lower(): value for name, value in send.headers}
    head = RequestHead(
        method="POST",
        path=send.path,
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
    )
    try:
        way.send(send.label, head, send.body, received_at)
    except Rejected as exc:
        way.broken.append(Broken(send.label, "accept", str(exc)))
        return LedgerEntry(vendor=send.vendor, label=send.label, expected=send.expected, acked=False)
    return LedgerEntry(vendor=send.vendor, label=send.label, expected=send.expected)


def _pulled(way: Way, offer: Offer, received_at: datetime) -> LedgerEntry:
    said = [expected_record(call) for call in (offer.call, offer.later) if call]
    for place, call in enumerate((offer.call, offer.later)):
        if call:
            page = tencent.page([tencent.record(call)], "0", compressed=False)
            way.pull("page", "tencent", "getCdr", page, received_at + timedelta(seconds=place))
    if offer.contradicts:
        said = [msgspec.structs.replace(each, rank=1 + place) for place, each in enumerate(said)]
    return LedgerEntry(
        vendor="tencent", label="poison: page" if offer.contradicts else "page", expected=tuple(said), pulled=True
    )


def test_no_stage_raises(poisoned: Poisoned) -> None:
    assert lines(poisoned.way.broken) == ""


def test_the_sink_refuses_nothing(poisoned: Poisoned) -> None:
    assert lines(poisoned.refused) == ""


def test_every_poison_came(poisoned: Poisoned) -> None:
    """A poison that never comes proves nothing."""
    wanted = {name for vendor in ("nxcloud", "ytx", "huawei") for name in POISONS[vendor]} | {"page"}

    assert wanted <= poisoned.labels


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_shows_what_the_ledger_expects(poisoned: Poisoned, view: str) -> None:
    shown = await _rows(poisoned.db, VIEWS[view])

    assert lines(_by_poison(poisoned, compare(poisoned.expected, **{view: shown})), 30) == ""


def test_every_dead_letter_has_the_code_that_the_ledger_expects(poisoned: Poisoned) -> None:
    dead_letters = [
        {"vendor": dead_letter.vendor, "code": dead_letter.code} for dead_letter in poisoned.way.dead_letters
    ]

    assert lines(compare(poisoned.expected, dead=dead_letters), 30) == ""


async def test_both_views_tell_the_same(poisoned: Poisoned) -> None:
    assert lines(await disagreements(poisoned.db)) == ""


def _by_poison(poisoned: Poisoned, found: list[Difference]) -> list[str]:
    return sorted(f"{poisoned.cases.get(one.key[-1], '?')}: {one}" for one in found)


async def _rows(db: ClickHouse, view: str) -> list[dict[str, Any]]:
    names = [name for name, *_ in await db.query(f"DESCRIBE TABLE {db.database}.{view}")]
    rows = await db.query(f"SELECT * FROM {db.database}.{view}")
    return [dict(zip(names, row, strict=True)) for row in rows]
