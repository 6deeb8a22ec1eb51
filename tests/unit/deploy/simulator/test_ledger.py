"""The ledger's expectations balance, do not depend on order, and the comparison can fail."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from deploy.simulator.expectation import Columns, Expectation
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.sending.ledger import Ledger, LedgerEntry, read
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS
from tests.oracle.compare import compare, compare_counts
from tests.oracle.expected import Counts, Expected, Row, expect

NOW = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
ALL = dict.fromkeys(SIMULATED_VENDORS, 1.0)
PLAIN = Mix(disorder=0, repeat=0, rebatch=0, update=0, conflict=0, broken=0, bad_element=0, compressed=0, spoilt=0)
ROUGH = Mix(repeat=0.2, rebatch=0.2, update=0.3, conflict=0.1, broken=0.1, bad_element=0.2, compressed=0.3)


def run(vendors: Mapping[str, float], *, calls: int = 300, mix: Mix = PLAIN) -> list[PushRequest | Offer]:
    return list(Traffic(seed=7, vendors=vendors, mix=mix, clock=lambda: NOW).stream(calls))


def stream(*, calls: int = 300, mix: Mix = PLAIN, **vendors: float) -> list[PushRequest | Offer]:
    return run(vendors or ALL, calls=calls, mix=mix)


def requests(**arguments: object) -> list[PushRequest]:
    return [item for item in stream(**arguments) if isinstance(item, PushRequest)]  # type: ignore[arg-type]  # passed through


def ledger(items: list[PushRequest | Offer]) -> list[LedgerEntry]:
    return [
        LedgerEntry(vendor=item.vendor, label=item.label, expected=item.expected)
        for item in items
        if isinstance(item, PushRequest)
    ]


# the ledger


@pytest.mark.parametrize("vendor", ["nxcloud", "ytx", "huawei"])
def test_the_ledger_balances_and_knows_each_outcome(vendor: str) -> None:
    """The books balance (guarantee 7) for a stream with something of everything in it."""
    expected = expect(ledger(run({vendor: 1.0}, mix=ROUGH, calls=800)))
    counts = expected.counts[vendor]
    assert counts.balanced
    assert min(counts.facts, counts.duplicates, counts.dead) > 0
    assert sum(expected.dead[vendor].values()) == counts.dead


def test_the_ledger_expects_each_element_of_a_plain_stream() -> None:
    """Without repeats and accidents every element is a fact of its own."""
    items = stream(mix=PLAIN)
    elements = Counter(expectation.vendor for entry in ledger(items) for expectation in entry.expected)
    expected = expect(ledger(items))
    assert {vendor: counts.facts for vendor, counts in expected.counts.items()} == dict(elements)
    assert all(counts.duplicates == counts.dead == 0 for counts in expected.counts.values())


def test_the_order_of_the_ledger_does_not_matter() -> None:
    """Requests overlap: acknowledgements come in any order."""
    entries = ledger(stream(mix=ROUGH))
    forth, back = expect(entries), expect(entries[::-1])
    assert forth.counts == back.counts
    for view in ("cdr", "events", "bindings", "timelines"):
        assert sorted(map(repr_row, getattr(forth, view))) == sorted(map(repr_row, getattr(back, view)))


def repr_row(row: Row) -> str:
    legs = sorted(repr(sorted(leg.items(), key=str)) for leg in row.legs)
    return repr((row.key, sorted(row.columns.items(), key=str), legs))


def test_the_ledger_is_the_same_after_a_file(tmp_path: Path) -> None:
    """Another process can check; a half-written last line is not read."""
    file = tmp_path / "ledger.jsonl"
    book = Ledger(file)
    for entry in ledger(stream(mix=ROUGH, calls=100)):
        book.add(entry)
    book.close()
    with file.open("ab") as more:
        more.write(b'{"vendor":"ytx","lab')
    assert list(read(file)) == book.entries


def test_the_document_examples_make_the_documents_timeline() -> None:
    """A two-way call worked out by hand: states give set-up and ringing, the record answers and ends."""
    at = 1_454_383_176_000
    a, b = "+8613810603954", "+8618810207016"

    def state(leg: str, what: str, offset_s: int) -> Expectation:
        columns: Columns = {"leg": leg, "state": what, "event_at": at + offset_s * 1000}
        return Expectation(vendor="ytx", kind="callback_state", fact_type="state", call="206", identity=f"{leg}{what}", content="1", columns=columns)  # fmt: skip

    record = Expectation(
        vendor="ytx",
        kind="callback_cdr",
        fact_type="record",
        call="206",
        identity="r",
        content="1",
        columns={"direction": "callback", "disposition": "answered", "answer_at": at + 4000, "end_at": at + 64_000, "is_final": True},
        legs=(
            {"role": "A", "number": a, "answer_at": at, "end_at": at + 60_000},
            {"role": "B", "number": b, "answer_at": at + 4000, "end_at": at + 64_000},
        ),
    )  # fmt: skip
    pushes = [state(a, "setup", -9), state(a, "alerting", -6), state(a, "answer", 0), state(a, "release", 61)]
    pushes += [state(b, "setup", 0), state(b, "alerting", 1), state(b, "answer", 5), state(b, "release", 65)]
    entries = [LedgerEntry(vendor="ytx", label="x", expected=(expectation,)) for expectation in (record, *pushes)]
    (row,) = expect(entries).timelines
    assert row.columns == {
        "direction": "callback",
        "disposition": "answered",
        "has_record": True,
        "has_states": True,
        "is_final": True,
        "setup_at": at - 9000,
        "alerting_at": at + 1000,
        "answer_at": at + 4000,
        "end_at": at + 64_000,
        "pdd_ms": 1000,
        "ring_ms": 3000,
        "talk_ms": 56_000,
    }
    assert [(leg["role"], leg["setup_at"], leg["end_at"]) for leg in row.legs] == [
        ("A", at - 9000, at + 60_000),
        ("B", at, at + 64_000),
    ]


def test_a_send_without_an_answer_makes_its_rows_optional() -> None:
    """An answer can be lost after the body was stored: then both outcomes are right."""
    entries = ledger(stream(nxcloud=1.0, calls=3))
    lost = msgspec.structs.replace(entries[0], acked=False, lost_answers=2)
    expected = expect([lost, *entries[1:]])
    assert [row.optional for row in sorted(expected.cdr, key=lambda row: row.optional)] == [False, False, True]
    shown = [as_shown(row, "v_cdr") for row in expect(entries).cdr]
    assert compare(expected, cdr=shown) == []
    assert compare(expected, cdr=[row for row in shown if row["vendor_call_id"] != lost.expected[0].call]) == []
    counts = expected.counts["nxcloud"]
    assert (counts.elements, counts.unsure) == (2, 2)
    assert compare_counts(expected, {"nxcloud": Counts(elements=3, facts=3)}) == []
    assert compare_counts(expected, {"nxcloud": Counts(elements=5, facts=5)}) != []


def test_a_changed_duration_is_a_conflict_and_a_late_recording_is_not() -> None:
    """Disputed columns are not compared; the flag is."""
    mix = msgspec.structs.replace(PLAIN, update=0.5, conflict=0.5)
    rows = {row.key[2]: row for row in expect(ledger(stream(nxcloud=1.0, mix=mix))).cdr}
    labels = [(request.label, request.expected[0].call) for request in requests(nxcloud=1.0, mix=mix)]
    conflicts = {call for label, call in labels if label == "conflict"}
    updates = {call for label, call in labels if label == "update"}
    assert conflicts
    assert updates
    for call in conflicts:
        assert rows[call].columns["conflict_final"] is True
        assert "billable_s" not in rows[call].columns
    for call in updates:
        assert rows[call].columns["conflict_final"] is False
        assert rows[call].columns["recording_state"] == "available"


# the comparison


_KEY_COLUMNS = {
    "v_cdr": ("vendor", "kind", "vendor_call_id"),
    "call_events": ("vendor", "vendor_call_id"),
    "v_bindings": ("vendor", "binding_id"),
    "v_timelines": ("vendor", "vendor_call_id"),
}


def as_shown(row: Row, view: str) -> dict[str, object]:
    """The row as a database's client gives it."""
    shown: dict[str, object] = dict(zip(_KEY_COLUMNS[view], row.key, strict=True))
    for name, value in row.columns.items():
        if name == "conflict_final":
            shown["quality_flags"] = ["conflict_final"] if value else []
        elif name.endswith("_at") and isinstance(value, int):
            shown[name] = datetime.fromtimestamp(value / 1000, UTC)
        else:
            shown[name] = value
    for name in row.legs[0] if row.legs else ():
        values = [leg[name] for leg in reversed(row.legs)]
        shown[f"legs.{name}"] = [
            datetime.fromtimestamp(int(v) / 1000, UTC) if name.endswith("_at") and v is not None else v for v in values
        ]
    return shown


def views(expected: Expected) -> dict[str, list[dict[str, object]]]:
    return {
        "cdr": [as_shown(row, "v_cdr") for row in expected.cdr],
        "events": [as_shown(row, "call_events") for row in expected.events],
        "bindings": [as_shown(row, "v_bindings") for row in expected.bindings],
        "timelines": [as_shown(row, "v_timelines") for row in expected.timelines],
        "dead": [{"vendor": v, "code": c} for v, codes in expected.dead.items() for c, n in codes.items() for _ in range(n)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def rough() -> Expected:
    return expect(ledger(stream(mix=ROUGH, calls=400)))


def test_a_right_result_has_no_differences(rough: Expected) -> None:
    """Rows, legs in any order, dead letters and counts."""
    assert compare(rough, **views(rough)) == []
    assert compare_counts(rough, rough.counts) == []


@pytest.mark.parametrize("view", ["cdr", "events", "bindings", "timelines", "dead"])
def test_a_lost_row_and_a_doubled_row_are_differences(rough: Expected, view: str) -> None:
    """The oracle can fail."""
    shown = views(rough)[view]
    assert len(compare(rough, **{view: shown[1:]})) == 1
    assert len(compare(rough, **{view: [*shown, shown[0]]})) == 1


@pytest.mark.parametrize(
    ("view", "column"),
    [
        ("cdr", "answer_at"),
        ("cdr", "disposition"),
        ("cdr", "cost"),
        ("cdr", "vendor_duration_s"),
        ("events", "event_at"),
        ("bindings", "binding_state"),
        ("timelines", "ring_ms"),
        ("timelines", "has_states"),
        ("timelines", "legs.number"),
    ],
)
def test_a_wrong_value_is_a_difference_that_names_it(rough: Expected, view: str, column: str) -> None:
    """Whoever reads it knows the row, the column and both values."""
    shown = views(rough)[view]
    row = next(row for row in shown if row.get(column) is not None)
    row[column] = _other(row[column])
    (difference,) = compare(rough, **{view: shown})
    assert column.partition(".")[0] in str(difference)
    assert str(row["vendor"]) in str(difference)


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, datetime):
        return value + timedelta(seconds=1)
    if isinstance(value, list):
        return ["+8613000000000", *value[1:]]
    return value + 1 if isinstance(value, int) else {"0.06": "0.07"}.get(str(value), f"{value}1")
