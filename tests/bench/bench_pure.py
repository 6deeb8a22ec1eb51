"""The pure functions alone, in CPU microseconds, which limit everything else: `python -m tests.bench pure`.

The best of several runs is shown. "An event" is one element of the push vendors' mix: a state, a record or a binding.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from processors.normalise import Directory, Reading
from processors.store.partition import PartitionState
from processors.store.state_codec import decode_state, encode_state
from processors.timeline.build import timelines_of
from schemas.codec import FACT, STAGE_FACT, TIMELINE
from schemas.config.limits import DEFAULT
from schemas.config.settings import JoinSettings
from schemas.facts import Fact
from schemas.raw import Position
from schemas.timeline import Timeline
from sinks.columns import NO_TOKENS
from sinks.rows import TIMELINES, table_of
from sinks.writing.native_block import Block
from tests.bench.support.bodies import AT, Keyed, facts, pulled, push_requests, pushed
from tests.bench.support.lines import Line, show

RUNS = 5
BATCH = 100
"""The number of facts of one partition that come in one record batch under load."""
TOGETHER = 128
"""The number of bodies that the worker reads step by step together."""
NOW_MS = int(AT.timestamp() * 1000)


def new_us(sets: Sequence[Sequence[Keyed]]) -> float:
    """Returns CPU microseconds per element of the fastest of several sets of bodies, none of which came before.

    Tables of numbers, times and words would hide what an element costs that was not seen before: most are new.
    """
    took = []
    for raws in sets:
        began = time.process_time()
        count = normalised(raws)
        took.append((time.process_time() - began) / count)
    return min(took) * 1e6


def best_us(work: Callable[[], object], count: int) -> float:
    """Returns CPU microseconds per item of the fastest run."""
    work()
    took = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took) / count * 1e6


def normalised(raws: Sequence[Keyed]) -> int:
    """Normalises bodies as the worker does, step by step together; returns the number of facts in them."""
    accounts, count = Directory(), 0
    for start in range(0, len(raws), TOGETHER):
        some = raws[start : start + TOGETHER]
        readings = [
            Reading(each.raw, Position("calls.raw", 0, start + number), accounts, DEFAULT)
            for number, each in enumerate(some)
        ]
        for reading in readings:
            reading.decode()
        for reading in readings:
            reading.map()
        count += sum([len(reading.finish().facts) for reading in readings])
    return count


def new_sets(*vendors: str) -> list[list[Keyed]]:
    """Returns bodies of several days, in sets: other calls with other numbers and other times in each."""
    if vendors == ("tencent",):
        pages = pulled(2000 * (RUNS + 1))
        size = len(pages) // (RUNS + 1)
        return [pages[start : start + size] for start in range(0, size * (RUNS + 1), size)]
    days = range(RUNS + 1)
    return [pushed(push_requests(1000, *vendors, seed=day + 1, at=AT - timedelta(days=day))) for day in days]


def joined(some: Sequence[Fact]) -> tuple[list[Timeline], list[bytes]]:
    """Joins as the worker does with one partition: a call's timelines and state once a record batch."""
    held = PartitionState(JoinSettings())
    timelines: list[Timeline] = []
    states: dict[str, bytes | None] = {}
    for start in range(0, len(some), BATCH):
        shown = {}
        for fact in some[start : start + BATCH]:
            for _ in held.advance(NOW_MS):
                pass
            if (state := held.apply(fact).shown) is not None:
                shown[fact.call_key] = state
        for state in shown.values():
            timelines += timelines_of(state)
        states |= held.take_changed()
    return timelines, [value for value in states.values() if value]


def rows_built(some: Sequence[Fact], timelines: Sequence[Timeline]) -> None:
    by_table: dict[str, list[Fact]] = {}
    for fact in some:
        by_table.setdefault(table_of(fact).name, []).append(fact)
    for same in by_table.values():
        Block(same, NO_TOKENS).of(table_of(same[0]))
    Block(timelines, NO_TOKENS).of(TIMELINES)


def costs_us(sets: Sequence[Sequence[Keyed]]) -> dict[str, float]:
    """Returns microseconds per element for every step that an element of the mix goes through."""
    mix = sets[0]
    some = facts(mix)
    timelines, states = joined(some)
    count = len(some)
    values, drawn = [FACT.encode(fact) for fact in some], [TIMELINE.encode(each) for each in timelines]
    packed = [STAGE_FACT.encode(fact) for fact in some]
    known = [decode_state(state) for state in states]
    return {
        "decode, map and seal": new_us(sets),
        "a fact to MessagePack": best_us(lambda: [STAGE_FACT.encode(fact) for fact in some], count),
        "a fact from MessagePack": best_us(lambda: [STAGE_FACT.decode(value) for value in packed], count),
        "a fact to Avro": best_us(lambda: [FACT.encode(fact) for fact in some], count),
        "a fact from Avro": best_us(lambda: [FACT.decode(value) for value in values], count),
        "join: state, merge, timeline, state": best_us(lambda: joined(some), count),
        "a timeline to Avro": best_us(lambda: [TIMELINE.encode(each) for each in timelines], len(timelines)),
        "a timeline from Avro": best_us(lambda: [TIMELINE.decode(value) for value in drawn], len(drawn)),
        "a state to bytes": best_us(lambda: [encode_state(state) for state in known], len(known)),
        "a state from bytes": best_us(lambda: [decode_state(state) for state in states], len(states)),
        "a fact and a timeline to rows": best_us(lambda: rows_built(some, timelines), count),
    }


def whole_us(costs: dict[str, float]) -> float:
    """Returns the time of one element on one core: as a fact between the stages, and as a fact and a call behind."""
    inside = ("a state to bytes", "a state from bytes")
    return sum(value for name, value in costs.items() if name not in inside)


def measure() -> list[Line]:
    """Measures every vendor's mapping, then the mix step by step."""
    lines = []
    for vendor in ("nxcloud", "ytx", "huawei", "tencent"):
        what = f"{vendor}: decode, map and seal an element"
        lines.append(Line(bench="pure", what=what, value=new_us(new_sets(vendor)), unit="us"))
    costs = costs_us(new_sets("nxcloud", "ytx", "huawei"))
    lines += [Line(bench="pure", what=f"mix: {name}", value=value, unit="us") for name, value in costs.items()]
    lines.append(Line(bench="pure", what="mix: all of it, on one core", value=1e6 / whole_us(costs), unit="events/s"))
    return lines


if __name__ == "__main__":
    show(measure())
