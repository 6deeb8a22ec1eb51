"""The whole way of a body without servers: accepted, normalised, joined, each message through its topic's bytes.

What no stage may do, raise for what a body says, is noted with the body's case instead of ending the test: all of them
are told.
"""

import traceback
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from ingress.access.request_head import RequestHead
from ingress.http.routes import Router
from processors.join import JoinResult
from processors.normalise import Directory, normalise
from processors.store.partition import PartitionState
from schemas.codec import FACT, STAGE_FACT, TIMELINE
from schemas.config.limits import DEFAULT
from schemas.config.settings import JoinSettings, Settings
from schemas.dead_letter import DeadLetter
from schemas.facts import Fact
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.resolution import Resolution, resolution_raw
from schemas.timeline import Timeline
from schemas.topics import RAW
from schemas.vendors import VENDORS
from tests.property.real_rows.kinds import RECEIVED, Kind
from tests.support.http.accepting import accept_request

JOIN: Final = JoinSettings()
_PATHS: Final = {
    (vendor.name, callback.name): f"/v1/{vendor.name}{callback.path}"
    for vendor in VENDORS.values()
    for callback in vendor.callbacks
}


class Broken(msgspec.Struct, frozen=True):
    """An error of a stage at a body."""

    case: str
    stage: str
    why: str

    def __str__(self) -> str:
        return f"{self.case}: {self.stage}: {self.why}"


class Way:
    """One raw partition and one facts partition."""

    def __init__(self) -> None:
        self._router = Router(Settings(), VENDORS)
        self._offset = 0
        self.facts: dict[str, list[bytes]] = {}
        """Case to its messages of `calls.facts`, in the order in which they were written."""
        self.dead: dict[str, list[str]] = {}
        """Case to the codes of the normaliser's dead letters."""
        self.dead_letters: list[DeadLetter] = []
        self.held = PartitionState(JOIN)
        self.normalized: list[Fact] = []
        self.timelines: list[Timeline] = []
        """Everything that was ever published, in order, as a reader of the topic decodes it."""
        self.broken: list[Broken] = []

    def push(self, case: str, kind: Kind, body: bytes, received_at: datetime = RECEIVED) -> list[Fact]:
        """Take a body up to the messages of `calls.facts`; returns its facts."""
        if kind.source == "poll":
            return self.pull(case, kind.vendor, kind.callback, body, received_at)
        head = RequestHead(method="POST", path=_PATHS[kind.vendor, kind.callback], content_type="application/json")
        return self.send(case, head, body, received_at)

    def send(self, case: str, head: RequestHead, body: bytes, received_at: datetime) -> list[Fact]:
        """Accepts and normalises a request with its own head."""
        taken = accept_request(self._router, head, body, now=received_at, request_id="r")
        return self._take(case, taken.raw)

    def pull(self, case: str, vendor: str, callback: str, body: bytes, received_at: datetime) -> list[Fact]:
        """Normalise a page that was pulled."""
        raw = RawCallback(
            vendor=vendor, callback=callback, received_at=received_at, request_id="r", source="poll", body=body
        )
        return self._take(case, raw)

    def decide(self, case: str, record: Fact, keep: str, resolved_at: datetime) -> list[Fact]:
        """Take an operator's decision on a record."""
        decision = Resolution(
            record_id=record.fact_id, call_key=record.call_key, kind=record.kind, keep=keep, resolved_at=resolved_at
        )
        return self._take(case, resolution_raw(decision, vendor=record.vendor, account=record.account, request_id="r"))

    def _take(self, case: str, raw: RawCallback) -> list[Fact]:
        self._offset += 1
        sent = raw_from_kafka(raw.body, raw.headers(), 0)
        outcome = normalise(sent, Position(RAW.name, 0, self._offset), Directory(), DEFAULT)
        self.dead_letters += outcome.dead
        self.dead.setdefault(case, []).extend(dead_letter.code for dead_letter in outcome.dead)
        self.broken += [
            Broken(case, "normalise", dead_letter.detail)
            for dead_letter in outcome.dead
            if dead_letter.code in {"adapter_bug", "internal"}
        ]
        facts = []
        for fact in outcome.facts:
            try:
                message = STAGE_FACT.encode(fact)
                assert STAGE_FACT.decode(message) == fact, "a fact comes out of its bytes otherwise than it went in"
            except Exception as exc:  # noqa: BLE001 - whatever it is, it would end the normaliser
                self._note(case, "encode of a fact", exc)
                continue
            self.facts.setdefault(case, []).append(message)
            facts.append(fact)
        return facts

    def join(self, case: str, message: bytes) -> None:
        """Join one message of `calls.facts` and publish the results."""
        fact = STAGE_FACT.decode(message)
        try:
            done = self.held.apply(fact)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it would end the joiner
            self._note(case, "join", exc)
            return
        self._publish(case, done)

    def join_all(self) -> None:
        """Join everything in the order in which it came."""
        for case, messages in self.facts.items():
            for message in messages:
                self.join(case, message)

    def advance(self, now_ms: int) -> None:
        """Move the record clock on and publish what is due by then."""
        for key, done in self.held.advance(now_ms):
            self._publish(key, done)

    def restart(self, written: dict[str, bytes | None]) -> None:
        """Restore from the state topic: `written` is all that `PartitionState.take_changed` gave, last per call."""
        self.held = PartitionState(JOIN)
        for key, state in written.items():
            if state is not None:
                self.held.load(key, [state])

    def _publish(self, case: str, done: JoinResult) -> None:
        try:
            if done.normalized is not None:
                self.normalized.append(FACT.decode(FACT.encode(done.normalized)))
            self.timelines += [TIMELINE.decode(TIMELINE.encode(timeline)) for timeline in done.timelines]
        except Exception as exc:  # noqa: BLE001 - whatever it is, it would end the joiner
            self._note(case, "timeline or its bytes", exc)

    def _note(self, case: str, stage: str, exc: Exception) -> None:
        place = traceback.extract_tb(exc.__traceback__)[-1]
        where = f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
        self.broken.append(Broken(case, stage, f"{type(exc).__name__} at {where}: {exc}"[:300]))


def newest(records: Iterable[Fact]) -> dict[str, Fact]:
    """Return the highest version of each fact."""
    found: dict[str, Fact] = {}
    for fact in records:
        if fact.fact_id not in found or fact.version >= found[fact.fact_id].version:
            found[fact.fact_id] = fact
    return found
