"""How a call runs in time: the seconds at which a leg is set up, rings, is answered and ends, by scenario.

Offsets are seconds from the call's first instant; None: it did not happen. Waiting and talking times follow the
distributions that call centres see: short rings, many short talks, few long ones.
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


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """One leg's offsets in seconds."""

    setup: int | None = None
    alerting: int | None = None
    answer: int | None = None
    end: int | None = None
    released: int | None = None


def talk_s(rng: random.Random) -> int:
    """A talk's length: exponential with a mean of 75 s, at least a second."""
    return 1 + min(int(rng.expovariate(1 / 75)), LONGEST_TALK_S)


def ring_s(rng: random.Random) -> int:
    """How long a phone rings before somebody answers: log-normal around 8 s."""
    return 1 + min(int(rng.lognormvariate(2.0, 0.6)), 45)


def single(rng: random.Random, scenario: Scenario) -> Course:
    """A call with one leg that the vendor describes by start, answer and end."""
    if scenario in (Scenario.ANSWERED, Scenario.PRIVACY, Scenario.TIMER_EXPIRED):
        answer = ring_s(rng)
        return Course(setup=0, answer=answer, end=answer + talk_s(rng))
    return Course(setup=0, end=rng.randint(1, 5) if scenario in _SILENT_ENDS else rng.randint(8, 60))


def two_party(rng: random.Random, scenario: Scenario) -> tuple[Course, Course]:
    """A callback: the platform rings A, and once A has answered it rings B."""
    if scenario in _A_FAILS:
        rings = None if scenario is Scenario.A_UNREACHABLE else rng.randint(1, 4)
        end = rng.randint(2, 8) if rings is None else rings + rng.randint(20, 55)
        return Course(setup=0, alerting=rings, end=end, released=end + rng.randint(0, 1)), Course()
    a_alerting = rng.randint(1, 4)
    a_answer = a_alerting + ring_s(rng)
    b = _second_leg(rng, scenario, a_answer + rng.randint(0, 1))
    assert b.end is not None
    a_end = b.end + (rng.choice((0, 0, 1, 2, -4)) if b.answer is not None else rng.randint(0, 2))
    a_end = max(a_end, a_answer + 1, (b.answer or 0) + 1)
    a = Course(setup=0, alerting=a_alerting, answer=a_answer, end=a_end, released=a_end + rng.randint(0, 1))
    return a, b


def _second_leg(rng: random.Random, scenario: Scenario, setup: int) -> Course:
    if scenario in _SILENT_ENDS:
        end = setup + rng.randint(2, 8)
        return Course(setup=setup, end=end, released=end)
    alerting = setup + rng.randint(1, 6)
    if scenario in (Scenario.ANSWERED, Scenario.STATES_ONLY):
        answer = alerting + ring_s(rng)
        end = answer + talk_s(rng)
        return Course(setup=setup, alerting=alerting, answer=answer, end=end, released=end + rng.randint(0, 1))
    end = alerting + (rng.randint(2, 10) if scenario is Scenario.REJECTED else rng.randint(25, 58))
    return Course(setup=setup, alerting=alerting, end=end, released=end + rng.randint(0, 1))


def legs(courses: tuple[tuple[Role, str, Course], ...], ended_at: datetime) -> tuple[TrueLeg, ...]:
    """Legs whose last instant is `ended_at`."""
    last = max(at for _, _, course in courses for at in (course.end, course.released) if at is not None)
    zero = ended_at - timedelta(seconds=last)

    def at(offset: int | None) -> datetime | None:
        return None if offset is None else zero + timedelta(seconds=offset)

    return tuple(
        TrueLeg(
            role=role,
            number=number,
            setup_at=at(course.setup),
            alerting_at=at(course.alerting),
            answer_at=at(course.answer),
            end_at=at(course.end),
            released_at=at(course.released),
        )
        for role, number, course in courses
    )


def seconds(start: datetime | None, end: datetime | None) -> int:
    """Whole seconds between two instants, 0 when either did not happen."""
    return int((end - start).total_seconds()) if start and end else 0
