"""The faults of a running stack, seen from outside its parts: Kafka's offsets, parts that do not answer, restarts."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from deploy.doctor.group_offsets import STAGES, KafkaOffsets
from deploy.doctor.stalled_partitions import GroupOffsets, StallDetector, sentences
from deploy.local.stack import Stack
from deploy.process.scrape import Sample, total
from processors.poison.crashes import OFTEN
from schemas.errors import Unavailable

ASK_EVERY_S: Final = 3.0
STANDS_S: Final = 20.0
"""A partition that does not move for this long is reported; a restart with its rebalance takes less."""
SILENT_S: Final = 6.0
BLOCKED_S: Final = 2.0


class StackHealth:
    """Observes a stack, and asks Kafka only every few seconds."""

    def __init__(self, stack: Stack) -> None:
        self.lag: dict[str, int] = {}
        """The records that wait for each stage, from Kafka's offsets."""
        self._stack = stack
        self._kafka: KafkaOffsets | None = None
        self._asked_at = 0.0
        self._detector = StallDetector()
        self._groups: tuple[GroupOffsets, ...] = ()
        self._no_answer = ""
        """The reason why Kafka does not answer."""
        self._silent_since: dict[str, float] = {}

    async def look(self, pages: Mapping[str, Sequence[Sample] | None]) -> None:
        """Takes the metrics of each part (None: it did not answer), and asks Kafka when it is time."""
        now_s = time.monotonic()
        running = self._stack.pids()
        silent = {name for name, page in pages.items() if page is None and name in running}
        self._silent_since = {name: self._silent_since.get(name, now_s) for name in silent}
        if now_s - self._asked_at < ASK_EVERY_S:
            return
        self._asked_at = now_s
        try:
            self._kafka = self._kafka or await KafkaOffsets.connect(self._stack.settings.kafka)
            self._groups = await self._kafka.look()
        except Unavailable as exc:
            self._no_answer = str(exc)
            await self.close()
            return
        self._no_answer = ""
        self._detector.observe(self._groups, time.monotonic())
        self.lag = lag_of(self._groups)

    async def close(self) -> None:
        """Closes the connection to Kafka."""
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await kafka.close()

    def warnings(self, samples: list[Sample]) -> tuple[str, ...]:
        """Returns a sentence for each fault."""
        now_s = time.monotonic()
        lately = {part.name: part.restarts_lately(time.time()) for part in self._stack.parts}
        silent_s = {name: now_s - since_s for name, since_s in self._silent_since.items()}
        stalled = self._detector.stalled(self._groups, now_s, longer_than_s=STANDS_S)
        return (
            *((self._no_answer,) if self._no_answer else ()),
            *(f"nobody works for {group.name}" for group in self._groups if not group.members and group.waiting),
            *sentences(stalled),
            *warnings_on_parts(lately, silent_s, samples),
        )


def lag_of(groups: Sequence[GroupOffsets]) -> dict[str, int]:
    """Returns the records that wait for each stage."""
    lag = dict.fromkeys(("normalise", "join", "sink"), 0)
    for one in (one for group in groups for one in group.partitions):
        lag[STAGES[one.topic]] += one.waiting
    return lag


def warnings_on_parts(
    restarts_lately: Mapping[str, int], silent_s: Mapping[str, float], samples: list[Sample]
) -> list[str]:
    """Returns a sentence for each fault of a part: restarts, no answer, a blocked event loop, records put aside."""
    found = [
        f"{name} was started again {count} times in the last 10 minutes"
        for name, count in restarts_lately.items()
        if count >= OFTEN
    ]
    found += [
        f"{name} has not answered for {seconds:.0f} s: its event loop is blocked, or it does not get up"
        for name, seconds in silent_s.items()
        if seconds >= SILENT_S
    ]
    found += [
        f"the event loop of a {labels.get('part', 'part')} was blocked for {value:.0f} s in the last minute"
        for name, labels, value in samples
        if name == "callweave_loop_blocked_seconds" and value >= BLOCKED_S
    ]
    if aside := int(total(samples, "callweave_process_quarantined_total")):
        found.append(f"{aside} records at which workers died are put aside: callweave dead list --code poison")
    return found
