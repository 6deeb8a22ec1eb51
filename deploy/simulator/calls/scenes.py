"""One maker per vendor: what happened, ending at a given instant, out of a random source."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from deploy.simulator.calls import courses, endings, people
from deploy.simulator.calls.truth import Scenario, TrueCall, TrueLeg
from schemas.facts import Direction, Disposition, Kind, Role

# Both from the vendors' own printed examples: placeholders that belong to nobody.
YTX_APP: Final = "ff8080813fc70a7b013fc72312324213"
TENCENT_APP: Final = "1400000000"
_YUAN_A_MINUTE: Final = Decimal("0.06")
_MIXED_CAUSES: Final = 0.9
"""Share of answered two-way records that say how they ended; the others leave it out, as seen live."""


def nxcloud(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    """A softphone's call, in or out; now and then with an extension on the other side."""
    cause = rng.choice(endings.NXCLOUD[scenario])
    code, number = ("86", people.national(people.cn_mobile(rng))) if rng.random() < 0.8 else people.foreign_mobile(rng)
    extension = people.digits(rng, 4) if rng.random() < 0.08 else ""
    leg = courses.legs(((Role.B, f"+{code}{number}", courses.single(rng, scenario)),), ended_at)[0]
    session = people.call_uuid(rng)
    recorded = leg.answer_at is not None and rng.random() < 0.6
    display = f"62988{people.digits(rng, 5)}"
    return TrueCall(
        vendor="nxcloud",
        kind=Kind.SOFTPHONE_CDR,
        scenario=scenario,
        call_id=session,
        direction=rng.choice((Direction.INBOUND, Direction.OUTBOUND, Direction.OUTBOUND)),
        legs=(leg,),
        display=display,
        cause=cause.text,
        disposition=cause.disposition,
        q850=cause.q850,
        sip_code=cause.sip_code,
        duration_s=courses.seconds(leg.answer_at, leg.end_at),
        recorded=recorded,
        recording_url=f"https://record.example/record/{session}" if recorded else "",
        custom_ref=people.digits(rng, 7) if rng.random() < 0.9 else "",
        agent_id=display,
        agent_name=people.name(rng),
        extension=extension,
    )


def ytx(rng: random.Random, scenario: Scenario, ended_at: datetime) -> tuple[TrueCall, ...]:
    """A voice code, a conference's participants, or a two-way call."""
    if scenario in (Scenario.OTP, Scenario.OTP_NO_ANSWER):
        return (_voice_code(rng, scenario, ended_at),)
    if scenario is Scenario.CONFERENCE:
        return _conference(rng, ended_at)
    return (_two_way(rng, scenario, ended_at),)


def _voice_code(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    heard = scenario is Scenario.OTP
    number = people.cn_mobile(rng) if rng.random() < 0.9 else "+" + "".join(people.foreign_mobile(rng))
    length = rng.randint(4, 30)
    answered_at = ended_at - timedelta(seconds=length) if heard else None
    return TrueCall(
        vendor="ytx",
        kind=Kind.VOICE_OTP,
        scenario=scenario,
        account_id=YTX_APP,
        call_id=_request_id(rng),
        legs=(TrueLeg(role=Role.B, number=number, answer_at=answered_at, end_at=ended_at),),
        disposition=Disposition.ANSWERED if heard else Disposition.NO_ANSWER,
        duration_s=length if heard else 0,
        cost=_YUAN_A_MINUTE if heard else Decimal("0.00"),
    )


def _conference(rng: random.Random, ended_at: datetime) -> tuple[TrueCall, ...]:
    call_id, conference = _request_id(rng), people.digits(rng, 6)
    numbers = sorted({people.cn_mobile(rng) for _ in range(rng.choice((2, 3, 3, 4, 5, 6)))})
    ends = [ended_at - timedelta(seconds=rng.randint(0, 20)) for _ in numbers]
    # All of them overlap: nobody leaves before everybody has come.
    return tuple(
        TrueCall(
            vendor="ytx",
            kind=Kind.CONFERENCE_LEG,
            scenario=Scenario.CONFERENCE,
            account_id=YTX_APP,
            call_id=call_id,
            direction=Direction.CONFERENCE,
            legs=(TrueLeg(role=Role.P, number=number, answer_at=end - timedelta(seconds=length), end_at=end),),
            disposition=Disposition.ANSWERED,
            duration_s=length,
            cost=Decimal("0.022") * (1 + length // 60),
            recording_url=f"http://record.example/{call_id}.mp3",
            custom_ref=conference,
            conference_id=conference,
        )
        for number, end, length in ((n, e, 25 + courses.talk_s(rng)) for n, e in zip(numbers, ends, strict=True))
    )


def _two_way(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    caller, called = people.two_mobiles(rng)
    course_a, course_b = courses.two_party(rng, scenario)
    legs = courses.legs(((Role.A, caller, course_a), (Role.B, called, course_b)), ended_at)
    cause = rng.choice(endings.YTX[scenario])
    call_id = _request_id(rng)
    answered = legs[1].answer_at is not None
    length = courses.seconds(legs[0].answer_at, legs[0].end_at)
    told = cause if not answered or rng.random() < _MIXED_CAUSES else endings.Ending("", cause.disposition)
    return TrueCall(
        vendor="ytx",
        kind=Kind.CALLBACK_CDR,
        scenario=scenario,
        account_id=YTX_APP,
        call_id=call_id,
        direction=Direction.CALLBACK,
        legs=legs,
        display=people.fixed_line(rng),
        cause=told.text,
        disposition=told.disposition,
        q850=told.q850,
        sip_code=told.sip_code,
        duration_s=length,
        cost=_YUAN_A_MINUTE * ((length + 59) // 60),
        recording_url=f"http://record.example/{call_id}.mp3" if answered and rng.random() < 0.7 else "",
        custom_ref=people.digits(rng, 6) if rng.random() < 0.8 else "",
        has_states=scenario is Scenario.STATES_ONLY or rng.random() < 0.85,
        has_record=scenario is not Scenario.STATES_ONLY,
    )


def tencent(rng: random.Random, scenario: Scenario, ended_at: datetime) -> TrueCall:
    """A callback that is pulled; its record shows one end for both legs."""
    caller, called = people.two_mobiles(rng)
    course_a, course_b = courses.two_party(rng, scenario)
    legs = courses.legs(((Role.A, caller, course_a), (Role.B, called, course_b)), ended_at)
    cause = rng.choice(endings.TENCENT[scenario])
    hung_up_at = max(leg.end_at for leg in legs if leg.end_at)
    answered_at = legs[1].answer_at
    local = ended_at.strftime("%y%m%d")
    return TrueCall(
        vendor="tencent",
        kind=Kind.CALLBACK_CDR,
        scenario=scenario,
        account_id=TENCENT_APP,
        call_id=f"12-{local}-{people.hexadecimal(rng, 32)}",
        direction=Direction.CALLBACK,
        legs=legs,
        cause=cause.text,
        disposition=cause.disposition,
        q850=cause.q850,
        sip_code=cause.sip_code,
        # Billed time is the vendor's own rounding: a second more at times.
        duration_s=courses.seconds(answered_at, hung_up_at) + (rng.randint(0, 1) if answered_at else 0),
        recording_url="https://record.example/" + people.hexadecimal(rng, 16)
        if answered_at and rng.random() < 0.5
        else "",
        custom_ref=people.digits(rng, 8) if rng.random() < 0.5 else "",
    )


def _request_id(rng: random.Random) -> str:
    """29 digits, as the platform's live ids have: more than 64 bits hold."""
    return "20" + people.digits(rng, 27)
