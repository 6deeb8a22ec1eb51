"""The order of what is sent: calls cut into payloads, then disordered, repeated, corrected, batched anew and broken.

A schedule is a heap of places in the stream, not of times: the sender decides how fast it goes. Everything random comes
from the seed, so that the same seed and clock give the same bytes in the same order.
"""

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from deploy.simulator import broken, expectation, requests
from deploy.simulator.calls import people
from deploy.simulator.calls.truth import Scenario, TrueBinding, TrueCall
from deploy.simulator.calls.world import World
from deploy.simulator.expectation import Expectation
from deploy.simulator.poison.deck import Deck
from deploy.simulator.requests import Offer, Send, pushed
from deploy.simulator.vendors import huawei, nxcloud, ytx
from schemas.facts import Disposition, Kind

_LARGEST_BATCH: Final = 10
_SMALL_BATCH: Final = 0.4
_TEXT_SHARE: Final = 0.03
_GB_SHARE: Final = 0.03
_CONFLICT_S: Final = 7


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Shares between 0 and 1 of what is not as it should be."""

    disorder: float = 0.3
    """Two-way calls whose states and record come in any order."""
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
    """Two-way records in the broken form that the document prints."""
    poison: float = 0.0
    """Happenings beside which traffic is sent that once stopped, hid or falsified a call."""


class BatchElement(msgspec.Struct, frozen=True, kw_only=True):
    """A batch's element that waits for its batch."""

    text: str
    told: Expectation
    repeat: bool = False


Piece = Send | Offer | BatchElement


class Traffic:
    """An endless stream of requests, as far as it is asked for."""

    def __init__(self, *, seed: int, vendors: Mapping[str, float], mix: Mix, clock: Callable[[], datetime]) -> None:
        self._world = World(seed=seed, vendors=vendors, clock=clock)
        self._rng: random.Random = people.seeded(f"traffic/{seed}")
        self._mix = mix
        self._deck = Deck(self._world, people.seeded(f"poison/{seed}"))
        self._heap: list[tuple[int, int, Piece]] = []
        self._place = 0
        self._made = 0
        self._batch: list[BatchElement] = []
        self._batch_size = 1
        self.calls = 0
        self.scenarios: dict[Scenario, int] = {}

    def stream(self, calls: int = 0) -> Iterator[Send | Offer]:
        """Everything about `calls` happenings, then what is still scheduled; 0: without end."""
        while not calls or self.calls < calls:
            self._happen()
            yield from self._due(until=self._place)
            self._place += 1
        yield from self.rest()

    def rest(self) -> Iterator[Send | Offer]:
        """What an unfinished stream still has scheduled, without new calls."""
        yield from self._due(until=None)
        while self._batch:
            yield from self._finish_batch()
            yield from self._due(until=None)

    def _happen(self) -> None:
        if self._mix.poison and self._rng.random() < self._mix.poison:
            for place, item in enumerate(self._deck.deal()):
                self._push(place, item)
        made = self._world.happen()
        self.calls += 1
        scenario = made.scenario if isinstance(made, TrueBinding) else made[0].scenario
        self.scenarios[scenario] = self.scenarios.get(scenario, 0) + 1
        if isinstance(made, TrueBinding):
            body = huawei.body(huawei.binding(made))
            self._push(0, pushed("huawei", "binding", huawei.PATH, body, expectation.binding(made)))
            return
        for call in made:
            self._plan(call)

    def _plan(self, call: TrueCall) -> None:
        first, later = self._versions(call)
        if call.vendor == "tencent":
            self._push(0, Offer(vendor=call.vendor, call=first, later=later))
            return
        record_at = self._plan_states(call) if call.has_states else 0
        if call.has_record:
            self._push(record_at, self._piece(first, "record"))
        if later:
            label = "conflict" if later.duration_s != first.duration_s else "update"
            self._push(record_at + self._rng.randint(5, 40), self._piece(later, label))

    def _versions(self, call: TrueCall) -> tuple[TrueCall, TrueCall | None]:
        """What the record says at first, and what a later copy of it says."""
        replace, chance = msgspec.structs.replace, self._rng.random()
        if not call.has_record:
            return call, None
        if call.recording_url and call.kind is not Kind.CONFERENCE_LEG and chance < self._mix.update:
            return replace(call, recording_url=""), call
        counted = call.vendor in ("nxcloud", "ytx") and call.disposition is Disposition.ANSWERED
        if counted and chance > 1 - self._mix.conflict:
            return call, replace(call, duration_s=call.duration_s + _CONFLICT_S)
        return call, None

    def _plan_states(self, call: TrueCall) -> int:
        """Schedule the state pushes; the record's place after them, or among them."""
        pushes = sorted(ytx.states(call, self._rng), key=lambda push: push[2])
        disordered = self._rng.random() < self._mix.disorder
        for index, (leg, state, at, body) in enumerate(pushes):
            place = self._rng.randint(0, 12) if disordered else index
            self._push(place, pushed("ytx", "state", ytx.PATH, body, expectation.state(call, leg, state, at)))
        return self._rng.randint(0, 12) if disordered else len(pushes)

    def _piece(self, call: TrueCall, label: str) -> Piece:
        if call.vendor == "ytx":
            text = ytx.record(call, self._rng)
            spoilt = bool(call.custom_ref) and self._rng.random() < self._mix.spoilt
            return BatchElement(text=ytx.spoil(text) if spoilt else text, told=expectation.record(call))
        if call.vendor == "huawei":
            body = huawei.body(huawei.record(call))
            return pushed("huawei", label, huawei.PATH, body, expectation.record(call))
        encoding = "gb18030" if self._rng.random() < _GB_SHARE else "utf-8"
        body = nxcloud.body(nxcloud.record(call, self._rng), encoding)
        return pushed("nxcloud", label, nxcloud.PATH, body, expectation.record(call))

    def _push(self, delay: int, piece: Piece) -> None:
        self._made += 1
        heapq.heappush(self._heap, (self._place + delay, self._made, piece))

    def _due(self, until: int | None) -> Iterator[Send | Offer]:
        while self._heap and (until is None or self._heap[0][0] <= until):
            place, _, piece = heapq.heappop(self._heap)
            self._place = max(self._place, place)
            if isinstance(piece, BatchElement):
                yield from self._collect(piece)
            elif isinstance(piece, Send):
                yield from self._dress(piece)
            else:
                yield piece

    def _collect(self, element: BatchElement) -> Iterator[Send]:
        if not element.repeat and self._rng.random() < self._mix.rebatch:
            # The same record in its other spelling is the same record.
            other = self._rng.choice((element.text, ytx.mend(element.text)))
            self._push(self._rng.randint(3, 30), BatchElement(text=other, told=element.told, repeat=True))
        self._batch.append(element)
        if len(self._batch) >= self._batch_size:
            yield from self._finish_batch()

    def _finish_batch(self) -> Iterator[Send]:
        rng = self._rng
        texts, tellings = [e.text for e in self._batch], [e.told for e in self._batch]
        if rng.random() < self._mix.bad_element and len(texts) < _LARGEST_BATCH:
            at = rng.randint(0, len(texts))
            text, fate = broken.element(rng)
            texts.insert(at, text)
            tellings.insert(at, fate)
        self._batch.clear()
        self._batch_size = 1 if rng.random() < _SMALL_BATCH else rng.randint(2, _LARGEST_BATCH)
        yield from self._dress(pushed("ytx", "batch", ytx.PATH, ytx.batch(texts), *tellings))

    def _dress(self, send: Send) -> Iterator[Send]:
        """The request as it goes out, now and then with a repetition later and a broken companion."""
        rng = self._rng
        if send.label.startswith("repeat"):
            yield send
            return
        if send.label.startswith("poison"):
            if rng.random() < self._mix.repeat:
                again = requests.labelled(send, f"repeat of {send.label}")
                self._push(rng.randint(1, 40), msgspec.structs.replace(again, mark=""))
            yield send
            return
        if rng.random() < self._mix.broken:
            yield broken.body(rng, send)
        if rng.random() < self._mix.compressed:
            send = requests.compressed(send, rng.choice(("gzip", "deflate")))
        elif rng.random() < _TEXT_SHARE:
            send = requests.as_text(send)
        if rng.random() < self._mix.repeat:
            self._push(rng.randint(1, 40), requests.labelled(send, f"repeat of {send.label}"))
        yield send
