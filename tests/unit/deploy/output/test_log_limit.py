"""The limit on lines that a library repeats: some pass, the others are counted, and our own all pass."""

import logging
from collections.abc import Iterator, Sequence

import pytest

from deploy.output.log_limit import LINES_PER_WINDOW, WINDOW_S, LogLimit

AWAY = ("aiokafka.client", "Unable connect to node with id %s: %s")
FETCH = ("aiokafka.consumer.fetcher", "Failed fetch messages from %s: %s")
OURS = ("processors.record_clock", "no tick: %s")
Line = tuple[tuple[str, str], float]


def passed(lines: Sequence[Line]) -> Iterator[str]:
    """Returns the lines that pass, of lines at these seconds."""
    limit = LogLimit(("aiokafka",))
    for (name, text), at_s in lines:
        values = tuple("x" for _ in range(text.count("%s")))
        record = logging.LogRecord(name, logging.ERROR, __file__, 1, text, values, None)
        record.created = 1000.0 + at_s
        if limit.filter(record):
            yield record.getMessage()


CASES: dict[str, tuple[list[Line], int]] = {
    "a few of one kind all pass": ([(AWAY, n) for n in range(LINES_PER_WINDOW)], LINES_PER_WINDOW),
    "many of one kind pass a few times": ([(AWAY, n / 10) for n in range(200)], LINES_PER_WINDOW),
    "each kind for itself": ([(kind, n / 10) for n in range(100) for kind in (AWAY, FETCH)], 2 * LINES_PER_WINDOW),
    "again in the next window": ([(AWAY, n) for n in range(2 * int(WINDOW_S))], 2 * LINES_PER_WINDOW),
    "ours are never held back": ([(OURS, n / 10) for n in range(100)], 100),
    "a name that only begins alike is not meant": ([(("aiokafkaesque", "text"), 0.0)] * 10, 10),
}


@pytest.mark.parametrize(("lines", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_passed(lines: list[Line], expected: int) -> None:
    assert len(list(passed(lines))) == expected


def test_what_was_left_out_is_counted() -> None:
    flood: list[Line] = [(AWAY, n / 10) for n in range(200)]

    *_, last = passed([*flood, (AWAY, 40)])

    assert last == f"Unable connect to node with id x: x ({200 - LINES_PER_WINDOW} more like it in 40 s)"


def test_a_line_of_a_quiet_library_passes_unchanged() -> None:
    *_, last = passed([(AWAY, 0), (AWAY, 100)])

    assert last == "Unable connect to node with id x: x"


def test_kinds_are_texts_without_their_values() -> None:
    """There are any number of values: the filter's memory must not grow with them."""
    limit = LogLimit(("aiokafka",))
    for number in range(1000):
        limit.filter(logging.LogRecord(AWAY[0], logging.ERROR, __file__, 1, AWAY[1], (number, "away"), None))

    assert len(limit._windows) == 1
