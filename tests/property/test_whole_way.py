"""Failures between a vendor and the views: these always show what an undisturbed world shows.

250 worlds are tried, in the long lane 400 for each step of `CALLWEAVE_TEST_SCALE`; a failure names its seed, and
`CALLWEAVE_TEST_SEED` repeats that one alone.
"""

import contextlib
import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processors.store import segments, telling
from processors.store.rocks import LocalStore
from schemas.topics import RAW
from sinks.rows import DEAD_LETTERS
from tests.property.whole_way.broker import PARTITIONS
from tests.property.whole_way.rules import ANY_ORDER, NAIVE, RIGHT, Rules
from tests.property.whole_way.world import World, play, wrongs
from tests.support.scale import SCALE

SEEDS = 250 if SCALE == 1 else 400 * SCALE
"""Number of worlds; each naive way fails in one of the first 200."""
ONE = os.environ.get("CALLWEAVE_TEST_SEED")
SHARE = 50
"""Number of worlds that a process tries at once."""
ORDER_SEEDS = SEEDS // 25
LARGE_SEEDS = SEEDS // 5
DISK_SEEDS = SEEDS // 5
CAUGHT = (1, 2, 4, 6, 8, 29, 33, 53, 199)
"""Seeds of worlds in which naive ways failed; these are tried before all others."""
NAIVE_SEEDS = 5000
HAPPENS_SEEDS = 50


def _search_for_garbage_rarely() -> None:
    """Switch off the search for cycles: a world is freed as a whole, and searching takes a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(autouse=True)
def _garbage_is_searched_for_rarely() -> Iterator[None]:
    threshold = gc.get_threshold()
    _search_for_garbage_rarely()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def _failures(seeds: Sequence[int]) -> list[str]:
    """Return what is wrong in these worlds, tried in a process of its own."""
    return [f"seed {seed}: {found}" for seed in seeds if (found := wrongs(seed, RIGHT))]


@pytest.mark.timeout(0)
def test_no_failure_loses_doubles_or_changes_a_call() -> None:
    """Crashes, zombies, torn batches, lost and late answers, outages of all three stores, clock jumps."""
    seeds = [int(ONE)] if ONE else range(SEEDS)
    shares = [seeds[first : first + SHARE] for first in range(0, len(seeds), SHARE)]
    context = multiprocessing.get_context("forkserver")  # a plain fork would not survive this process's threads
    with ProcessPoolExecutor(mp_context=context, initializer=_search_for_garbage_rarely) as pool:
        for found in pool.map(_failures, shares):
            assert not found


@pytest.mark.parametrize("share", [10, 0], ids=["told by growth and by the clock", "told by the clock alone"])
@pytest.mark.timeout(0)
def test_no_failure_loses_doubles_or_changes_a_large_call(monkeypatch: pytest.MonkeyPatch, share: int) -> None:
    """Every call counts as one: its state is written in segments, and what is known is told later."""
    monkeypatch.setattr(segments, "LARGE", 0)
    monkeypatch.setattr(telling, "SHARE", share)
    for seed in range(LARGE_SEEDS):
        found = wrongs(seed, RIGHT)
        assert not found, f"seed {seed}: {found}"


@pytest.mark.parametrize("large", [segments.LARGE, 0], ids=["small calls", "every call is large"])
@pytest.mark.timeout(0)
def test_no_failure_loses_doubles_or_changes_a_call_that_is_kept_on_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, large: int
) -> None:
    """All workers of all worlds share one RocksDB, each with stores of its own."""
    monkeypatch.setattr(segments, "LARGE", large)
    with contextlib.closing(LocalStore(tmp_path)) as store:
        rules = msgspec.structs.replace(RIGHT, new_calls=store.new_calls)
        for seed in range(DISK_SEEDS):
            found = wrongs(seed, rules)
            assert not found, f"seed {seed}: {found}"


NAIVE_LARGE: dict[str, tuple[type, str, Any]] = {
    "a stored state does not say what was told": (telling.Untold, "told", lambda *_: None),
    "what waits is told by growth alone": (telling.Untold, "take_due", lambda *_: []),
}


@pytest.mark.parametrize(("owner", "name", "way"), NAIVE_LARGE.values(), ids=NAIVE_LARGE.keys())
def test_a_naive_way_of_telling_is_caught(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, way: Callable[..., object]
) -> None:
    monkeypatch.setattr(segments, "LARGE", 0)
    monkeypatch.setattr(telling, "SHARE", 0)
    monkeypatch.setattr(owner, name, way)
    assert any(wrongs(seed, RIGHT) for seed in range(NAIVE_SEEDS))


@pytest.mark.parametrize("rules", ANY_ORDER.values(), ids=ANY_ORDER.keys())
@pytest.mark.timeout(0)
def test_the_position_rule_alone_holds_in_every_order_of_writes(rules: Rules) -> None:
    """Facts are safe by the position rule; only timeouts need the order of writes as well."""
    for seed in range(ORDER_SEEDS):
        found = wrongs(seed, rules)
        assert not found, f"seed {seed}: {found}"


@pytest.mark.parametrize("rules", NAIVE.values(), ids=NAIVE.keys())
def test_a_naive_way_is_caught(rules: Rules) -> None:
    """Negative controls: a world that cannot fail them proves nothing about the right way."""
    assert any(wrongs(seed, rules) for seed in (*CAUGHT, *range(NAIVE_SEEDS)))


HAPPENS: dict[str, Callable[[World], int]] = {
    "bodies are acknowledged": lambda world: len(world.vendors.acknowledged),
    "bodies are spooled": lambda world: len(world.disk.stored),
    "bodies are on the raw topic more often than acknowledged": lambda world: (
        sum(len(world.broker.logs[RAW.name, number]) for number in range(PARTITIONS)) - len(world.vendors.acknowledged)
    ),
    "partitions change hands": lambda world: world.processing.generation + world.sinking.generation - 2,
    "a zombie's commit is refused": lambda world: world.processing.refused + world.sinking.refused,
    "calls time out before the end": lambda world: int(world.jumped),
    "bodies cannot be read": lambda world: len(world.clickhouse.views[DEAD_LETTERS.name]),
}


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """Some worlds at rest."""
    return [play(seed) for seed in range(HAPPENS_SEEDS)]


@pytest.mark.parametrize("count", HAPPENS.values(), ids=HAPPENS.keys())
def test_it_happens_in_these_worlds(worlds: list[World], count: Callable[[World], int]) -> None:
    """A world in which nothing happens would prove nothing."""
    assert sum(map(count, worlds)) >= HAPPENS_SEEDS / 10
