"""Amounts, times and sizes beyond all bounds: the field is NULL and flagged, or the element is one dead letter.

Nothing else may wait for it.
"""

import gzip
import json
import random
import zlib
from datetime import timedelta
from typing import Final

import msgspec

from deploy.simulator.calls import parties
from deploy.simulator.calls.truth import Scenario, TrueCall
from deploy.simulator.expectation import Expectation, dead
from deploy.simulator.poison.ingredients import (
    PoisonTable,
    VendorFields,
    batch,
    expected_of,
    fields_of,
    softphone,
    text_of,
    to_huawei,
    to_nxcloud,
    to_ytx,
    two_way,
    with_headers,
)
from deploy.simulator.requests import PushRequest
from deploy.simulator.vendors import expected_record, huawei, ytx
from deploy.simulator.world import World
from schemas.facts import FactType, Kind, Role, State

_ABSURD_YUAN: Final = "500000000000"
_ABSURD_S: Final = 2**31
_MEMBERS: Final = 20_000
_ELEMENTS: Final = 200_000
_LEVELS: Final = 5_000
_LONG: Final = 200_000


def _conference(world: World) -> tuple[TrueCall, ...]:
    made = world.make("ytx", Scenario.CONFERENCE)
    assert isinstance(made, tuple), "a binding is no conference"
    return made[:2]


def _absurd_money(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """Two participants whose costs together no column can hold."""
    legs = _conference(world)
    elements = [fields_of(leg, rng) | {"singleoriamount": _ABSURD_YUAN} for leg in legs]
    expected = [expected_of(leg, "currency", cost=None, flag_range_error=True) for leg in legs]
    return (to_ytx(batch(*elements), *expected),)


def _absurd_seconds(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """Two participants whose seconds together no column can hold."""
    legs = _conference(world)
    elements = [fields_of(leg, rng) | {"duration": str(_ABSURD_S)} for leg in legs]
    expected = [expected_of(leg, "vendor_duration_s", billable_s=None, flag_range_error=True) for leg in legs]
    return (to_ytx(batch(*elements), *expected),)


def _participant_of_2000(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """One participant joined in the year 2000: nothing is measured from it, and the conference is there."""
    legs = _conference(world)
    first, *others = [fields_of(leg, rng) for leg in legs]
    expected = [expected_record(leg) for leg in legs]
    measured = ("answer_at", "end_at", "talk_ms", "disposition", "vendor_duration_s", "billable_s")
    expected[0] = msgspec.structs.replace(expected_of(legs[0], *measured), legs=())
    return (to_ytx(batch(first | {"stime": "2000-01-01 00:00:00.000"}, *others), *expected),)


def _ringing_last_year(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """One of the states has B's phone alerting more than a year before it answered."""
    call, fields = two_way(world, rng)
    call = msgspec.structs.replace(call, has_states=True)
    pushes = []
    for leg, state, at, body in ytx.states(call, rng):
        if (leg.role, state) == (Role.B, State.ALERTING):
            wrong_at = at - timedelta(days=rng.randint(400, 4000))
            wrong = ytx.state_push(call, parties.national(leg.number), state, wrong_at)
            pushes.append(
                to_ytx(wrong, msgspec.structs.replace(ytx.expected_state(call, leg, state, wrong_at), misleads=True))
            )
        else:
            pushes.append(to_ytx(body, ytx.expected_state(call, leg, state, at)))
    return (*pushes, to_ytx(batch(fields), expected_record(call)))


def _billed_too_much(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    call, fields = two_way(world, rng)
    sent = fields | {"oriamount": rng.choice(("1e9", "100000.01", "-4e8", "99999999999"))}
    return (to_ytx(batch(sent), expected_of(call, "currency", cost=None, flag_range_error=True)),)


def _other_currency(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    call, fields = two_way(world, rng)
    sent = fields | {"oriamount": rng.choice(("$2.94", "2.94 USD", "€2.94"))}
    return (to_ytx(batch(sent), expected_of(call, "currency", cost=None, flag_currency_suspect=True)),)


def _talked_for_68_years(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    call, fields = softphone(world, rng)
    claimed = expected_of(call, "vendor_duration_s", billable_s=None, flag_range_error=True)
    return (to_nxcloud(text_of(fields | {"duration": _ABSURD_S}).encode(), claimed),)


def _exponent(_world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A number of few bytes that would be three billion digits."""
    session = parties.call_uuid(rng)
    body = b'{"sessionid":"%b","show_phone":"1","start_time":1e2999999999}' % session.encode()
    return (to_nxcloud(body, _row(session)),)


def _digits(_world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A country code and a time zone that cannot be, and a start of very many digits."""
    session = parties.call_uuid(rng)
    fields: VendorFields = {
        "sessionid": session,
        "show_phone": "1",
        "code": "8" * 4400,
        "answer_time": "2026-03-03 06:22:10+99:99",
    }
    body = text_of(fields)[:-1].encode() + b',"start_time":' + b"7" * 300_000 + b"}"
    return (to_nxcloud(body, _row(session)),)


def _row(session: str) -> Expectation:
    """The expectation of a softphone's row of which only the id is known."""
    return Expectation(
        vendor="nxcloud",
        kind=Kind.SOFTPHONE_CDR,
        fact_type=FactType.RECORD,
        call=session,
        identity=f"{Kind.SOFTPHONE_CDR}||{session}",
        content="poison",
        columns={"setup_at": None, "answer_at": None, "cost": None},
    )


def _members(_world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """Empty compressed members one after the other, compressed once more."""
    body = zlib.compress(zlib.compress(b"") * (_MEMBERS + rng.randrange(100)))
    request = to_ytx(body, dead("ytx", "inflate"))
    return (with_headers(request, *request.headers, ("Content-Encoding", "deflate, deflate")),)


def _many_elements(_world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """Hundreds of thousands of elements in a few hundred bytes."""
    request = to_ytx(
        gzip.compress(b"[" + b"0," * (_ELEMENTS + rng.randrange(1000)) + b"0]", mtime=0), dead("ytx", "limit")
    )
    return (with_headers(request, *request.headers, ("Content-Encoding", "gzip")),)


def _nested(_world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """Arrays inside each other, more deeply than any payload needs."""
    levels = _LEVELS + rng.randrange(1000)
    body = b'{"sessionid":"x","show_phone":"1","more":' + b"[" * levels + b"]" * levels + b"}"
    return (to_nxcloud(body, dead("nxcloud", "limit")),)


def _long_text(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A name of which each character becomes eighteen under Unicode compatibility decomposition."""
    call, fields = softphone(world, rng)
    fields |= {"mobile_name": "\ufdfa" * _LONG}
    body = gzip.compress(json.dumps(fields, ensure_ascii=False).encode(), mtime=0)
    request = to_nxcloud(body, expected_of(call, "agent_name"))
    return (with_headers(request, *request.headers, ("Content-Encoding", "gzip")),)


def _odd_header(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A content type without a letter in it."""
    call, fields = softphone(world, rng)
    return (with_headers(to_nxcloud(text_of(fields).encode(), expected_of(call)), ("Content-Type", "\u00ff\u00fe")),)


def _no_session(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """A call's instants without the call's id: the row is no binding, and cannot be a call."""
    call = world.call("huawei", Scenario.PRIVACY)
    fields = huawei.record(call) | {"sessionId": rng.choice((None, "", " ", "null"))}
    return (to_huawei(fields, dead("huawei", "no_id")),)


TABLE: Final[PoisonTable] = {
    "nxcloud": {
        "a talk of 68 years": _talked_for_68_years,
        "an exponent": _exponent,
        "very many digits": _digits,
        "nested too deeply": _nested,
        "a long text": _long_text,
        "an odd header": _odd_header,
    },
    "ytx": {
        "absurd money of participants": _absurd_money,
        "absurd seconds of participants": _absurd_seconds,
        "a participant of the year 2000": _participant_of_2000,
        "ringing in another year": _ringing_last_year,
        "an absurd amount": _billed_too_much,
        "another currency": _other_currency,
        "empty compressed members": _members,
        "too many elements": _many_elements,
    },
    "huawei": {"a call without its id": _no_session},
}
