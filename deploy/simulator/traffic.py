"""The order of the requests: calls cut into payloads, then disordered, repeated, corrected, batched anew and broken.

The schedule is a heap of places in the stream, not of times: the sender decides how fast it goes. Everything random
comes from the seed, so that the same seed and clock give the same bytes in the same order.
"""

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from deploy.simulator import requests
from deploy.simulator.broken import broken_body
from deploy.simulator.calls import parties
from deploy.simulator.calls.truth import Scenario, TrueBinding, TrueCall
from deploy.simulator.expectation import Expectation, dead
from deploy.simulator.poison.catalogue import PoisonCycle
from deploy.simulator.requests import Offer, PushRequest, pushed
from deploy.simulator.vendor_contract import BatchFormat, SimulatedVendor
from deploy.simulator.vendors import SIMULATED_VENDORS, expected_record
from deploy.simulator.world import World
from schemas.facts import Disposition, Kind

_LARGEST_BATCH: Final = 10
_SMALL_BATCH: Final = 0.4
_TEXT_SHARE: Final = 0.03
_CONFLICT_S: Final = 7


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Shares between 0 and 1 of the irregularities in the traffic."""

    disorder: float = 0.3
    """Calls with states whose states and record come in any order."""
    repeat: float = 0.05
    """Requests that come again byte for byte."""
    rebatch: float = 0.04
    """Batch elements that come again in another batch."""
    update: float = 0.15
    """Recorded calls whose recording's address comes later."""
    conflict: float = 0.005
    """Records that come again with another duration."""
    broken: float = 0.01
    """Requests beside which an unusable one is sent."""
    bad_element: float = 0.01
    """Batches with one element that nobody can use."""
    compressed: float = 0.08
    spoilt: float = 0.25
    """Batch elements in the broken form that their vendor's document prints."""
    poison: float = 0.0
    """Calls and bindings beside which a poison is sent: a request that once stopped, hid or falsified a call."""


class BatchElement(msgspec.Struct, frozen=True, kw_only=True):
    """An element that waits for its batch."""

    vendor: str
    text: str
    expected: Expectation
    repeat: bool = False


class OpenBatch(msgspec.Struct, kw_only=True):
    """The batch of one vendor that is being filled."""

    vendor: SimulatedVendor
    format: BatchFormat
    elements: list[BatchElement]
    size: int = 1


Piece = PushRequest | Offer | BatchElement


class Traffic:
    """An endless stream of requests, of which as many are made as are asked for."""

    def __init__(self, *, seed: int, vendors: Mapping[str, float], mix: Mix, clock: Callable[[], datetime]) -> None:
        """`vendors` are names with their relative numbers of calls."""
        self._world = World(seed=seed, vendors=vendors, clock=clock)
        self._rng: random.Random = parties.seeded(f"traffic/{seed}")
        self._mix = mix
        self._poisons = PoisonCycle(self._world, parties.seeded(f"poison/{seed}"))
        self._heap: list[tuple[int, int, Piece]] = []
        self._place = 0
        self._made = 0
        self._batches = {
            name: OpenBatch(vendor=vendor, format=vendor.batch, elements=[])
            for name, vendor in SIMULATED_VENDORS.items()
            if vendor.batch
        }
        self.calls = 0
        self.scenarios: dict[Scenario, int] = {}

    def stream(self, calls: int = 0) -> Iterator[PushRequest | Offer]:
        """Everything about `calls` calls and bindings, then the rest of the schedule; 0 calls: without end."""
        while not calls or self.calls < calls:
            self._advance()
            yield from self._due(until=self._place)
            self._place += 1
        yield from self.rest()

    def rest(self) -> Iterator[PushRequest | Offer]:
        """The rest of the schedule of an unfinished stream, without new calls."""
        yield from self._due(until=None)
        while unfinished := [batch for batch in self._batches.values() if batch.elements]:
            yield from self._finish_batch(unfinished[0])
            yield from self._due(until=None)

    def _advance(self) -> None:
        if self._mix.poison and self._rng.random() < self._mix.poison:
            for place, item in enumerate(self._poisons.advance()):
                self._push(place, item)
        made = self._world.advance()
        self.calls += 1
        scenario = made.scenario if isinstance(made, TrueBinding) else made[0].scenario
        self.scenarios[scenario] = self.scenarios.get(scenario, 0) + 1
        if isinstance(made, TrueBinding):
            vendor = SIMULATED_VENDORS[made.vendor]
            assert vendor.binding, "who makes bindings writes them"
            body, expected = vendor.binding(made)
            self._push(0, pushed(vendor.name, "binding", vendor.path, body, expected))
            return
        for call in made:
            self._plan(call)

    def _plan(self, call: TrueCall) -> None:
        first, later = self._versions(call)
        if SIMULATED_VENDORS[call.vendor].pull:
            self._push(0, Offer(vendor=call.vendor, call=first, later=later))
            return
        record_at = self._plan_states(call) if call.has_states else 0
        if call.has_record:
            self._push(record_at, self._piece(first, "record"))
        if later:
            label = "conflict" if later.duration_s != first.duration_s else "update"
            self._push(record_at + self._rng.randint(5, 40), self._piece(later, label))

    def _versions(self, call: TrueCall) -> tuple[TrueCall, TrueCall | None]:
        """The call as its first record describes it, and as a later copy of the record does, if there is one."""
        replace, chance = msgspec.structs.replace, self._rng.random()
        if not call.has_record:
            return call, None
        if call.recording_url and call.kind is not Kind.CONFERENCE_LEG and chance < self._mix.update:
            return replace(call, recording_url=""), call
        counted = SIMULATED_VENDORS[call.vendor].recounts and call.disposition is Disposition.ANSWERED
        if counted and chance > 1 - self._mix.conflict:
            return call, replace(call, duration_s=call.duration_s + _CONFLICT_S)
        return call, None

    def _plan_states(self, call: TrueCall) -> int:
        """Schedules the state pushes; returns the record's place after them, or among them."""
        vendor = SIMULATED_VENDORS[call.vendor]
        assert vendor.states, "who makes calls with states writes them"
        pushes = sorted(vendor.states(call, self._rng), key=lambda push: push[0])
        disordered = self._rng.random() < self._mix.disorder
        for index, (_, body, expected) in enumerate(pushes):
            place = self._rng.randint(0, 12) if disordered else index
            self._push(place, pushed(vendor.name, "state", vendor.path, body, expected))
        return self._rng.randint(0, 12) if disordered else len(pushes)

    def _piece(self, call: TrueCall, label: str) -> Piece:
        vendor = SIMULATED_VENDORS[call.vendor]
        if vendor.batch:
            text = vendor.batch.element(call, self._rng)
            spoilt = bool(call.custom_ref) and self._rng.random() < self._mix.spoilt
            text = vendor.batch.spoil(text) if spoilt else text
            return BatchElement(vendor=vendor.name, text=text, expected=expected_record(call))
        assert vendor.record, "who pushes and has no batches writes records"
        body = vendor.record(call, self._rng)
        return pushed(vendor.name, label, vendor.path, body, expected_record(call))

    def _push(self, delay: int, piece: Piece) -> None:
        self._made += 1
        heapq.heappush(self._heap, (self._place + delay, self._made, piece))

    def _due(self, until: int | None) -> Iterator[PushRequest | Offer]:
        while self._heap and (until is None or self._heap[0][0] <= until):
            place, _, piece = heapq.heappop(self._heap)
            self._place = max(self._place, place)
            if isinstance(piece, BatchElement):
                yield from self._collect(piece)
            elif isinstance(piece, PushRequest):
                yield from self._finish(piece)
            else:
                yield piece

    def _collect(self, element: BatchElement) -> Iterator[PushRequest]:
        batch = self._batches[element.vendor]
        if not element.repeat and self._rng.random() < self._mix.rebatch:
            # The same record in its other spelling is the same record.
            other = self._rng.choice((element.text, batch.format.mend(element.text)))
            self._push(self._rng.randint(3, 30), msgspec.structs.replace(element, text=other, repeat=True))
        batch.elements.append(element)
        if len(batch.elements) >= batch.size:
            yield from self._finish_batch(batch)

    def _finish_batch(self, batch: OpenBatch) -> Iterator[PushRequest]:
        rng, vendor = self._rng, batch.vendor
        texts = [element.text for element in batch.elements]
        expected = [element.expected for element in batch.elements]
        if rng.random() < self._mix.bad_element and len(texts) < _LARGEST_BATCH:
            at = rng.randint(0, len(texts))
            text, code = batch.format.bad_element(rng)
            texts.insert(at, text)
            expected.insert(at, dead(vendor.name, code))
        batch.elements.clear()
        batch.size = 1 if rng.random() < _SMALL_BATCH else rng.randint(2, _LARGEST_BATCH)
        yield from self._finish(pushed(vendor.name, "batch", vendor.path, batch.format.body(texts), *expected))

    def _finish(self, request: PushRequest) -> Iterator[PushRequest]:
        """The request as it goes out, now and then with a repetition later and a broken companion."""
        rng = self._rng
        if request.label.startswith("repeat"):
            yield request
            return
        if request.label.startswith("poison"):
            if rng.random() < self._mix.repeat:
                again = requests.labelled(request, f"repeat of {request.label}")
                self._push(rng.randint(1, 40), msgspec.structs.replace(again, mark=""))
            yield request
            return
        if rng.random() < self._mix.broken:
            yield broken_body(rng, request)
        if rng.random() < self._mix.compressed:
            request = requests.compressed(request, rng.choice(("gzip", "deflate")))
        elif rng.random() < _TEXT_SHARE:
            request = requests.as_text(request)
        if rng.random() < self._mix.repeat:
            self._push(rng.randint(1, 40), requests.labelled(request, f"repeat of {request.label}"))
        yield request
