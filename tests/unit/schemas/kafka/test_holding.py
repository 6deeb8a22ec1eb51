"""The next fetch of a consumer is held, unless the operator has set bounds."""

from typing import Any

import pytest

from schemas.kafka.holding import hold

ENOUGH_BYTES = 65_536


class Asking:
    """Bounds that a consumer was made with, or its fetcher asks with, under aiokafka's names."""

    def __init__(self, min_bytes: int, wait_ms: int) -> None:
        self._fetch_min_bytes, self._fetch_max_wait_ms = min_bytes, wait_ms


@pytest.mark.parametrize(
    ("min_bytes", "wait_ms", "held_ms", "asked"),
    [
        pytest.param(1, 500, [25], (ENOUGH_BYTES, 25), id="held"),
        pytest.param(1, 500, [25, 0], (1, 500), id="then answered with the first record"),
        pytest.param(1, 500, [25, 0, 60], (ENOUGH_BYTES, 60), id="and then held again"),
        pytest.param(1, 7, [25], (ENOUGH_BYTES, 7), id="an operator who waits for less"),
        pytest.param(5000, 100, [25], (5000, 100), id="an operator with a bound of bytes"),
    ],
)
def test_the_next_fetch_is_held(min_bytes: int, wait_ms: int, held_ms: list[int], asked: tuple[int, int]) -> None:
    consumer: Any = Asking(min_bytes, wait_ms)
    consumer._fetcher = fetcher = Asking(min_bytes, wait_ms)

    for each in held_ms:
        hold(consumer, each, ENOUGH_BYTES)

    assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == asked
