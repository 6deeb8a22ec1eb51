"""The schedule of faults: a seed repeats it, every fault gets its turn, and no two hit the same target at once."""

from itertools import islice

import pytest

from tests.chaos.faults.faults import TABLE, Step, schedule

MANY = 1000


def steps(seed: int, count: int = MANY, **options: object) -> list[Step]:
    return list(islice(schedule(seed, **options), count))  # type: ignore[arg-type]  # passed through


def test_a_seed_repeats_its_schedule_and_another_one_does_not() -> None:
    assert steps(7) == steps(7)
    assert steps(7, 20) != steps(8, 20)


def test_every_fault_has_its_turn_before_any_comes_again() -> None:
    first = [step.injections[0].fault.name for step in steps(3, len(TABLE))]

    assert sorted(first) == sorted(fault.name for fault in TABLE)


def test_what_is_left_out_never_comes() -> None:
    names = {one.fault.name for step in steps(3, without=("sink killed",)) for one in step.injections}

    assert names == {fault.name for fault in TABLE} - {"sink killed"}


@pytest.mark.parametrize("seed", range(5))
def test_faults_of_one_step_never_hit_the_same_target(seed: int) -> None:
    """The end of one would end the other; brokers and ClickHouse count as one target each."""
    together = [step.injections for step in steps(seed) if len(step.injections) > 1]

    assert together
    for one, other in together:
        assert not set(one.targets) & set(other.targets)
        for whole in ("broker", "clickhouse"):
            assert not all(
                each.fault.action.startswith(whole) or f"{whole}-disk" in each.targets for each in (one, other)
            )


def test_a_fault_hits_as_many_targets_for_as_long_as_its_row_says() -> None:
    for step in steps(1):
        for one in step.injections:
            assert len(set(one.targets)) == one.fault.at_once
            assert set(one.targets) <= set(one.fault.targets)
            assert one.fault.min_s <= one.duration_s <= one.fault.max_s
