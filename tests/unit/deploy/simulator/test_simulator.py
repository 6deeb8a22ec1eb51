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

from deploy.simulator.calls import parties
from deploy.simulator.calls.truth import Scenario
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS, ytx
from deploy.simulator.world import World
from schemas.facts import Role

NOW = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
BEIJING = timedelta(hours=8)
ALL = dict.fromkeys(SIMULATED_VENDORS, 1.0)
PLAIN = Mix(disorder=0, repeat=0, rebatch=0, update=0, conflict=0, broken=0, bad_element=0, compressed=0, spoilt=0)
ROUGH = Mix(repeat=0.2, rebatch=0.2, update=0.3, conflict=0.1, broken=0.1, bad_element=0.2, compressed=0.3)


def stream(*, calls: int = 300, seed: int = 7, mix: Mix = PLAIN, **vendors: float) -> list[PushRequest | Offer]:
    return list(Traffic(seed=seed, vendors=vendors or ALL, mix=mix, clock=lambda: NOW).stream(calls))


def requests(**arguments: object) -> list[PushRequest]:
    return [item for item in stream(**arguments) if isinstance(item, PushRequest)]  # type: ignore[arg-type]  # passed through


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

    def calls(at: datetime) -> set[str]:
        made = Traffic(seed=1, vendors=ALL, mix=PLAIN, clock=lambda: at).stream(200)
        return {expectation.call for item in made if isinstance(item, PushRequest) for expectation in item.expected}

    assert calls(NOW) == calls(NOW)
    assert not calls(NOW) & calls(NOW + timedelta(hours=1))


def test_every_scenario_of_every_vendor_appears() -> None:
    """A scenario that is never made proves nothing."""
    for name, vendor in SIMULATED_VENDORS.items():
        traffic = Traffic(seed=1, vendors={name: 1.0}, mix=PLAIN, clock=lambda: NOW)
        list(traffic.stream(1500))
        assert set(traffic.scenarios) == set(vendor.weights)
    assert {scenario for vendor in SIMULATED_VENDORS.values() for scenario in vendor.weights} == set(Scenario)


def test_everything_that_can_go_wrong_appears() -> None:
    """Each kind of request, each way of breaking one, and each dead letter's code."""
    made = requests(mix=ROUGH, calls=3000)
    labels = {request.label for request in made}
    assert {"record", "state", "binding", "batch", "update", "conflict"} <= labels
    assert {f"repeat of {label}" for label in ("record", "state", "binding", "batch")} <= labels
    broken = ("empty", "html", "truncated", "scalar", "stranger", "no id", "empty state")
    assert {f"broken: {name}" for name in broken} <= labels
    assert {dict(request.headers).get("Content-Encoding") for request in made} == {None, "gzip", "deflate"}
    codes = {expectation.dead for request in made for expectation in request.expected} - {""}
    assert codes == {"empty", "json", "shape", "wrong_kind", "no_id", "field"}


BROKEN = {
    "empty": "empty",
    "html": "json",
    "truncated": "json",
    "scalar": "shape",
    "stranger": "wrong_kind",
    "no id": "no_id",
    "empty state": "field",
}


def test_each_broken_body_has_its_own_code() -> None:
    """The code is that of the table of dead letters, and the body is what its name says."""
    made = [request for request in requests(mix=ROUGH, calls=3000) if request.label.startswith("broken")]
    assert {(request.label.removeprefix("broken: "), request.expected[0].dead) for request in made} == set(
        BROKEN.items()
    )
    for request in made:
        if BROKEN[request.label.removeprefix("broken: ")] in ("json", "empty"):
            with pytest.raises(json.JSONDecodeError):
                json.loads(request.body)
        else:
            json.loads(request.body)


@pytest.mark.parametrize("calls", range(1, 64, 7))
def test_a_finished_stream_has_every_record(calls: int) -> None:
    """Batches that were not full at the end are sent too."""
    traffic = Traffic(seed=5, vendors={"ytx": 1.0}, mix=PLAIN, clock=lambda: NOW)
    made = [item for item in traffic.stream(calls) if isinstance(item, PushRequest)]
    recorded = {
        expectation.call for request in made for expectation in request.expected if expectation.fact_type == "record"
    }
    assert len(recorded) == calls - traffic.scenarios.get(Scenario.STATES_ONLY, 0)


def test_a_legs_milestones_are_in_order_and_b_is_called_when_a_has_answered() -> None:
    """The invented calls are possible."""
    world = World(seed=2, vendors={"ytx": 1.0, "tencent": 1.0, "nxcloud": 1.0}, clock=lambda: NOW)
    for _ in range(500):
        made = world.advance()
        assert isinstance(made, tuple)
        for call in made:
            for leg in call.legs:
                milestones = [at for at in (leg.setup_at, leg.alerting_at, leg.answer_at, leg.end_at) if at]
                assert milestones == sorted(milestones)
            if len(call.legs) == 2 and call.leg(Role.B).setup_at:
                a, b = call.leg(Role.A), call.leg(Role.B)
                assert a.answer_at
                assert b.setup_at
                assert a.end_at
                assert a.answer_at <= b.setup_at <= a.end_at


def test_disorder_puts_records_before_states_and_states_before_each_other() -> None:
    """Traffic in order has each call's record after its states; traffic in disorder does not always."""

    def record_first(mix: Mix) -> int:
        seen: set[str] = set()
        early = 0
        for request in requests(mix=mix, ytx=1.0):
            for expectation in request.expected:
                early += expectation.kind == "callback_state" and expectation.call in seen
                seen |= {expectation.call} if expectation.kind == "callback_cdr" else set()
        return early

    assert record_first(PLAIN) == 0
    assert record_first(Mix(disorder=1.0)) > 50


def test_calls_end_shortly_before_now() -> None:
    """The simulator's calls look fresh."""
    ends = [
        expectation.columns["end_at"]
        for request in requests()
        for expectation in request.expected
        if expectation.fact_type == "record"
    ]
    assert all(0 < NOW.timestamp() * 1000 - int(end or 0) < 60_000 for end in ends)


# numbers


@pytest.mark.parametrize("make", [parties.cn_mobile, parties.privacy_number], ids=["mobile", "privacy number"])
def test_chinese_numbers_are_valid(make: object) -> None:
    """A number that its plan refuses would hide what the normaliser does with good ones."""
    rng = parties.seeded("numbers")
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(make(rng))) for _ in range(500))  # type: ignore[operator]  # one of two functions


def test_foreign_numbers_are_valid_and_from_ranges_kept_for_fiction() -> None:
    """Nobody's phone is named."""
    rng = parties.seeded("numbers")
    for _ in range(300):
        code, number = parties.foreign_mobile(rng)
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"+{code}{number}"))
        assert re.fullmatch(r"1 20255501\d\d|46 7017406\d\d|61 491570(006|15[6-9])", f"{code} {number}")


# the payloads, read as their documents say


def test_softphone_records_read_as_their_document_says() -> None:
    """Sixteen fields, epoch seconds as text, and the truth found again."""
    seen = 0
    for request in requests(nxcloud=1.0):
        fields = json.loads(request.body if request.body.isascii() else _text(request.body))
        columns = request.expected[0].columns
        assert request.path == "/v1/nxcloud/cdr"
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
    for request in requests(ytx=1.0):
        if request.label != "batch":
            continue
        items = json.loads(request.body)["cdr"]
        assert len(items) == len(request.expected)
        sizes[len(items)] += 1
        mixed += len({str(item["fid"]) for item in items}) > 1
        for item, expectation in zip(items, request.expected, strict=True):
            fid = str(item["fid"])
            fids[fid] += 1
            assert set(item) - {"stateDesc"} == fields_by_fid[fid] | {"requestid", "appid", "fid"}
            assert re.fullmatch(r"\d{29}", item["requestid"])
            assert item["requestid"] == expectation.call
            answer = item["calledstime" if fid == "4" else "stime"]
            assert _beijing_ms(answer) == expectation.columns["answer_at"]
            assert int(item["duration"]) == expectation.columns["vendor_duration_s"]
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
    for request in requests(ytx=1.0):
        if request.label != "state":
            continue
        fields = json.loads(request.body)
        columns = request.expected[0].columns
        assert list(fields) == ["requestid", "src", "dsc", "timestamp", "state"]
        assert words[fields["state"]] == columns["state"]
        assert _beijing_ms(fields["timestamp"] + ".000") == columns["event_at"]
        assert fields["dsc"][-11:] == str(columns["leg"])[-11:]
        assert fields["src"].startswith("0105550")
        seen.add(fields["state"])
    assert seen == set(words)


def test_the_broken_form_is_the_documents_own() -> None:
    """A comma is missing before a key with spaces, as in the document's example; mending it gives the same record."""
    made = requests(ytx=1.0, mix=msgspec.structs.replace(PLAIN, spoilt=1.0))
    broken = [request.body.decode() for request in made if b'"" stateDesc ":' in request.body]
    assert len(broken) > 30
    for body in broken:
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        assert json.loads(ytx.mend(body))["cdr"]


def test_privacy_rows_read_as_their_document_says() -> None:
    """The documented 26 fields in their order; a call's columns are null in a binding's row."""
    kinds: Counter[str] = Counter()
    for request in requests(huawei=1.0):
        fields = json.loads(request.body)
        expectation = request.expected[0]
        assert " ".join(fields) == (
            "id ak origNum privateNum recordFlag recordHintTone maxDuration lastMinVoice userData callDirection"
            " subscriptionId status businessType bindResponse unbindResponse bindingDuration bindTime unbindTime"
            " sessionId callinTime answerTime disconnectTime recordUrl createdAt updatedAt remark"
        )
        assert json.loads(fields["bindResponse"])["subscriptionId"] == fields["subscriptionId"]
        assert (fields["sessionId"] is None) == (expectation.fact_type == "binding")
        if expectation.fact_type == "record":
            assert (fields["callinTime"], fields["disconnectTime"]) == (
                expectation.columns["setup_at"],
                expectation.columns["end_at"],
            )
            assert fields["bindTime"] < fields["callinTime"]
        assert expectation.columns["privacy_number"] == fields["privateNum"]
        kinds[str(expectation.columns.get("binding_state", "call"))] += 1
    assert set(kinds) == {"call", "bound", "unbound"}


def test_the_oracle_does_not_lean_on_what_it_judges() -> None:
    """No file of the simulator imports the vendor pages, the normaliser or the sink."""
    judged = (
        "schemas.body",
        "schemas.vendor_kit",
        "schemas.vendors",
        "schemas.identity",
        "processors",
        "ingress",
        "sinks",
    )
    for file in (Path(__file__).parents[4] / "deploy" / "simulator").rglob("*.py"):
        assert not [name for name in _imports(file) if name.startswith(judged)], file.name


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
