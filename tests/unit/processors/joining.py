"""The shortest way to facts and states of a call, for the cases of the join."""

from collections.abc import Iterable, Sequence

from processors.join import CallState, JoinResult, step
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, Role, State
from schemas.timeline import Timeline
from tests.support.strategies import callback, placed

SETTINGS = JoinSettings()
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def after(facts: Iterable[Fact], state: CallState | None = None, now_ms: int = 0) -> JoinResult:
    """Return the last result when all facts arrive at one moment."""
    done: JoinResult | None = None
    for fact in facts:
        done = step(state, fact, now_ms, SETTINGS)
        state = done.state
    assert done is not None
    return done


def only(done: JoinResult) -> Timeline:
    assert len(done.timelines) == 1
    return done.timelines[0]


def state_of(done: JoinResult) -> CallState:
    assert done.state is not None
    return done.state


def legs(timeline: Timeline) -> list[tuple[Role, str | None]]:
    return [(leg.role, leg.number) for leg in timeline.legs]


def without(states: Sequence[Fact], *gone: State) -> list[Fact]:
    return [fact for fact in states if fact.state not in gone]


FIRST = placed(callback(), 5)
