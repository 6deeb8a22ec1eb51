"""The time for which the next fetch waits, after one that brought records and after one that brought none."""

from typing import Any

import pytest

from processors.engine.gathering import GATHER_BYTES, LEAST_MS, MOST_MS, gather, gathering_ms


class Asking:
    """Bounds that a consumer was made with, or its fetcher asks with, under aiokafka's names."""

    def __init__(self, min_bytes: int, wait_ms: int) -> None:
        self._fetch_min_bytes, self._fetch_max_wait_ms = min_bytes, wait_ms


@pytest.mark.parametrize(
    ("records", "waits_ms"),
    [
        pytest.param(0, 0, id="none"),
        pytest.param(1, LEAST_MS, id="one"),
        pytest.param(9, 36, id="some"),
        pytest.param(2000, MOST_MS, id="many"),
    ],
)
def test_records_wait_for_others_the_longer_the_more_come(records: int, waits_ms: int) -> None:
    assert gathering_ms(records) == waits_ms


@pytest.mark.parametrize(
    ("a_second", "waits_ms"),
    [
        pytest.param(100, LEAST_MS, id="100 a second"),
        pytest.param(200, LEAST_MS, id="200 a second"),
        pytest.param(350, MOST_MS, id="350 a second"),
        pytest.param(20_000, MOST_MS, id="20,000 a second"),
    ],
)
@pytest.mark.parametrize("begins_ms", [LEAST_MS, MOST_MS])
def test_a_steady_rate_finds_its_time_from_wherever_it_begins(a_second: int, waits_ms: int, begins_ms: int) -> None:
    wait_ms = begins_ms
    for _ in range(50):
        wait_ms = gathering_ms(max(1, a_second * wait_ms // 1000))

    assert wait_ms == waits_ms


@pytest.mark.parametrize(
    ("min_bytes", "wait_ms", "brought", "asked"),
    [
        pytest.param(1, 500, [3], (GATHER_BYTES, LEAST_MS), id="records came"),
        pytest.param(1, 500, [3, 0], (1, 500), id="then none"),
        pytest.param(1, 500, [3, 0, 3], (GATHER_BYTES, LEAST_MS), id="and then some again"),
        pytest.param(1, 7, [3], (GATHER_BYTES, 7), id="an operator who waits for less"),
        pytest.param(5000, 100, [3], (5000, 100), id="an operator with a bound of bytes"),
    ],
)
def test_fetches_wait_for_more_while_records_come(
    min_bytes: int, wait_ms: int, brought: list[int], asked: tuple[int, int]
) -> None:
    consumer: Any = Asking(min_bytes, wait_ms)
    consumer._fetcher = fetcher = Asking(min_bytes, wait_ms)

    for each in brought:
        gather(consumer, each)

    assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == asked
