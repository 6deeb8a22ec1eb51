"""The roller: computes figures anew for marked slots, next to the sink's own work and never in its way.

One sink of a group does it, so that the work is done once. Should two of them do it for a moment, the second is refused
by ClickHouse, which runs one statement of a name at a time.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from schemas.backoff import Backoff
from schemas.errors import SetupError, Unavailable
from schemas.metrics import Registry
from sinks.clickhouse import ClickHouse
from sinks.rollups.marks import Mark, Marks
from sinks.rollups.statements import Grain, computing

log: Final = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_SHARE: Final = 0.1
"""The most of the time in which the roller lets ClickHouse work for it."""
_LONGEST_PAUSE_S: Final = 10.0
"""The longest pause behind a pass, however long it took: a server that was halted makes one pass last minutes."""
_REPLICAS_S: Final = 600.0
"""On a cluster figures are computed once more after this time: a replica may have been behind at the first."""
_BACKOFF: Final = Backoff(first_s=1.0, cap_s=30.0)


class Roller:
    """Computes figures for marked slots."""

    def __init__(
        self, clickhouse: ClickHouse, marks: Marks, metrics: Registry, *, keep_days: int = 0, replicas: bool = False
    ) -> None:
        """`keep_days` is for how long calls are kept (0: for ever): figures of days before that stay as they are."""
        self._clickhouse = clickhouse
        self._marks = marks
        self._metrics = metrics
        self._keep = timedelta(days=keep_days)
        self._settled_s = _REPLICAS_S if replicas else 0.0
        self._computed: dict[tuple[datetime, int], int] = {}
        """The versions of marks that were computed, and wait for another time, when all replicas have their rows."""

    async def run(self, is_mine: Callable[[], bool]) -> None:
        """Works until it is cancelled, at the times at which `is_mine` says that this process is the one."""
        failed = 0
        while True:
            began_s = time.monotonic()
            try:
                if is_mine():
                    await self.once()
                failed = 0
            except (Unavailable, SetupError) as exc:
                if not failed:
                    log.warning("figures wait: %s", exc)
                failed += 1
            except Exception:
                # Figures are late then, which the gauge shows; rows must not be.
                if not failed:
                    log.exception("figures wait")
                failed += 1
            retry_s = _BACKOFF.delay_s(failed, random.random()) if failed else 0.0  # noqa: S311 - spreads clients, no secret
            await asyncio.sleep(max(retry_s, pause_s(time.monotonic() - began_s)))

    async def once(self) -> int:
        """Computes figures of all marked slots, day by day from the newest; returns the number of slots.

        A day that cannot be computed stops no other. Raises then, or when ClickHouse is away, `Unavailable` or
        `SetupError`.
        """
        marks = [mark for mark in await self._marks.found() if not self._waits(mark)]
        self._metrics.put("callweave_kpi_behind_seconds", value=max((mark.age_s for mark in marks), default=0.0))
        slots = 0
        failed: SetupError | None = None
        for _, of_day in sorted(by_day(marks).items(), reverse=True):
            try:
                slots += await self._compute(of_day)
            except SetupError as exc:
                failed = exc
        if failed is not None:
            raise failed
        return slots

    def _waits(self, mark: Mark) -> bool:
        computed = self._computed.get((mark.slot_at, mark.marker)) == mark.version
        return computed and mark.age_s < self._settled_s

    async def _compute(self, marks: Sequence[Mark]) -> int:
        """Computes the slots of one day, and the day."""
        oldest = datetime.now(UTC) - self._keep if self._keep else datetime.min.replace(tzinfo=UTC)
        slots = sorted({mark.slot_at for mark in marks if mark.slot_at > oldest})
        if slots:
            began_s = time.monotonic()
            days = sorted({slot.replace(hour=0) for slot in slots})
            grains: tuple[tuple[Grain, list[datetime]], ...] = (("5m", slots), ("hour", slots), ("day", days))
            for grain, starts in grains:
                await self._clickhouse.alone("kpi", computing(self._clickhouse.database, grain, starts))
            self._metrics.add("callweave_kpi_slots_total", by=len(slots))
            self._metrics.observe("callweave_kpi_compute_seconds", value=time.monotonic() - began_s)
        settled = [mark for mark in marks if mark.age_s >= self._settled_s or mark.slot_at <= oldest]
        if settled:
            await self._marks.clear(settled)
        for mark in settled:
            self._computed.pop((mark.slot_at, mark.marker), None)
        self._computed |= {(mark.slot_at, mark.marker): mark.version for mark in marks if mark not in settled}
        return len(slots)


def pause_s(took_s: float) -> float:
    """Returns the pause behind a pass that took so long."""
    return min(max(_EVERY_S, took_s * (1 / _SHARE - 1)), _LONGEST_PAUSE_S)


def by_day(marks: Sequence[Mark]) -> Mapping[date, list[Mark]]:
    """Returns the marks by the day of their slot."""
    days: dict[date, list[Mark]] = defaultdict(list)
    for mark in marks:
        days[mark.slot_at.date()].append(mark)
    return days
