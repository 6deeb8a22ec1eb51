"""The timing of a call: the seconds at which a leg is set up, alerts, is answered and ends, by scenario.

Offsets are seconds from the call's first instant, None where the event did not happen. Ringing and talking times follow
the distributions that call centres see: short ringing, many short talks, few long ones.
"""

import random
from datetime import datetime, timedelta
from typing import Final

import msgspec

from deploy.simulator.calls.truth import Scenario, TrueLeg
from schemas.facts import Role

LONGEST_TALK_S: Final = 1200
_SILENT_ENDS: Final = frozenset(
    {Scenario.SWITCHED_OFF, Scenario.INVALID_NUMBER, Scenario.SUSPENDED, Scenario.CONGESTION, Scenario.BUSY}
)
_A_FAILS: Final = frozenset({Scenario.A_NO_ANSWER, Scenario.A_UNREACHABLE})


class LegTiming(msgspec.Struct, frozen=True, kw_only=True):
    """One leg's offsets in seconds."""

    setup: int | None = None
    alerting: int | None = None
    answer: int | None = None
    end: int | None = None
    released: int | None = None


def talk_s(rng: random.Random) -> int:
    """Returns a talk's length in seconds: exponential with a mean of 75 s, at least 1."""
    return 1 + min(int(rng.expovariate(1 / 75)), LONGEST_TALK_S)


def ring_s(rng: random.Random) -> int:
    """Returns the seconds that a phone rings before somebody answers: log-normal around 8 s."""
    return 1 + min(int(rng.lognormvariate(2.0, 0.6)), 45)


def single(rng: random.Random, scenario: Scenario) -> LegTiming:
    """Returns the timing of a call with one leg that the vendor describes by start, answer and end."""
    if scenario in (Scenario.ANSWERED, Scenario.PRIVACY, Scenario.TIMER_EXPIRED):
        answer = ring_s(rng)
        return LegTiming(setup=0, answer=answer, end=answer + talk_s(rng))
    return LegTiming(setup=0, end=rng.randint(1, 5) if scenario in _SILENT_ENDS else rng.randint(8, 60))


def two_party(rng: random.Random, scenario: Scenario) -> tuple[LegTiming, LegTiming]:
    """Returns both legs of a callback: the platform calls A, and once A has answered it calls B."""
    if scenario in _A_FAILS:
        rings = None if scenario is Scenario.A_UNREACHABLE else rng.randint(1, 4)
        end = rng.randint(2, 8) if rings is None else rings + rng.randint(20, 55)
        return LegTiming(setup=0, alerting=rings, end=end, released=end + rng.randint(0, 1)), LegTiming()
    a_alerting = rng.randint(1, 4)
    a_answer = a_alerting + ring_s(rng)
    b = _second_leg(rng, scenario, a_answer + rng.randint(0, 1))
    assert b.end is not None
    a_end = b.end + (rng.choice((0, 0, 1, 2, -4)) if b.answer is not None else rng.randint(0, 2))
    a_end = max(a_end, a_answer + 1, (b.answer or 0) + 1)
    a = LegTiming(setup=0, alerting=a_alerting, answer=a_answer, end=a_end, released=a_end + rng.randint(0, 1))
    return a, b


def _second_leg(rng: random.Random, scenario: Scenario, setup: int) -> LegTiming:
    if scenario in _SILENT_ENDS:
        end = setup + rng.randint(2, 8)
        return LegTiming(setup=setup, end=end, released=end)
    alerting = setup + rng.randint(1, 6)
    if scenario in (Scenario.ANSWERED, Scenario.STATES_ONLY):
        answer = alerting + ring_s(rng)
        end = answer + talk_s(rng)
        return LegTiming(setup=setup, alerting=alerting, answer=answer, end=end, released=end + rng.randint(0, 1))
    end = alerting + (rng.randint(2, 10) if scenario is Scenario.REJECTED else rng.randint(25, 58))
    return LegTiming(setup=setup, alerting=alerting, end=end, released=end + rng.randint(0, 1))


def legs(timings: tuple[tuple[Role, str, LegTiming], ...], ended_at: datetime) -> tuple[TrueLeg, ...]:
    """Returns legs whose last instant is `ended_at`; each entry has the role, the number and the timing of one leg."""
    last = max(at for _, _, timing in timings for at in (timing.end, timing.released) if at is not None)
    zero = ended_at - timedelta(seconds=last)

    def at(offset: int | None) -> datetime | None:
        return None if offset is None else zero + timedelta(seconds=offset)

    return tuple(
        TrueLeg(
            role=role,
            number=number,
            setup_at=at(timing.setup),
            alerting_at=at(timing.alerting),
            answer_at=at(timing.answer),
            end_at=at(timing.end),
            released_at=at(timing.released),
        )
        for role, number, timing in timings
    )


def seconds(start: datetime | None, end: datetime | None) -> int:
    """Returns the whole seconds between two instants, 0 when either event did not happen."""
    return int((end - start).total_seconds()) if start and end else 0
