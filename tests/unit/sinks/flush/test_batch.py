"""Batches of the sink: their rows, when they are due, and the offsets to commit after them."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.raw import Position
from sinks.flush.batch import BatchPolicy, Origin, SinkBatch, paced

POLICY = BatchPolicy(max_rows=5, max_bytes=4000, max_age_s=0.5)

records = st.lists(
    st.tuples(
        st.sampled_from(["calls.normalized", "calls.timelines"]),
        st.integers(0, 2),
        st.binary(max_size=900),
        st.booleans(),
    )
)


def origin(topic: str, partition: int, offset: int, value: bytes = b"") -> Origin:
    return Origin(position=Position(topic, partition, offset), key=None, value=value)


@given(records)
def test_batches_lose_and_repeat_nothing_and_keep_their_bounds(arrivals: list[tuple[Any, ...]]) -> None:
    """Every record is in exactly one batch; the offsets are those of its last records; the bounds hold."""
    batch, batches = SinkBatch(POLICY, 0.0), []
    ends: dict[tuple[str, int], int] = {}
    for topic, partition, value, makes_row in arrivals:
        place = (topic, partition)
        ends[place] = ends.get(place, 0) + 1
        came = origin(topic, partition, ends[place] - 1, value)
        batch.add(place, [came], [came] if makes_row else [])
        if batch.due(0.1):
            batches.append(batch)
            batch = SinkBatch(POLICY, 0.0)
    batches.append(batch)

    rows = [
        (topic, one.position.partition, one.value)
        for b in batches
        for topic, found in b.origins.items()
        for one in found
    ]
    assert sorted(rows) == sorted(arrival[:3] for arrival in arrivals if arrival[3])
    committed: dict[tuple[str, int], int] = {}
    for one in batches:
        for place, offset in one.offsets().items():
            assert offset > committed.get(place, 0)
            committed[place] = offset
        held = [origin for found in one.origins.values() for origin in found]
        assert one.rows == len(held) <= POLICY.max_rows
        assert sum(len(origin.value or b"") for origin in held[:-1]) < POLICY.max_bytes
    assert committed == ends


def test_a_batch_is_due_by_the_time_since_the_insert_before_it() -> None:
    batch = SinkBatch(POLICY, 10.0)
    assert (batch.due(1e9), batch.wait_s(1e9)) == (False, None)
    batch.add(("calls.timelines", 0), [origin("calls.timelines", 0, 7)], [])
    assert not batch.due(10.4)
    assert batch.wait_s(10.4) == pytest.approx(0.1)
    batch.add(("calls.timelines", 0), [row := origin("calls.timelines", 0, 8)], [row])
    assert (batch.due(10.5), batch.wait_s(10.5)) == (True, 0.0)


def test_a_record_that_comes_alone_does_not_wait() -> None:
    batch = SinkBatch(POLICY, -math.inf)
    batch.add(("calls.timelines", 0), [origin("calls.timelines", 0, 7)], [])
    assert (batch.due(0.0), batch.wait_s(0.0)) == (True, 0.0)


def test_a_batch_is_due_when_it_is_full_whatever_its_age() -> None:
    batch = SinkBatch(POLICY, 0.0)
    for offset in range(5):
        assert not batch.due(0.0)
        assert batch.room == 5 - offset
        batch.add(("calls.normalized", 0), [row := origin("calls.normalized", 0, offset)], [row])
    assert batch.due(0.0)
    assert batch.room == 0


def test_a_record_met_again_does_not_move_the_offset_back() -> None:
    batch = SinkBatch(POLICY, 0.0)
    batch.add(("calls.normalized", 1), [origin("calls.normalized", 1, 9)], [])
    batch.add(("calls.normalized", 1), [origin("calls.normalized", 1, 3)], [])
    assert batch.offsets() == {("calls.normalized", 1): 10}


def test_records_that_make_no_row_count_for_the_size_too() -> None:
    """Their bytes are held until the batch is flushed, because they become dead letters."""
    batch = SinkBatch(POLICY, 0.0)
    for offset in range(4):
        assert not batch.due(0.0)
        batch.add(("calls.normalized", 0), [origin("calls.normalized", 0, offset, b"x" * 999)], [])
    assert batch.due(0.0)


@pytest.mark.parametrize(
    "parts",
    [{"key": b"k" * 999}, {"headers": (("trace", b"x" * 994),)}, {"headers": (("x" * 999, None),)}],
    ids=["a key", "a header's value", "a header's name"],
)
def test_keys_and_headers_are_held_as_well(parts: dict[str, Any]) -> None:
    batch = SinkBatch(POLICY, 0.0)
    for offset in range(4):
        assert not batch.due(0.0)
        made = Origin(**{"position": Position("calls.normalized", 0, offset), "key": None, "value": b"", **parts})
        batch.add(("calls.normalized", 0), [made], [])
    assert batch.due(0.0)


@pytest.mark.parametrize(
    ("rows", "gathered_s", "late_s", "age_s"),
    [
        pytest.param(1000, 0.5, 0.2, 0.5, id="rows in time"),
        pytest.param(4000, 0.5, 0.2, 0.8, id="eight thousand rows a second"),
        pytest.param(50_000, 0.5, 0.2, 1.0, id="many more: never more than twice the age"),
        pytest.param(50_000, 0.0, 0.2, 1.0, id="in less than the clock shows"),
        pytest.param(4000, 3600.0, 0.2, 0.5, id="many at once after an hour of none"),
        pytest.param(1000, 0.5, 1.5, 0.75, id="rows that come late are gathered for half of that"),
        pytest.param(4000, 0.5, 1.8, 0.9, id="many that come late: the longer of both"),
        pytest.param(1000, 0.5, 3600.0, 2.0, id="an hour of backlog: never more than four times the age"),
        pytest.param(1000, 0.5, -5.0, 0.5, id="a clock that is behind"),
        pytest.param(9, 0.5, 3600.0, 0.5, id="few rows, as those of calls that nobody ended"),
        pytest.param(1000, math.inf, 0.2, 0.5, id="the first batch"),
    ],
)
def test_a_batch_is_gathered_for_longer_while_many_rows_come_or_late(
    rows: int, gathered_s: float, late_s: float, age_s: float
) -> None:
    later = paced(POLICY, rows, gathered_s, late_s)
    assert later == msgspec.structs.replace(POLICY, max_age_s=age_s)
    batch = SinkBatch(later, 100.0)
    batch.add(("calls.normalized", 0), [row := origin("calls.normalized", 0, 1)], [row])
    assert [batch.due(100.0 + age_s - 0.01), batch.due(100.0 + age_s)] == [False, True]
