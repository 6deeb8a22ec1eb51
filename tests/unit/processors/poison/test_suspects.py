"""Suspicion and poison: a record needs two deaths, one of them at nothing else."""

import random

import pytest

from processors.poison.suspects import KEPT_MS, Book, RecordPlace, WorkerEnd
from processors.records import Record, RecordBatch

RAW = "calls.raw"
STAMP = 1_700_000_000_000


def place(first: int, after: int, *, partition: int = 0, stamp: int | None = None, topic: str = RAW) -> RecordPlace:
    return RecordPlace(
        topic=topic,
        partition=partition,
        first=first,
        next=after,
        timestamp_ms=STAMP + first if stamp is None else stamp,
    )


def death(where: RecordPlace | None, at_ms: int = 0, cause: str = "") -> WorkerEnd:
    return WorkerEnd(worker="w", at_ms=at_ms, place=where, cause=cause)


def book(*deaths: RecordPlace | None) -> Book:
    found = Book()
    for at_ms, where in enumerate(deaths):
        found = found.died(death(where, at_ms))
    return found


def records(first: int, after: int, *, made_anew: bool = False) -> RecordBatch:
    shift = 10**9 if made_anew else 0
    return RecordBatch(
        topic=RAW,
        partition=0,
        records=tuple(
            Record(offset=n, timestamp_ms=STAMP + n + shift, key=None, value=b"%d" % n) for n in range(first, after)
        ),
        first_offset=first,
        next_offset=after,
    )


def verdicts(known: Book, batch: RecordBatch) -> list[tuple[int, int, str]]:
    return [(portion.first_offset, portion.next_offset, verdict) for portion, verdict, _ in known.portions(batch)]


@pytest.mark.parametrize(
    ("deaths", "portions"),
    [
        pytest.param([], [(0, 6, "clear")], id="nobody died"),
        pytest.param([None, None, None], [(0, 6, "clear")], id="three died while they waited"),
        pytest.param([place(3, 4)], [(0, 3, "clear"), (3, 4, "suspect"), (4, 6, "clear")], id="one died at a record"),
        pytest.param([place(0, 1)], [(0, 1, "suspect"), (1, 6, "clear")], id="at the first"),
        pytest.param([place(5, 6)], [(0, 5, "clear"), (5, 6, "suspect")], id="at the last"),
        pytest.param(
            [place(2, 5)],
            [(0, 2, "clear"), (2, 3, "suspect"), (3, 4, "suspect"), (4, 5, "suspect"), (5, 6, "clear")],
            id="one died somewhere in a batch: one by one",
        ),
        pytest.param(
            [place(0, 6), place(0, 6)],
            [(n, n + 1, "suspect") for n in range(6)],
            id="two died somewhere in a batch: none of its records is known to be it",
        ),
        pytest.param(
            [place(0, 6), place(3, 4)],
            [(0, 1, "suspect"), (1, 2, "suspect"), (2, 3, "suspect"), (3, 4, "poison"), (4, 5, "suspect"), (5, 6, "suspect")],
            id="in a batch, then at one of its records",
        ),
        pytest.param([place(3, 4)] * 2, [(0, 3, "clear"), (3, 4, "poison"), (4, 6, "clear")], id="twice at one record"),
        pytest.param([place(3, 4)] * 5, [(0, 3, "clear"), (3, 4, "poison"), (4, 6, "clear")], id="five times"),
        pytest.param(
            [place(2, 3), place(3, 4)],
            [(0, 2, "clear"), (2, 3, "suspect"), (3, 4, "suspect"), (4, 6, "clear")],
            id="once at each of two",
        ),
        pytest.param([place(3, 4, partition=1)] * 2, [(0, 6, "clear")], id="at another partition's"),
        pytest.param([place(3, 4, topic="calls.facts")] * 2, [(0, 6, "clear")], id="at another topic's"),
        pytest.param([place(7, 9)], [(0, 6, "clear")], id="further on"),
        pytest.param(
            [place(3, 4), place(3, 4, stamp=5)],
            [(0, 6, "clear")],
            id="at two records that had the same offset: the topic was made anew in between",
        ),
    ],
)  # fmt: skip
def test_what_a_death_says(deaths: list[RecordPlace | None], portions: list[tuple[int, int, str]]) -> None:
    assert verdicts(book(*deaths), records(0, 6)) == portions


@pytest.mark.parametrize("deaths", [[place(3, 4)], [place(3, 4)] * 2], ids=["a suspect", "poison"])
def test_another_record_at_the_same_offset_is_not_accused(deaths: list[RecordPlace]) -> None:
    assert verdicts(book(*deaths), records(0, 6, made_anew=True)) == [(0, 6, "clear")]


@pytest.mark.parametrize(
    ("deaths", "below", "suspects"),
    [
        pytest.param([place(0, 6)], 6, [], id="all of it is done"),
        pytest.param([place(0, 6)], 4, [(4, 6)], id="a part of it is done"),
        pytest.param([place(3, 4)], 3, [(3, 4)], id="what comes before it is done"),
        pytest.param([place(3, 4), place(8, 9)], 6, [(8, 9)], id="one of two is done"),
        pytest.param([place(3, 4, partition=1)], 6, [(3, 4)], id="another partition is not"),
    ],
)
def test_what_is_done_is_suspected_no_more(
    deaths: list[RecordPlace], below: int, suspects: list[tuple[int, int]]
) -> None:
    left = book(*deaths).clear_below(RAW, 0, below)

    assert [(one.place.first, one.place.next) for one in left.suspects] == suspects


def test_poison_stays_poison_until_its_offset_is_committed_for_sure() -> None:
    """A worker that is killed before the commit comes to the record once more."""
    known = book(place(3, 4), place(3, 4)).clear_below(RAW, 0, 6)

    assert (3, 4, "poison") in verdicts(known, records(0, 6))
    assert verdicts(known.at(KEPT_MS + 2), records(0, 6)) == [(0, 6, "clear")]


@pytest.mark.parametrize(
    ("offset", "value", "headers", "partition", "verdict"),
    [
        pytest.param(90, b"3", (), 0, "copy", id="the same bytes further on"),
        pytest.param(90, b"3", (), 5, "copy", id="the same bytes in another partition"),
        pytest.param(90, b"4", (), 0, "clear", id="as many other bytes"),
        pytest.param(90, b"33", (), 0, "clear", id="more bytes"),
        pytest.param(90, None, (), 0, "clear", id="no bytes"),
        pytest.param(90, b"3", (("replay_of", b"calls.raw/0/3"),), 0, "clear", id="sent again by a person: it has its own two chances"),
        pytest.param(3, b"3", (), 5, "copy", id="the same offset of another partition"),
        pytest.param(3, b"3", (), 0, "poison", id="itself"),
    ],
)  # fmt: skip
def test_what_has_the_bytes_of_poison(
    offset: int, value: bytes | None, headers: tuple[tuple[str, bytes], ...], partition: int, verdict: str
) -> None:
    """A worker that dies in the join has written the fact again each time; a vendor sends its body five times."""
    known = book(place(3, 4), place(3, 4)).put_aside(place(3, 4), b"3")
    record = Record(offset=offset, timestamp_ms=STAMP + offset, key=None, value=value, headers=headers)
    batch = RecordBatch(topic=RAW, partition=partition, records=(record,), first_offset=offset, next_offset=offset + 1)

    assert [found for _, found, _ in known.portions(batch)] == [verdict]


def test_bytes_that_are_not_put_aside_yet_accuse_no_copy() -> None:
    known = book(place(3, 4), place(3, 4))
    record = Record(offset=90, timestamp_ms=STAMP, key=None, value=b"3")

    assert [
        found
        for _, found, _ in known.portions(
            RecordBatch(topic=RAW, partition=0, records=(record,), first_offset=90, next_offset=91)
        )
    ] == ["clear"]


def test_nothing_is_held_against_a_record_after_a_day() -> None:
    known = Book().died(death(place(3, 4), at_ms=10))

    assert verdicts(known.at(KEPT_MS + 9), records(0, 6)) != [(0, 6, "clear")]
    assert known.at(KEPT_MS + 10) == Book()


def test_the_latest_deaths_are_counted_and_the_oldest_forgotten() -> None:
    known = book(*[None] * 500)

    assert len(known.ends) == 100
    assert [end.at_ms for end in known.ends_since(498)] == [498, 499]


def test_what_is_far_away_costs_nothing() -> None:
    """A day of ten thousand poison records costs a batch without any of them nothing."""
    known = book(*(place(n * 10, n * 10 + 1) for n in range(50) for _ in range(2)))

    assert len(known.poison) == 50
    assert not known.against(records(101, 105))
    assert known.against(records(101, 115))


class Life:
    """Workers one after the other on a partition, as in `processors.stages.quarantine`, killed from outside by chance.

    Computing one record takes a unit of time, publishing a portion ten; a kill comes at a random unit of a life of
    4,000.
    """

    def __init__(self, chance: random.Random, poison: frozenset[int]) -> None:
        self.chance, self.deadly = chance, poison
        self.book = Book()
        self.committed = 0
        self.dead_letters: set[int] = set()
        self.lives = 0

    def live(self, end: int, batch_records: int) -> None:
        self.lives += 1
        left = self.chance.randrange(4_000)
        while self.committed < end:
            batch = records(self.committed, min(end, self.committed + batch_records))
            for portion, verdict, _ in list(self.book.portions(batch)):
                if verdict == "poison":
                    self.dead_letters.add(portion.first_offset)
                    continue
                for record in portion.records:
                    left -= 1
                    if record.offset in self.deadly or left < 0:
                        self.book = self.book.died(death(place(record.offset, record.offset + 1)))
                        return
                left -= 10
                if left < 0:
                    self.book = self.book.died(death(None))
                    return
            self.book = self.book.clear_below(RAW, 0, batch.next_offset)
            self.committed = batch.next_offset


@pytest.mark.parametrize("seed", range(40))
def test_random_kills_accuse_no_innocent_record_and_poison_is_found(seed: int) -> None:
    """After hundreds of kills, half of them during a computation, only the killing record becomes a dead letter."""
    chance = random.Random(seed)
    deadly = frozenset(chance.sample(range(20_000), 5))
    world = Life(chance, deadly)
    while world.committed < 20_000 and world.lives < 2_000:
        world.live(20_000, batch_records=chance.choice([50, 500, 1000]))

    assert world.committed == 20_000
    assert world.dead_letters == deadly


def test_of_a_loop_and_a_thread_both_are_suspected_and_the_guilty_one_is_found() -> None:
    """One death accuses both places; done alone, only one of them kills again."""
    body = RecordPlace(topic="calls.raw", partition=1, first=5, next=6)
    facts = RecordPlace(topic="calls.facts", partition=2, first=30, next=40)
    once = Book().died(WorkerEnd(worker="w", at_ms=1, place=facts, thread_place=body))
    twice = once.died(WorkerEnd(worker="w", at_ms=2, thread_place=body))

    assert ([one.place for one in once.suspects], once.poison, len(once.ends)) == ([facts, body], (), 1)
    assert ([one.place for one in twice.suspects], [one.place for one in twice.poison]) == ([facts], [body])
