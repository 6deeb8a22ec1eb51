"""Settled records pulled again and again: the cost of each copy, and the memory: `python -m tests.bench repolls`.

A poller brings a settled record some 240 times. The worker's own memory must not grow, so this has its own process.
"""

import gc
import os
import time

from deploy.local.stats import resident_mib
from processors.normalise import Directory, normalise
from processors.store.partition import PartitionState
from schemas.codec import FACT
from schemas.config.limits import DEFAULT
from schemas.config.settings import JoinSettings
from schemas.raw import Position
from schemas.topics import RAW
from tests.bench.bench_pure import NOW_MS
from tests.bench.support.bodies import Keyed, pulled
from tests.bench.support.lines import Line, show

CALLS = 500
POLLS = (1, 2, 20, 120, 240)
"""The numbers of polls after which is measured."""


class Poller:
    """One partition's worker that gets the same pages again and again."""

    def __init__(self, pages: list[Keyed]) -> None:
        self._pages = pages
        self._offset = 0
        self._held = PartitionState(JoinSettings())
        for _ in self._held.advance(NOW_MS):
            pass
        self.published = 0
        self.joining_s = 0.0
        self.facts = 0
        self.written: dict[str, bytes | None] = {}

    def poll(self) -> None:
        """Processes all pages once more."""
        for page in self._pages:
            facts = normalise(page.raw, Position(RAW.name, 0, self._offset), Directory(), DEFAULT).facts
            self._offset += 1
            values = [FACT.encode(fact) for fact in facts]
            began = time.process_time()
            for value in values:
                self.published += self._held.apply(FACT.decode(value)).normalized is not None
            self.written |= self._held.take_changed()
            self.joining_s += time.process_time() - began
            self.facts += len(facts)


def measure() -> list[Line]:
    """Measures after some polls: bytes a state, states written and records published at the last poll, memory."""
    poller, lines = Poller(pulled(CALLS)), []
    first_mib = 0
    for poll in range(1, POLLS[-1] + 1):
        poller.written, poller.published, poller.joining_s, poller.facts = {}, 0, 0.0, 0
        poller.poll()
        if poll not in POLLS:
            continue
        gc.collect()
        memory_mib = resident_mib(os.getpid())
        first_mib = first_mib or memory_mib
        size = sum(len(value or b"") for value in poller.written.values()) / len(poller.written)
        for what, value, unit in (
            ("a state that is written", size, "B"),
            ("states written", float(len(poller.written)), "states"),
            ("records published", float(poller.published), "records"),
            ("a copy through the join", poller.joining_s / poller.facts * 1e6, "us"),
        ):
            lines.append(Line(bench="repolls", what=f"poll {poll} of {CALLS} records: {what}", value=value, unit=unit))
        lines.append(
            Line(bench="repolls", what=f"poll {poll} of {CALLS} records: resident", value=memory_mib, unit="MiB", limit=first_mib)
        )  # fmt: skip
    return lines


if __name__ == "__main__":
    show(measure())
