"""The record clock's tick: each owned partition of the facts gets one, and only its end stops it."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from processors.engine.watchdog import or_end
from processors.outbox import Message
from processors.record_clock import tick
from schemas.errors import Unavailable

MINE = {TP("calls.facts", 3), TP("calls.raw", 7), TP("calls.facts", 1)}


class App:
    """An app whose consumer follows a script and ends the test with it."""

    def __init__(self, *answers: Exception | set[TP]) -> None:
        self.answers = list(answers)
        self.asked = asyncio.Event()
        self.consumer = SimpleNamespace(assignment=self._assignment)

    def _assignment(self) -> set[TP]:
        answer = self.answers.pop(0)
        if not self.answers:
            self.asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Outbox:
    """An outbox for ticks that is away for the first `away`."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.sent: list[tuple[str, int | None]] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        self.sent += [(message.topic, message.partition) for message in messages]


async def ticked(app: App, outbox: Outbox) -> list[str]:
    """Return the error that ended it after the whole script."""
    reasons: list[str] = []
    work = tick(app, outbox, 0.001)  # type: ignore[arg-type]  # as much of an outbox as it uses
    task = asyncio.create_task(or_end(work, "the tick", lambda reason, _: reasons.append(reason)))
    await app.asked.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return reasons


TICKED = [("calls.facts", 1), ("calls.facts", 3)]


@pytest.mark.parametrize(
    ("app", "outbox", "sent"),
    [
        pytest.param(lambda: App(MINE), Outbox(), TICKED, id="its partitions of the facts, and no others"),
        pytest.param(lambda: App(set(), MINE), Outbox(), TICKED, id="nothing is ours yet"),
        pytest.param(lambda: App(ConsumerNotStarted(), MINE), Outbox(), TICKED, id="the consumer has not started"),
        pytest.param(lambda: App(MINE, MINE), Outbox(away=1), TICKED, id="Kafka is away for one tick"),
    ],
)
async def test_the_clock_goes_on(app: Callable[[], Any], outbox: Outbox, sent: list[tuple[str, int]]) -> None:
    assert await ticked(app(), outbox) == []
    assert outbox.sent == sent


async def test_a_clock_that_stops_ends_the_process() -> None:
    """Otherwise calls would wait for ever, and nobody would see why."""
    assert await ticked(App(RuntimeError()), Outbox()) == ["the tick failed"]
