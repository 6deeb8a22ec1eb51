"""The joiner's cost as it remembers more: participants of one call, and calls: a part of `python -m tests.bench join`.

`CALLS=10000,1000000,10000000` are the numbers of remembered calls, and `STORES=memory,rocksdb` where they are:
in memory a gigabyte holds about 1.5 million. Each line is the least of several measurements in CPU time, beside
the limit that is wanted, so that 1 or less is on target.
"""

import contextlib
import gc
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from processors.join import CallState, step
from processors.records import Record
from processors.stages.join_outputs import Outputs
from processors.store.calls import Calls, MemoryCalls, NewCalls
from processors.store.changelog import StateLog, new_writer
from processors.store.partition import PartitionState
from processors.store.rocks import LocalStore
from processors.store.state_codec import encode_state
from schemas.codec import Codecs
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from tests.bench.support.lines import Line
from tests.support.strategies import BOTH_LEGS, callback, in_a_row, participant

STORES: Final = tuple(os.environ.get("STORES", "memory,rocksdb").split(","))
CALLS: Final = tuple(int(number) for number in os.environ.get("CALLS", "10000,100000,1000000").split(","))
SETTINGS: Final = JoinSettings()
WRITER: Final = new_writer(0)
CODECS: Final = Codecs()
RUNS: Final = 5
AT_ONCE: Final = 50
NEW_CALLS: Final = 200
MOST_GROWTH: Final = 1.2
OPEN_B: Final = 400
SETTLED_B: Final = 24
RESTORED_S_A_MILLION: Final = 10
MOST_OF_FIFTH: Final = 3
GAPS_MS: Final = (10, 500, 2000)
"""Times between two participants on the record clock: records of a conference that is over, and people who come in."""


def measure() -> list[Line]:
    """Measure a conference's participants, then growth, memory and restore at each number of calls."""
    lines = [*conference()]
    for store in STORES:
        with contextlib.ExitStack() as opened:
            new_calls = _stores(store, opened)
            lines += memory(store, new_calls)
            lines += growth(store, new_calls)
        gc.collect()
    return lines


def _stores(store: str, opened: contextlib.ExitStack) -> NewCalls:
    if store == "memory":
        return MemoryCalls
    folder = opened.enter_context(tempfile.TemporaryDirectory())
    return opened.enter_context(contextlib.closing(LocalStore(Path(folder)))).new_calls


def conference() -> Iterator[Line]:
    """Measure a whole step a participant: joined, told, encoded and stored, one participant a batch."""
    people = in_a_row([participant(f"+86138{number:08d}", number, 600 + number) for number in range(600)])
    for gap_ms in GAPS_MS:
        costs = [min(each) for each in zip(*(_steps(people, gap_ms) for _ in range(3)), strict=True)]
        fifth, last = _mean_us(costs[2:7]), _mean_us(costs[450:550])
        every = f"one each {gap_ms} ms"
        yield _line(f"the fifth participant of a conference, {every}", fifth, "us")
        yield _line(f"the 500th, {every}", last, "us", MOST_OF_FIFTH * fifth)


def _steps(people: Sequence[Fact], gap_ms: int) -> list[float]:
    held, costs = PartitionState(SETTINGS, WRITER.name), []
    for number, fact in enumerate(people):
        began = time.process_time()
        out = Outputs()
        for key, done in held.advance(number * gap_ms):
            out.take(done, key)
        out.take(held.apply(fact), fact.call_key)
        out.messages(CODECS, 0)
        held.take_changed()
        costs.append(time.process_time() - began)
    return costs


def memory(store: str, new_calls: NewCalls) -> Iterator[Line]:
    """Measure resident bytes of a call that waits."""
    kinds = (
        ("an open call of one event", BOTH_LEGS[:1], OPEN_B),
        ("a settled call of one record", [callback()], SETTLED_B),
    )
    kept = []  # what one kind leaves free the next one would take
    for what, facts, limit in kinds:
        stored, before = encode_state(_joined(in_a_row(facts)), short=True), _resident_bytes()
        held = PartitionState(SETTINGS, calls=new_calls())
        for number in range(CALLS[0] * 10):
            held.load(_key(number), [_copy(stored)])
        kept.append(held)
        yield _line(f"{store}: memory of {what}", (_resident_bytes() - before) / len(held), "B", limit)


def growth(store: str, new_calls: NewCalls) -> Iterator[Line]:
    """Measure the joining of new calls and of repeated records among more and more calls, and the restore of these."""
    stored = encode_state(_joined(in_a_row([callback()])), short=True)
    resident, first = _resident_bytes(), 0.0
    kept: dict[int, float] = {}
    for size in CALLS:
        calls = new_calls()
        held = PartitionState(SETTINGS, WRITER.name, calls)
        seconds = _restore(held, calls, stored, size)
        yield _line(
            f"{store}: restore of {size:,} calls, without Kafka", seconds, "s", RESTORED_S_A_MILLION * size / 1e6
        )
        costs = [_join_us(held, run * NEW_CALLS, size) for run in range(RUNS)]
        first = first or min(costs)
        yield _line(f"{store}: a fact among {size:,} remembered calls", min(costs), "us", MOST_GROWTH * first)
        kept[size] = _resident_bytes()
    for (fewer, before), (more, after) in pairwise(kept.items()):  # without what a store takes whatever it holds
        each = (after - before) / (more - fewer)
        yield _line(f"{store}: memory of a further settled call, {fewer:,} to {more:,}", each, "B", SETTLED_B)
    yield _line(f"{store}: memory for all of these", (_resident_bytes() - resident) / (1 << 20), "MiB")


def _restore(held: PartitionState, calls: Calls, stored: bytes, size: int) -> float:
    log, seconds = StateLog(calls), 0.0
    for first in range(0, size, 2000):
        records = [
            Record(
                offset=number, timestamp_ms=0, key=_key(number).encode(), value=_copy(stored), headers=WRITER.headers
            )
            for number in range(first, min(first + 2000, size))
        ]
        began = time.process_time()
        for record in records:
            log.take(record)
        seconds += time.process_time() - began
    began = time.process_time()
    for call in log.calls():
        held.load(*call)
    return seconds + time.process_time() - began


def _join_us(held: PartitionState, first: int, known: int) -> float:
    facts, again = in_a_row([*BOTH_LEGS, callback()]), in_a_row([callback()], first_offset=99)[0]
    calls = [[_of_call(fact, f"new{number:029d}") for fact in facts] for number in range(first, first + NEW_CALLS)]
    copies = [_of_call(again, f"{number * known // NEW_CALLS:032d}") for number in range(NEW_CALLS)]
    began, joined = time.process_time(), 0
    for at in range(0, NEW_CALLS, AT_ONCE):
        for batch in (*zip(*calls[at : at + AT_ONCE], strict=True), copies[at : at + AT_ONCE]):
            for fact in batch:
                held.apply(fact)
            joined += len(batch)
            held.take_changed()
    return (time.process_time() - began) / joined * 1e6


def _joined(facts: Sequence[Fact]) -> CallState:
    state: CallState | None = None
    for fact in facts:
        state = step(state, fact, 0, SETTINGS).state
    assert state is not None
    return state


def _of_call(fact: Fact, call: str) -> Fact:
    return msgspec.structs.replace(fact, call_key=f"ytx|main|{call}")


def _key(number: int) -> str:
    return f"ytx|main|{number:032d}"


def _copy(stored: bytes) -> bytes:
    """Return the bytes at a place of their own, as a broker gives them."""
    return bytes(bytearray(stored))


def _mean_us(costs: Sequence[float]) -> float:
    return sum(costs) / len(costs) * 1e6


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _line(what: str, value: float, unit: str, limit: float = 0.0) -> Line:
    return Line(bench="join", what=what, value=value, unit=unit, limit=limit)
