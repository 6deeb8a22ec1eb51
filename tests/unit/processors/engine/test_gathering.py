"""The time for which the next fetch waits, after one that brought records and after one that brought none."""

import pytest

from processors.engine.gathering import LEAST_MS, MOST_MS, gathering_ms


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
