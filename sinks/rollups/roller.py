"""The roller: computes figures anew for marked slots, next to the sink's own work and never in its way.

One sink of a group does it, so that the work is done once. Should two of them do it for a moment, the second is refused
by ClickHouse, which runs one statement of a name at a time. A pass ends after about a second and the next begins with
the newest day again, so that figures of now are on time while those of years are computed, as after an upgrade.
"""

import asyncio
import logging
import math
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
from sinks.rollups.account_zones import follow
from sinks.rollups.marks import Mark, Marks
from sinks.rollups.statements import Grain, Source, computing
from sinks.rollups.zones import UTC_ALONE, Zones

log: Final = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_SHARE: Final = 0.05
"""The most of the time in which the roller lets ClickHouse work for it."""
_LONGEST_PAUSE_S: Final = 10.0
"""The longest pause behind a pass, however long it took: a server that was halted makes one pass last minutes."""
_REPLICAS_S: Final = 600.0
"""On a cluster figures are computed once more after this time: a replica may have been behind at the first."""
_PASS_S: Final = 1.0
"""The time after which a pass begins no further day."""
_AGAIN_S: Final = 600.0
"""Zones are looked at once more after this time: the one that computed before may have ended a statement since."""
_BACKOFF: Final = Backoff(first_s=1.0, cap_s=30.0)


class Roller:
    """Computes figures for marked slots."""

    def __init__(
        self,
        clickhouse: ClickHouse,
        marks: Marks,
        metrics: Registry,
        *,
        zones: Zones = UTC_ALONE,
        keep_days: int = 0,
        keep_rows_days: int = 0,
        replicas: bool = False,
    ) -> None:
        """`keep_days` is for how long calls are kept (0: for ever): figures of days before that stay as they are.

        They follow a changed zone as long as those of five minutes are kept, for `keep_rows_days`.
        """
        self._clickhouse = clickhouse
        self._marks = marks
        self._metrics = metrics
        self._zones = zones
        self._keep_days = keep_days
        self._keep_rows_days = keep_rows_days
        self._follow_at_s = [0.0]
        """Times of the monotonic clock at which zones are to be looked at, the next one first."""
        self._settled_s = _REPLICAS_S if replicas else 0.0
        self._computed: dict[tuple[datetime, int], int] = {}
        """The versions of marks that were computed, and wait for another time, when all replicas have their rows."""

    async def run(self, is_mine: Callable[[], bool]) -> None:
        """Works until it is cancelled, at the times at which `is_mine` says that this process is the one."""
        failed = 0
        mine = False
        while True:
            began_s = time.monotonic()
            try:
                was, mine = mine, is_mine()
                if mine and not was:
                    self._follow_at_s = [began_s, began_s + _AGAIN_S]
                if mine:
                    await self.once(_PASS_S)
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

    async def once(self, longest_s: float = math.inf) -> int:
        """Computes figures of marked slots, day by day from the newest; returns the number of slots.

        It begins no day after `longest_s`. A day that cannot be computed stops no other. Raises then, or when
        ClickHouse is away, `Unavailable` or `SetupError`.
        """
        end_s = time.monotonic() + longest_s
        if self._follow_at_s and time.monotonic() >= self._follow_at_s[0]:
            await follow(self._clickhouse, self._marks, self._zones, _oldest(self._keep_rows_days))
            del self._follow_at_s[0]
        marks = [mark for mark in await self._marks.found() if not self._waits(mark)]
        self._metrics.put("callweave_kpi_behind_seconds", value=max((mark.age_s for mark in marks), default=0.0))
        slots = 0
        failed: SetupError | None = None
        for _, of_day in sorted(by_day(marks).items(), reverse=True):
            try:
                slots += await self._compute(of_day)
            except SetupError as exc:
                failed = exc
            if time.monotonic() >= end_s:
                break
        if failed is not None:
            raise failed
        return slots

    def _waits(self, mark: Mark) -> bool:
        computed = self._computed.get((mark.slot_at, mark.marker)) == mark.version
        return computed and mark.age_s < self._settled_s

    async def _compute(self, marks: Sequence[Mark]) -> int:
        """Computes the slots of one day, and the day."""
        of_calls, of_rows = _oldest(self._keep_days), _oldest(self._keep_rows_days)
        slots = sorted({mark.slot_at for mark in marks if mark.slot_at > of_calls})
        older = sorted({mark.slot_at for mark in marks if of_rows < mark.slot_at <= of_calls})
        began_s = time.monotonic()
        await self._compute_slots(slots, "calls")
        await self._compute_slots(older, "rows")
        if slots:
            self._metrics.add("callweave_kpi_slots_total", by=len(slots))
            self._metrics.observe("callweave_kpi_compute_seconds", value=time.monotonic() - began_s)
        settled = [mark for mark in marks if mark.age_s >= self._settled_s or mark.slot_at <= of_calls]
        if settled:
            await self._marks.clear(settled)
        for mark in settled:
            self._computed.pop((mark.slot_at, mark.marker), None)
        self._computed |= {(mark.slot_at, mark.marker): mark.version for mark in marks if mark not in settled}
        return len(slots)

    async def _compute_slots(self, slots: Sequence[datetime], source: Source) -> None:
        if not slots:
            return
        days = sorted({slot.replace(hour=0) for slot in slots})
        grains: tuple[tuple[Grain, Sequence[datetime]], ...] = (("5m", slots), ("hour", slots), ("day", days))
        for grain, starts in grains:
            sql = computing(self._clickhouse.database, grain, starts, self._zones, source)
            await self._clickhouse.alone("kpi", sql)


def _oldest(keep_days: int) -> datetime:
    """Returns the instant before which slots are no longer kept; the first of all where they are kept for ever."""
    return datetime.now(UTC) - timedelta(days=keep_days) if keep_days else datetime.min.replace(tzinfo=UTC)


def pause_s(took_s: float) -> float:
    """Returns the pause behind a pass that took so long."""
    return min(max(_EVERY_S, took_s * (1 / _SHARE - 1)), _LONGEST_PAUSE_S)


def by_day(marks: Sequence[Mark]) -> Mapping[date, list[Mark]]:
    """Returns the marks by the day of their slot."""
    days: dict[date, list[Mark]] = defaultdict(list)
    for mark in marks:
        days[mark.slot_at.date()].append(mark)
    return days
