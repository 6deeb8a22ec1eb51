"""Failpoints and their order: an armed one is reached at its moment, and a plan goes through all of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chaos.judge.judge import Finding
from tests.chaos.kills.failpoints import SINK, WORK_DONE, WORKER, Failpoint, Moment, arm
from tests.chaos.kills.kill_plan import plan
from tests.chaos.kills.kill_report import KillLine, KillReport, kill_table


class Killed(BaseException):
    """Raised in place of the signal."""


def killed() -> None:
    raise Killed


def part() -> Any:
    """A class with something of everything, made anew because arming changes it."""

    class Part:
        def __init__(self) -> None:
            self.did: list[object] = []

        async def work(self, what: str, *, fail: bool = False) -> str:
            self.did.append(what)
            if fail:
                raise ValueError(what)
            return what

        def send(self, body: Iterator[bytes]) -> None:
            for chunk in body:
                self.did.append(chunk)

    return Part


def armed(cls: Any, function: str, moment: Moment, passage: int = 1, **more: Any) -> None:
    counts = more.pop("counts", lambda: True)
    point = Failpoint(name="x", part="sink", owner=cls, function=function, moment=moment, **more)
    arm(point, passage, counts, killed)


@pytest.mark.parametrize(
    ("moment", "did"), [("before", ["one"]), ("after", ["one", "two"])], ids=["just before", "when it has returned"]
)
async def test_a_process_ends_at_the_moment_and_the_passage(moment: Moment, did: list[str]) -> None:
    cls = part()
    armed(cls, "work", moment, passage=2)
    it = cls()
    await it.work("one")
    with pytest.raises(Killed):
        await it.work("two")

    assert it.did == did


async def test_a_process_ends_when_a_function_has_raised_and_not_when_it_returned() -> None:
    cls = part()
    armed(cls, "work", "raised")
    it = cls()
    assert await it.work("good") == "good"
    with pytest.raises(Killed):
        await it.work("bad", fail=True)


def test_a_process_ends_with_half_of_what_it_sends_on_its_way() -> None:
    cls = part()
    armed(cls, "send", "half sent")
    it = cls()
    with pytest.raises(Killed):
        it.send(body=iter([b"abcd", b"efgh"]))

    assert it.did == [b"abcd"]


CHOSEN: list[tuple[str, Callable[[Any], bool]]] = [
    ("arguments", lambda call: call["what"] == "this"),
    ("result", lambda call: call["result"] == "this"),
]


@pytest.mark.parametrize("when", [when for _, when in CHOSEN], ids=[name for name, _ in CHOSEN])
async def test_only_the_chosen_calls_count(when: Callable[[Any], bool]) -> None:
    cls = part()
    armed(cls, "work", "after", when=when)
    it = cls()
    await it.work("that")
    with pytest.raises(Killed):
        await it.work("this")


async def test_passages_before_the_first_commit_do_not_count_where_that_is_asked() -> None:
    cls, after_commit = part(), False
    armed(cls, "work", "before", counts=lambda: after_commit)
    it = cls()
    await it.work("early")
    after_commit = True
    with pytest.raises(Killed):
        await it.work("late")


@pytest.mark.parametrize("points", [SINK, WORKER], ids=["sink", "worker"])
def test_every_point_names_a_function_of_the_product(points: tuple[Failpoint, ...]) -> None:
    assert all(callable(getattr(point.owner, point.function)) for point in points)
    assert len({point.name for point in points}) == len(points)
    assert all(callable(getattr(*WORK_DONE[point.part])) for point in points)


def test_a_plan_is_repeated_by_its_seed_and_uses_every_point_alike() -> None:
    plans = [
        [(step.point.name, step.passage, step.after_commit) for step in plan(SINK, 1000, seed)] for seed in (1, 1, 2)
    ]
    often = Counter(name for name, _, _ in plans[0])

    assert plans[0] == plans[1] != plans[2]
    assert set(often.values()) == {1000 // len(SINK)}
    assert [name for name, _, _ in plans[0][: len(SINK)]] == [point.name for point in SINK]


def test_a_point_of_the_start_is_never_waited_for_after_a_commit() -> None:
    steps = list(plan((*SINK, *WORKER), 2000, 3))

    assert not any(step.after_commit and step.point.once for step in steps)
    assert all(step.after_commit for step in steps if step.point.needs and not step.point.once)


def test_the_table_has_kills_harms_and_the_time_back() -> None:
    report = KillReport(
        seed=1,
        lines={
            "sink: a": KillLine(kills=3, back_s=[1.0, 2.0, 9.0]),
            "worker: b": KillLine(kills=1, harms=Counter({"lost": 1})),
        },
        acked=10,
        refused=0,
        took_s=60,
        findings=(Finding(harm="lost", where=("", ""), text="a call"),),
    )
    rows = [line.split() for line in kill_table(report).splitlines()]

    assert ["sink:", "a", "3", "0", "0", "0", "3", "2.00", "s", "9.00", "s"] in rows
    assert ["worker:", "b", "1", "1", "0", "0", "0", "-", "-"] in rows
    assert ["all", "4", "1", "0", "0", "3", "2.00", "s", "9.00", "s"] in rows
    assert (report.kills("sink"), report.kills("worker"), report.clean) == (3, 1, False)
