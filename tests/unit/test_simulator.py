"""The oracle itself is tested: it must be repeatable, complete, true to the vendors' documents, and able to fail."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import phonenumbers
import pytest

from deploy.simulator import people, render_ytx
from deploy.simulator.compare import compare, compare_counts
from deploy.simulator.expected import Counts, Expected, Row, expect
from deploy.simulator.ledger import Entry, Ledger, read
from deploy.simulator.sends import Offer, Send
from deploy.simulator.told import Told
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.truth import Scenario
from deploy.simulator.world import VENDORS, WEIGHTS

NOW = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
BEIJING = timedelta(hours=8)
ALL = dict.fromkeys(VENDORS, 1.0)
PLAIN = Mix(disorder=0, repeat=0, rebatch=0, update=0, conflict=0, broken=0, bad_element=0, compressed=0, spoilt=0)
ROUGH = Mix(repeat=0.2, rebatch=0.2, update=0.3, conflict=0.1, broken=0.1, bad_element=0.2, compressed=0.3)


def stream(*, calls: int = 300, seed: int = 7, mix: Mix = PLAIN, **vendors: float) -> list[Send | Offer]:
    return list(Traffic(seed=seed, vendors=vendors or ALL, mix=mix, clock=lambda: NOW).stream(calls))


def sends(**arguments: object) -> list[Send]:
    return [item for item in stream(**arguments) if isinstance(item, Send)]  # type: ignore[arg-type]  # passed through


def ledger(items: list[Send | Offer]) -> list[Entry]:
    return [Entry(vendor=item.vendor, label=item.label, told=item.told) for item in items if isinstance(item, Send)]


# the stream


def test_the_same_seed_and_clock_give_the_same_bytes_in_the_same_order() -> None:
    """Whoever finds a difference can make it again from the seed."""
    assert stream(mix=ROUGH) == stream(mix=ROUGH)


@pytest.mark.parametrize("change", [{"seed": 8}, {"mix": PLAIN}], ids=["another seed", "another mix"])
def test_other_arguments_give_another_stream(change: dict[str, object]) -> None:
    """The stream is a function of all of its arguments."""
    assert stream(mix=ROUGH) != stream(**({"mix": ROUGH} | change))  # type: ignore[arg-type]  # a table of arguments


def test_a_later_run_with_the_same_seed_makes_other_calls() -> None:
    """Kept data of an earlier run must not meet its ids with new times."""
    runs = [
        {t.call for s in Traffic(seed=1, vendors=ALL, mix=PLAIN, clock=lambda at=at: at).stream(200) if isinstance(s, Send) for t in s.told}
        for at in (NOW, NOW + timedelta(hours=1))
    ]  # fmt: skip
    assert runs[0]
    assert not runs[0] & runs[1]


def test_every_scenario_of_every_vendor_appears() -> None:
    """A scenario that is never made proves nothing."""
    for vendor, weights in WEIGHTS.items():
        traffic = Traffic(seed=1, vendors={vendor: 1.0}, mix=PLAIN, clock=lambda: NOW)
        list(traffic.stream(1500))
        assert set(traffic.scenarios) == set(weights)
    assert {scenario for weights in WEIGHTS.values() for scenario in weights} == set(Scenario)


def test_everything_that_can_go_wrong_appears() -> None:
    """Each kind of request, each way of breaking one, and each dead letter's code."""
    made = sends(mix=ROUGH, calls=3000)
    labels = {send.label for send in made}
    assert {"record", "state", "binding", "batch", "update", "conflict"} <= labels
    assert {f"repeat of {label}" for label in ("record", "state", "binding", "batch")} <= labels
    broken = ("empty", "html", "truncated", "scalar", "stranger", "no id", "empty state")
    assert {f"broken: {name}" for name in broken} <= labels
    assert {dict(send.headers).get("Content-Encoding") for send in made} == {None, "gzip", "deflate"}
    codes = {told.dead for send in made for told in send.told} - {""}
    assert codes == {"empty", "json", "shape", "wrong_kind", "no_id", "field"}


def test_disorder_puts_records_before_states_and_states_before_each_other() -> None:
    """In order: each call's record comes after its states; in disorder: not always."""

    def record_first(mix: Mix) -> int:
        seen: set[str] = set()
        early = 0
        for send in sends(mix=mix, ytx=1.0):
            for told in send.told:
                early += told.kind == "callback_state" and told.call in seen
                seen |= {told.call} if told.kind == "callback_cdr" else set()
        return early

    assert record_first(PLAIN) == 0
    assert record_first(Mix(disorder=1.0)) > 50


def test_calls_end_shortly_before_now() -> None:
    """What the simulator sends looks fresh."""
    ends = [told.columns["end_at"] for send in sends() for told in send.told if told.fact_type == "record"]
    assert all(0 < NOW.timestamp() * 1000 - int(end or 0) < 60_000 for end in ends)


# numbers


@pytest.mark.parametrize("make", [people.cn_mobile, people.privacy_number], ids=["mobile", "privacy number"])
def test_chinese_numbers_are_valid(make: object) -> None:
    """A number that its plan refuses would hide what the normaliser does with good ones."""
    rng = people.seeded("numbers")
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(make(rng))) for _ in range(500))  # type: ignore[operator]  # one of two functions


def test_foreign_numbers_are_valid_and_from_ranges_kept_for_fiction() -> None:
    """Nobody's phone is named."""
    rng = people.seeded("numbers")
    for _ in range(300):
        code, number = people.foreign_mobile(rng)
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{code}{number}"))
        assert re.fullmatch(r"1 20255501\d\d|46 7017406\d\d|61 491570(006|15[6-9])", f"{code} {number}")


# the payloads, read as their documents say


def test_softphone_records_read_as_their_document_says() -> None:
    """Sixteen fields, epoch seconds as text, and the truth found again."""
    seen = 0
    for send in sends(nxcloud=1.0):
        fields = json.loads(send.body if send.body.isascii() else _text(send.body))
        columns = send.told[0].columns
        assert send.path == "/v1/nxcloud/cdr"
        assert set(fields) | {"answer_time", "record_url"} == set(NXCLOUD_FIELDS)
        assert int(fields["start_time"]) * 1000 == columns["setup_at"]
        assert int(fields["end_time"]) * 1000 == columns["end_at"]
        assert int(fields.get("answer_time") or 0) * 1000 == (columns["answer_at"] or 0)
        assert fields["direction"] == {"outbound": 1, "inbound": 0}[str(columns["direction"])]
        assert int(fields["duration"]) == columns["billable_s"]
        assert fields["hangup_cause"] == columns["hangup_cause"]
        seen += fields.get("answer_time") in (None, "", "0")
    assert 0 < seen < 300


NXCLOUD_FIELDS = (
    "sessionid", "username", "mobile_name", "sipid", "orderid", "code", "phone", "show_phone", "duration", "direction",
    "record", "record_url", "start_time", "answer_time", "end_time", "hangup_cause",
)  # fmt: skip


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("gb18030")


def test_two_way_batches_read_as_their_document_says() -> None:
    """Batches of one to ten that mix three kinds, with times in Beijing's zone."""
    fields_by_fid = {
        "2": {"tel", "stime", "etime", "duration", "oriamount"},
        "4": {"caller", "called", "callerstime", "calleretime", "calledstime", "calledetime", "tapesurl", "duration", "oriamount", "customParm"},
        "5": {"tel", "stime", "etime", "confid", "duration", "singleoriamount", "customParm", "tapesurl"},
    }  # fmt: skip
    fids: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    mixed = 0
    for send in sends(ytx=1.0):
        if send.label != "batch":
            continue
        items = json.loads(send.body)["cdr"]
        assert len(items) == len(send.told)
        sizes[len(items)] += 1
        mixed += len({str(item["fid"]) for item in items}) > 1
        for item, told in zip(items, send.told, strict=True):
            fid = str(item["fid"])
            fids[fid] += 1
            assert set(item) - {"stateDesc"} == fields_by_fid[fid] | {"requestid", "appid", "fid"}
            assert re.fullmatch(r"\d{29}", item["requestid"])
            assert item["requestid"] == told.call
            answer = item["calledstime" if fid == "4" else "stime"]
            assert _beijing_ms(answer) == told.columns["answer_at"]
            assert int(item["duration"]) == told.columns["vendor_duration_s"]
    assert set(fids) == {"2", "4", "5"}
    assert set(sizes) == set(range(1, 11))
    assert mixed > 5


def _beijing_ms(text: str) -> int | None:
    at = datetime.strptime(f"{text}+0000", "%Y-%m-%d %H:%M:%S.%f%z") if text else None
    return round((at - BEIJING).timestamp() * 1000) if at else None


def test_state_pushes_read_as_their_document_says() -> None:
    """A bare object; `src` is the platform's number and `dsc` the phone that rings."""
    words = {"callout": "setup", "alerting": "alerting", "answer": "answer", "disconnect": "release"}
    seen = set()
    for send in sends(ytx=1.0):
        if send.label != "state":
            continue
        fields = json.loads(send.body)
        columns = send.told[0].columns
        assert list(fields) == ["requestid", "src", "dsc", "timestamp", "state"]
        assert words[fields["state"]] == columns["state"]
        assert _beijing_ms(fields["timestamp"] + ".000") == columns["event_at"]
        assert fields["dsc"][-11:] == str(columns["leg"])[-11:]
        assert fields["src"].startswith("0105550")
        seen.add(fields["state"])
    assert seen == set(words)


def test_the_broken_form_is_the_documents_own() -> None:
    """The printed example lacks a comma before a key with spaces: so does this, and mending it gives the same record."""
    made = sends(ytx=1.0, mix=msgspec.structs.replace(PLAIN, spoilt=1.0))
    broken = [send.body.decode() for send in made if b'"" stateDesc ":' in send.body]
    assert len(broken) > 30
    for body in broken:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        assert json.loads(render_ytx.mend(body))["cdr"]


def test_privacy_rows_read_as_their_document_says() -> None:
    """The documented 26 fields in their order; a call's columns are null in a binding's row."""
    kinds: Counter[str] = Counter()
    for send in sends(huawei=1.0):
        fields = json.loads(send.body)
        told = send.told[0]
        assert " ".join(fields) == (
            "id ak origNum privateNum recordFlag recordHintTone maxDuration lastMinVoice userData callDirection"
            " subscriptionId status businessType bindResponse unbindResponse bindingDuration bindTime unbindTime"
            " sessionId callinTime answerTime disconnectTime recordUrl createdAt updatedAt remark"
        )
        assert json.loads(fields["bindResponse"])["subscriptionId"] == fields["subscriptionId"]
        assert (fields["sessionId"] is None) == (told.fact_type == "binding")
        if told.fact_type == "record":
            assert (fields["callinTime"], fields["disconnectTime"]) == (
                told.columns["setup_at"],
                told.columns["end_at"],
            )
            assert fields["bindTime"] < fields["callinTime"]
        kinds[str(told.columns.get("binding_state", "call"))] += 1
    assert set(kinds) == {"call", "bound", "unbound"}


# the ledger


@pytest.mark.parametrize("vendor", ["nxcloud", "ytx", "huawei"])
def test_the_ledger_balances_and_knows_each_fate(vendor: str) -> None:
    """Law 7 holds for what was sent, with something of everything in it."""
    expected = expect(ledger(stream(mix=ROUGH, calls=800, **{vendor: 1.0})))
    counts = expected.counts[vendor]
    assert counts.balanced
    assert min(counts.facts, counts.duplicates, counts.dead) > 0
    assert sum(expected.dead[vendor].values()) == counts.dead


def test_the_ledger_expects_what_a_plain_stream_tells() -> None:
    """Without repeats and accidents every element is a fact of its own."""
    items = stream(mix=PLAIN)
    elements = Counter(told.vendor for entry in ledger(items) for told in entry.told)
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

    def state(leg: str, what: str, offset_s: int) -> Told:
        columns = {"leg": leg, "state": what, "event_at": at + offset_s * 1000}
        return Told(vendor="ytx", kind="callback_state", fact_type="state", call="206", identity=f"{leg}{what}", content="1", columns=columns)  # fmt: skip

    record = Told(
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
    entries = [Entry(vendor="ytx", label="x", told=(told,)) for told in (record, *pushes)]
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
        "talk_ms": 60_000,
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
    assert compare(expected, cdr=[row for row in shown if row["vendor_call_id"] != lost.told[0].call]) == []
    counts = expected.counts["nxcloud"]
    assert (counts.elements, counts.unsure) == (2, 2)
    assert compare_counts(expected, {"nxcloud": Counts(elements=3, facts=3)}) == []
    assert compare_counts(expected, {"nxcloud": Counts(elements=5, facts=5)}) != []


def test_a_changed_duration_is_a_conflict_and_a_late_recording_is_not() -> None:
    """Disputed columns are not compared; the flag is."""
    mix = msgspec.structs.replace(PLAIN, update=0.5, conflict=0.5)
    rows = {row.key[2]: row for row in expect(ledger(stream(nxcloud=1.0, mix=mix))).cdr}
    told = [(send.label, send.told[0].call) for send in sends(nxcloud=1.0, mix=mix)]
    conflicts = {call for label, call in told if label == "conflict"}
    updates = {call for label, call in told if label == "update"}
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


def test_the_oracle_does_not_lean_on_what_it_judges() -> None:
    """No file of the simulator imports the vendor pages, the normaliser or the sink."""
    judged = ("schemas.vendors", "schemas.identity", "processors", "ingress", "sinks")
    for file in (Path(__file__).parents[2] / "deploy" / "simulator").glob("*.py"):
        assert not [name for name in _imports(file) if name.startswith(judged)], file.name


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
