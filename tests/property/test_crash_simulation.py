"""Whatever dies whenever: what is believed in the end is what the log says. The naive ways must be caught by the same world.

`CALLWEAVE_TEST_SEEDS` sets how many worlds are tried; a failure names its seed, and `wrongs(seed)` repeats it exactly.
"""

import os

import pytest

from tests.property.crash_simulation import RIGHT, Rules, wrongs

SEEDS = int(os.environ.get("CALLWEAVE_TEST_SEEDS", "10000"))
PARTS = 10
ORDER_SEEDS = 500
NAIVE_SEEDS = 5000


@pytest.mark.parametrize("part", range(PARTS))
def test_no_failure_makes_a_wrong_timeline_or_a_wrong_count(part: int) -> None:
    """Position rule; outputs, then states, then the offset; crashes, zombies, double writes and old commits at every step."""
    for seed in range(part, SEEDS, PARTS):
        found = wrongs(seed, RIGHT)
        assert not found, f"seed {seed}: {found}"


ANY_ORDER = {
    "states before outputs": Rules(order=("states", "outputs", "offset"), time_passes=False),
    "outputs and states mixed": Rules(interleaved=True, time_passes=False),
}


@pytest.mark.parametrize("rules", ANY_ORDER.values(), ids=ANY_ORDER.keys())
def test_the_position_rule_alone_holds_in_every_order_of_writes(rules: Rules) -> None:
    """Facts are safe by the rule; the order of writes is what timeouts need besides."""
    for seed in range(ORDER_SEEDS):
        found = wrongs(seed, rules)
        assert not found, f"seed {seed}: {found}"


NAIVE = {
    "seen, so drop: states before outputs": Rules(drop_what_was_seen=True, order=("states", "outputs", "offset")),
    "seen, so drop: outputs and states mixed": Rules(drop_what_was_seen=True, interleaved=True),
    "the offset before the outputs": Rules(order=("offset", "outputs", "states")),
    "the offset before the states": Rules(order=("outputs", "offset", "states")),
    "states before outputs, with timeouts": Rules(order=("states", "outputs", "offset")),
    "the last state wins over a zombie's": Rules(last_state_wins=True),
}


@pytest.mark.parametrize("rules", NAIVE.values(), ids=NAIVE.keys())
def test_a_naive_way_is_caught(rules: Rules) -> None:
    """Negative controls: a world that cannot fail them proves nothing about the right way.

    Of the first 500 worlds they spoil 451, 426, 388, 256, 2 and 31.
    """
    assert any(wrongs(seed, rules) for seed in range(NAIVE_SEEDS))
