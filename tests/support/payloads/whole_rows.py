"""Bodies to rows of the tables: normalise, join, and the highest version of each row."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from processors.normalise import Directory, normalise
from processors.store.partition import PartitionState
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, FactType
from schemas.raw import Position, RawCallback, Source
from schemas.timeline import Timeline
from tests.golden.cases import HERE, LIMITS, load

RECEIVED: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS: Final = JoinSettings()
DAY_MS: Final = 86_400_000
BEYOND_MS: Final = (SETTINGS.horizon_s + 1) * 1000
GONE: Final = object()
"""Marker of a field that is not sent."""


RowT = TypeVar("RowT", Fact, Timeline)


class Sent(msgspec.Struct, frozen=True):
    """One body and its time of receipt."""

    vendor: str
    callback: str
    document: Any
    account: str = ""
    source: Source = "push"
    after_s: float = 0
    """Seconds between the first body's receipt and this one's."""


class Rows:
    """The tables, and the joiner in front of them."""

    def __init__(self) -> None:
        self.records: dict[str, Fact] = {}
        self.timelines: dict[str, Timeline] = {}
        self.dead: list[str] = []
        self.held = PartitionState(SETTINGS)
        self.slots: dict[str, datetime | None] = {}
        """The slot of each row, which no later version of it may leave."""
        self._offset = 0

    def take(self, bodies: Iterable[Sent], *, now_ms: int = 0, order: Iterable[int] | None = None) -> "Rows":
        """Take these bodies in at one moment of the record clock; `order` is that of their facts at the joiner."""
        facts: list[Fact] = []
        for body in bodies:
            raw = RawCallback(
                vendor=body.vendor,
                callback=body.callback,
                account=body.account,
                received_at=RECEIVED + timedelta(seconds=body.after_s, milliseconds=self._offset),
                request_id="r",
                source=body.source,
                body=body.document if isinstance(body.document, bytes) else json.dumps(body.document).encode(),
            )
            outcome = normalise(raw, Position("calls.raw", 0, self._offset), Directory(), LIMITS)
            self.dead += [letter.code for letter in outcome.dead]
            self._offset += 1
            facts += outcome.facts
        for index in order if order is not None else range(len(facts)):
            self.join(facts[index], now_ms)
        return self

    def join(self, fact: Fact, now_ms: int = 0) -> None:
        """Join one fact and keep its outputs."""
        self.wait(now_ms)
        self._keep(self.held.apply(fact))

    def wait(self, now_ms: int) -> None:
        """Move the record clock on."""
        for _, done in self.held.advance(now_ms):
            self._keep(done)

    def _keep(self, done: Any) -> None:
        if done.normalized is not None and done.normalized.fact_type is FactType.RECORD:
            record = self._stored(done.normalized.fact_id, done.normalized)
            known = self.records.get(record.fact_id, record)
            self.records[known.fact_id] = max(known, record, key=lambda row: row.version)
        for made in done.timelines:
            timeline = self._stored(made.timeline_id, made)
            there = self.timelines.get(timeline.timeline_id, timeline)
            self.timelines[there.timeline_id] = max(there, timeline, key=lambda row: row.version)

    def _stored(self, name: str, row: RowT) -> RowT:
        """The row without its slot, which may depend on the order of arrival, but is equal in all versions."""
        assert row.slot_at is not None
        assert row.slot_at == self.slots.setdefault(name, row.slot_at) or not row.slot_certain
        return msgspec.structs.replace(row, slot_at=None, slot_certain=False)

    @property
    def record(self) -> Fact:
        """The only record."""
        (found,) = self.records.values()
        return found

    @property
    def timeline(self) -> Timeline:
        """The only call."""
        (found,) = self.timelines.values()
        return found


def printed(vendor: str, case: str) -> dict[str, Any]:
    """The element of a golden case."""
    document: dict[str, Any] = json.loads(load(HERE / vendor / f"{case}.json").raw.body)
    element: dict[str, Any] = document["cdr"][0] if "cdr" in document else document
    return element


def changed(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The element with some fields changed, and without those that are `GONE`."""
    return {name: value for name, value in {**base, **changes}.items() if value is not GONE}


def beijing(seconds: float) -> str:
    """`seconds` after the call's start in Beijing time; it started an hour before its receipt."""
    return (RECEIVED + timedelta(hours=7, seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def epoch(seconds: float) -> int:
    """The same instant in seconds."""
    return int((RECEIVED + timedelta(hours=-1, seconds=seconds)).timestamp())
