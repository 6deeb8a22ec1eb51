"""CPU microseconds of a fact in the joiner on this machine: `python -m tests.bench join`.

Compare the lines with each other: the best of several runs is shown, and other work on the machine still slows it.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from processors.join import CallState, merge_stored, step
from processors.records import Record
from processors.store.changelog import StateLog, new_writer
from processors.store.partition import PartitionState
from processors.store.state_codec import decode_state, encode_state
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from tests.bench.support import remembered
from tests.bench.support.lines import Line, show
from tests.support.strategies import A_STATES, BOTH_LEGS, callback, in_a_row, participant, placed

SETTINGS = JoinSettings()
RUNS = 7


def joined(facts: Sequence[Fact]) -> CallState:
    state: CallState | None = None
    for fact in facts:
        done = step(state, fact, 0, SETTINGS)
        assert done.timelines
        state = done.state
    assert state is not None
    return state


def through_bytes(facts: Sequence[Fact]) -> None:
    """Join as the worker does: states are kept as bytes between facts."""
    stored: bytes | None = None
    for fact in facts:
        done = step(decode_state(stored) if stored else None, fact, 0, SETTINGS)
        assert done.state is not None
        assert done.timelines
        stored = encode_state(done.state)


def read_back(records: Sequence[Record]) -> None:
    """Restore as a worker that takes a partition over."""
    log, held = StateLog(), PartitionState(SETTINGS)
    for record in records:
        log.take(record)
    for call in log.calls():
        held.load(*call)


def merged_each(records: Sequence[Record]) -> None:
    """Merge every record as if any could be a zombie's."""
    state: bytes | None = None
    for record in records:
        assert record.value
        if state is not None:
            state = encode_state(merge_stored(decode_state(state), decode_state(record.value), SETTINGS))
        else:
            state = record.value


def cost(what: str, work: Callable[[], object], facts: int, times: int) -> Line:
    work()
    best = min(_seconds(work, times) for _ in range(RUNS))
    return Line(bench="join", what=what, value=best / times / facts * 1e6, unit="us/fact")


def _seconds(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - began


def measure() -> list[Line]:
    """Measure steps by kind of fact, the codec of the states, and then the growth with what is remembered."""
    record = in_a_row([callback()])
    whole = in_a_row([*BOTH_LEGS, callback()])
    known = joined(whole)
    stored = encode_state(known)
    people = in_a_row([participant(f"+86138{number:08d}", number, 600) for number in range(500)])
    crowd = joined(people)
    copy = placed(callback(), 99)
    lines = [
        cost("step: a record alone", lambda: joined(record), 1, 500),
        cost("step: four states of one leg", lambda: joined(in_a_row(A_STATES)), 4, 200),
        cost("step: eight states and a record", lambda: joined(whole), 9, 100),
        cost("step: a duplicate of nine facts' record", lambda: step(known, copy, 0, SETTINGS), 1, 500),
        cost("step: a repetition within nine facts", lambda: step(known, whole[0], 0, SETTINGS).timelines, 1, 500),
        cost(
            "step: the 500th participant of a conference", lambda: step(crowd, people[-1], 0, SETTINGS).timelines, 1, 5
        ),
        cost("step and codec: a record alone", lambda: through_bytes(record), 1, 500),
        cost("step and codec: eight states and a record", lambda: through_bytes(whole), 9, 100),
        cost("encode a state of nine facts", lambda: encode_state(known), 1, 200),
        cost("decode a state of nine facts", lambda: decode_state(stored), 1, 200),
    ]
    headers = new_writer(0).headers
    log = [Record(offset=n, timestamp_ms=0, key=b"k", value=stored, headers=headers) for n in range(1000)]
    merging = cost("read back: a state's record, if each were merged", lambda: merged_each(log), len(log), 1)
    reading = cost("read back: a state's record", lambda: read_back(log), len(log), 20)
    lines += [msgspec.structs.replace(reading, limit=merging.value), merging]
    sizes = ((1, joined(record)), (9, known), (500, crowd))
    lines += [
        Line(bench="join", what=f"stored state of {count} facts", value=len(encode_state(state)), unit="B")
        for count, state in sizes
    ]
    return lines + remembered.measure()


if __name__ == "__main__":
    show(measure())
