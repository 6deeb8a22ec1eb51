"""Ytx: state pushes, those that are read without `Fields` too, and conferences with their participants."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.body.json_text import Marked
from schemas.errors import Undecodable
from schemas.facts import Disposition, Flag, Kind, Role, State
from schemas.vendor_kit.contract import Context
from schemas.vendors import VENDORS, ytx
from schemas.vendors import _ytx_states as states
from tests.bench.support.bodies import push_requests, pushed
from tests.support.payloads.ytx_elements import (
    CONFERENCE,
    GONE,
    STATE,
    TWO_WAY,
    VOICE,
    fact,
    fields_of,
    outcome,
)

AT: Final = datetime(2026, 3, 1, 8, tzinfo=UTC)
ODD: Final = st.sampled_from(
    [GONE, None, "", " ", "null", "NULL", "none", "0", "-1", "undefined", 7, 0, True, 1.5, [], {}, ["x"], "应答", "åº”ç­”", "a" * 70]
)  # fmt: skip
IDS: Final = st.sampled_from(["2016010000000206", "0123456789", "012345678", "ab-cd-ef-gh-ij", "abcdefghij", "１２３４５６７８９０", "ÃºÃºÃºÃºÃºÃº", " 2016010000000206 "])  # fmt: skip
NUMBERS: Final = st.sampled_from(
    ["13900008364", "01055502573", "10086", "+8613900008364", "8613900008364", "008613900008364", "1390000****", "anonymous", "139 0000 8364",
     "99999999999999", "1" * 65, "１３９００００８３６４", "²"]
)  # fmt: skip
STAMPS: Final = st.sampled_from(
    ["2026-03-01 15:59:57", "2026-03-01 15:59:57.123", "2026-03-0115:59:57", "2026-03-01 16:00:01", "2026-03-02 00:00:01", "2026-03-02 15:59:57",
     "1999-12-31 00:00:00", "1970-01-01 08:00:00", "2026-13-01 00:00:00", "1772351997", "1772351997123", " 2026-03-01 15:59:57 ", "20260301155957", "soon"]
)  # fmt: skip
WORDS: Final = st.sampled_from(["callout", "alerting", "answer", "disconnect", "Answer", "disconnect ", "hold"])
TEXTS: Final = st.sampled_from([GONE, "", *states.TEXTS, "应答|空号", "外星人", " 空号", "正常 ", "null"])
FIELDS: Final = {
    "requestid": IDS,
    "src": NUMBERS,
    "dsc": NUMBERS,
    "timestamp": STAMPS,
    "state": WORDS,
    "stateDesc": TEXTS,
}
ORDINARY: Final = {**STATE, "timestamp": "2026-03-01 15:59:57"}
ELEMENTS: Final = st.fixed_dictionaries(
    {name: values | ODD for name, values in FIELDS.items()},
    optional={"dst": NUMBERS, "appid": IDS, "fid": st.just(""), "other": st.just("x"), "requestid#1": IDS},
)
CONTEXTS: Final = st.sampled_from(
    [
        Context(received_at=AT),
        Context(received_at=AT, account="ours"),
        Context(received_at=AT, account="ours", external_ids=frozenset({"app1"}), known_ids=frozenset({"app1"})),
        Context(received_at=AT, external_ids=frozenset({"app1", "app2"})),
    ]
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *[
            pytest.param({"state": word}, {"state": state}, id=word)
            for word, state in (
                ("callout", State.SETUP),
                ("alerting", State.ALERTING),
                ("Answer", State.ANSWER),
                ("DISCONNECT ", State.RELEASE),
            )
        ],
        pytest.param(
            {"state": "disconnect", "stateDesc": "空号"},
            {"disposition": Disposition.INVALID_NUMBER, "hangup_cause": "空号", "q850": 1, "quality_flags": ()},
            id="a leg's ending, which live pushes have",
        ),
        pytest.param(
            {"state": "disconnect", "stateDesc": "应答"},
            {"disposition": Disposition.UNKNOWN, "hangup_reason": "answered"},
            id="a text alone is no answer",
        ),
        pytest.param(
            {"state": "disconnect", "stateDesc": "应答|空号"},
            {"disposition": Disposition.UNKNOWN, "hangup_cause": "应答|空号", "quality_flags": ()},
            id="a pair: which of them is this leg's is not known here",
        ),
        pytest.param(
            {"timestamp": "2018-06-04 25:00:00"},
            {"event_at": None, "quality_flags": (Flag.BAD_TIME,), "extras": {"timestamp": "2018-06-04 25:00:00"}},
            id="bad time",
        ),
        pytest.param({"timestamp": ""}, {"event_at": None, "quality_flags": (Flag.BAD_TIME,)}, id="no time"),
        pytest.param(
            {"state": "disconnect", "stateDesc": "外星人"},
            {"hangup_cause": "外星人", "quality_flags": (Flag.UNKNOWN_ENUM,)},
            id="a text that nobody knows",
        ),
        pytest.param({"src": GONE}, {"display_number": None, "quality_flags": ()}, id="no display number"),
        pytest.param({"src": "13600007556"}, {"display_number": "+8613600007556", "leg": "13600007556"}, id="S22"),
        pytest.param(
            {"dst": "1"}, {"leg": "13600007556", "quality_flags": (), "extras": {"dst": "1"}}, id="dsc and dst"
        ),
        pytest.param({"dsc": "138****8000"}, {"leg_number": "138****8000", "leg": "138****8000"}, id="masked leg"),
    ],
)
def test_state(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fact(STATE, **changes)
    assert fields_of(found, expected) == expected
    assert (found.kind, found.is_final) == (Kind.CALLBACK_STATE, False)


@pytest.mark.parametrize(
    ("ahead_min", "suspect"),
    [(0, False), (300, False), (449, False), (450, True), (480, True), (510, True), (511, False), (-480, False)],
)
def test_an_event_eight_hours_ahead_of_its_receipt_is_suspect(ahead_min: int, suspect: bool) -> None:  # noqa: FBT001 - a table's column
    """S31: a mix-up of Beijing and UTC, give or take half an hour of transport, is flagged and not mended."""
    event = datetime(2018, 6, 4, 3, 13, 4, tzinfo=UTC)
    (found,) = outcome(STATE, at=event - timedelta(minutes=ahead_min)).facts
    assert found.event_at == event
    assert (Flag.TZ_SUSPECT in found.quality_flags) is suspect


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"stime": "", "duration": "0"},
            {
                "disposition": Disposition.NO_ANSWER,
                "cost": Decimal("0.044"),
                "quality_flags": (Flag.BILLED_UNANSWERED, Flag.PLACEHOLDER, Flag.STATE_VS_TIME),
            },
            id="C16 never answered, and charged",
        ),
        pytest.param(
            {"stime": "2016-03-14 24:00:00"},
            {
                "answer_at": None,
                "disposition": Disposition.UNKNOWN,
                "billable_s": 31,
                "extras": {"stime": "2016-03-14 24:00:00"},
                "quality_flags": (Flag.BAD_TIME, Flag.PLACEHOLDER),
            },
            id="G35 answered at hour 24",
        ),
    ],
)
def test_conference(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = fact(CONFERENCE, **changes)
    assert fields_of(found, expected) == expected
    assert [leg.role for leg in found.legs] == [Role.P]


@pytest.mark.parametrize(
    "confid", ["0", 0, "00", "000000", "0.0", 0.0, "-1", "", None, pytest.param(GONE, id="gone")], ids=repr
)
def test_conference_zero_is_none(confid: Any) -> None:
    """S8: unrelated calls are not put together in it."""
    assert fact(CONFERENCE, confid=confid).conference_id == ""


@pytest.mark.parametrize("confid", ["516152", 516152, "0516152", "10", "a0"])
def test_any_other_conference_is_one(confid: Any) -> None:
    assert fact(CONFERENCE, confid=confid).conference_id == str(confid)


CALLED_IN_VAIN = {"stime": "", "duration": "0"}


@pytest.mark.parametrize(
    ("first", "second", "same_record"),
    [
        pytest.param(
            CALLED_IN_VAIN, {**CALLED_IN_VAIN, "etime": "2016-03-14 10:50:13.000"}, False, id="S13 called again, later"
        ),
        pytest.param(
            {**CALLED_IN_VAIN, "stime": "0"},
            {**CALLED_IN_VAIN, "stime": "0", "etime": "1457923813"},
            False,
            id="with never spelt 0",
        ),
        pytest.param(
            {**CALLED_IN_VAIN, "stime": None},
            {**CALLED_IN_VAIN, "stime": None, "etime": "n/a"},
            False,
            id="with an end that cannot be read",
        ),
        pytest.param(
            CALLED_IN_VAIN,
            {**CALLED_IN_VAIN, "tel": "15801445466", "etime": "2016-03-14 10:50:13.000"},
            False,
            id="another phone",
        ),
        pytest.param(CALLED_IN_VAIN, CALLED_IN_VAIN, True, id="sent twice"),
        pytest.param(CALLED_IN_VAIN, {**CALLED_IN_VAIN, "stime": GONE}, True, id="never in another spelling"),
        pytest.param(
            CALLED_IN_VAIN,
            {**CALLED_IN_VAIN, "stime": "0", "etime": "1457923453000"},
            True,
            id="the end in another spelling",
        ),
        pytest.param(
            CALLED_IN_VAIN,
            {**CALLED_IN_VAIN, "singleoriamount": "0.1"},
            True,
            id="another fee is another content of the same",
        ),
        pytest.param({}, {"etime": "2016-03-14 10:50:13.000"}, True, id="C05 a participant is known by the answer"),
    ],
)
def test_who_did_not_answer_is_told_by_the_end(
    first: dict[str, Any], second: dict[str, Any], *, same_record: bool
) -> None:
    assert (fact(CONFERENCE, **first).fact_id == fact(CONFERENCE, **second).fact_id) is same_record


@pytest.mark.parametrize(
    ("changes", "cost", "flags"),
    [
        pytest.param({"oriamount": "0.09"}, "0.044", {Flag.FIELD_CONFLICT}, id="A5 two fees"),
        pytest.param({"oriamount": "0.044"}, "0.044", set(), id="the same fee twice"),
        pytest.param({"oriamount": 0.044}, "0.044", set(), id="the same fee as a number"),
        pytest.param({"oriamount": "￥0.044"}, "0.044", set(), id="the same fee with its sign"),
        pytest.param({"oriamount": ""}, "0.044", set(), id="the other is blank"),
        pytest.param({"oriamount": "$0.044"}, "0.044", {Flag.FIELD_CONFLICT}, id="the other in dollars"),
        pytest.param({"oriamount": "free"}, "0.044", {Flag.FIELD_CONFLICT}, id="the other cannot be read"),
        pytest.param({"singleoriamount": GONE, "oriamount": "0.09"}, "0.09", {Flag.SCHEMA_DRIFT}, id="C11 the other alone"),
        pytest.param({"singleoriamount": " ", "oriamount": "0.09"}, "0.09", {Flag.SCHEMA_DRIFT}, id="its own is blank"),
        pytest.param({"singleoriamount": "0", "oriamount": "0.09"}, "0", {Flag.FIELD_CONFLICT}, id="its own is nothing"),
        pytest.param({"singleoriamount": "$1", "oriamount": "0.09"}, None, {Flag.CURRENCY_SUSPECT, Flag.FIELD_CONFLICT}, id="its own in dollars"),
    ],
)  # fmt: skip
def test_a_participants_fee_is_its_own(changes: dict[str, Any], cost: str | None, flags: set[Flag]) -> None:
    found = fact(CONFERENCE, **changes)
    assert found.cost == (None if cost is None else Decimal(cost))
    assert set(found.quality_flags) - {Flag.PLACEHOLDER} == flags


@pytest.mark.parametrize("base", [VOICE, TWO_WAY, CONFERENCE], ids=["voice", "two-way", "conference"])
@pytest.mark.parametrize(
    ("amount", "flag"),
    [
        ("1e9", Flag.RANGE_ERROR), ("500000000000", Flag.RANGE_ERROR), (-0.01, Flag.RANGE_ERROR), (100_000.01, Flag.RANGE_ERROR),
        ("$2.94", Flag.CURRENCY_SUSPECT), ("2.94 USD", Flag.CURRENCY_SUSPECT), ("€2.94", Flag.CURRENCY_SUSPECT),
        ("abc", Flag.TYPE_DRIFT), ("NaN", Flag.TYPE_DRIFT), (True, Flag.TYPE_DRIFT),
    ],
)  # fmt: skip
def test_a_fee_that_is_not_known_is_null_and_kept(base: dict[str, Any], amount: Any, flag: Flag) -> None:
    """A3, A4, P1: a cost that came is not missing."""
    name = "singleoriamount" if base is CONFERENCE else "oriamount"
    found = fact(base, **{name: amount})
    assert (found.cost, found.currency, found.cost_source) == (None, "", "")
    assert flag in found.quality_flags
    assert Flag.COST_MISSING not in found.quality_flags
    assert found.extras[name] == {True: "true"}.get(amount, str(amount))


def mapped(element: Any, ctx: Context) -> str:
    try:
        return repr(ytx._normalise(element, ctx))
    except Undecodable as exc:
        return f"{exc.dead_code} {exc}"


def check(element: dict[str, Any], ctx: Context) -> bool:
    """Holds both ways against each other; returns if the element is an ordinary state."""
    read = states.ordinary_state(element, ytx._BARE_STATE, ctx)
    # An object of another type is read by `Fields`.
    carefully = mapped(Marked(element, frozenset()), ctx)
    assert mapped(element, ctx) == carefully
    return read is not None


@given(ELEMENTS, CONTEXTS)
@settings(max_examples=1500)
def test_anything_like_a_state(element: dict[str, Any], ctx: Context) -> None:
    check({name: value for name, value in element.items() if value is not GONE}, ctx)


@given(st.sampled_from([{}, {"stateDesc": "空号"}]), st.data(), CONTEXTS)
@settings(max_examples=1500)
def test_states_with_one_odd_field(more: dict[str, Any], data: st.DataObject, ctx: Context) -> None:
    element = {**ORDINARY, **more}
    name = data.draw(st.sampled_from(sorted({*element, "stateDesc", "dst"})))
    element[name] = data.draw(FIELDS.get(name, NUMBERS) | ODD)
    check({name: value for name, value in element.items() if value is not GONE}, ctx)


@pytest.mark.parametrize("element", [[], [[1], 2, 3, 4, 5], 5, None, "state", {}, {"state": "answer"}])
def test_what_is_no_state_is_left_to_others(element: Any) -> None:
    assert states.ordinary_state(element, ytx._BARE_STATE, Context(received_at=AT)) is None


def test_ordinary_states_are_read_quickly() -> None:
    assert check(STATE, Context(received_at=AT))
    assert check({**STATE, "stateDesc": "空号"}, Context(received_at=AT))
    elements = VENDORS["ytx"].callbacks[0].elements
    found = []
    for keyed in pushed(push_requests(100, "ytx")):
        if b'"state"' in keyed.raw.body:
            (element,) = elements(json.loads(keyed.raw.body)).items
            found.append(check(element, Context(received_at=keyed.raw.received_at)))
    assert len(found) > 100
    assert all(found)


def test_flags_of_numbers_and_times_are_the_facts() -> None:
    element = {**STATE, "timestamp": "2018-06-04 13:00:00", "src": "99999999999999"}
    read = states.ordinary_state(element, ytx._BARE_STATE, Context(received_at=AT))
    assert read is not None
    assert read.fact.quality_flags == (Flag.NUMBER_UNVERIFIED,)
