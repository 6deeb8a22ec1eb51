"""The table of two releases: what a bench printed is read, and what both have stands side by side."""

from tests.bench.against.baseline import beside, values
from tests.bench.support.lines import Line, head

LINES = [
    Line(bench="whole way", what="HTTP to rows, warm: CPU of all", value=1262.4, unit="us/event", limit=512.0),
    Line(bench="whole way", what="post to row at 200 events/s, p50", value=0.51, unit="s"),
]


def test_what_is_printed_is_read() -> None:
    table = "\n".join(["2 cores, load 8.6 before the start", "", head(), *(line.text() for line in LINES)])
    assert values(table) == {
        "HTTP to rows, warm: CPU of all (us/event)": 1262.0,
        "post to row at 200 events/s, p50 (s)": 0.51,
    }


def test_only_what_both_have_is_compared_by_its_median() -> None:
    ours = {"a (us)": [1.0, 3.0, 2.0], "new (s)": [1.0]}
    (_, line) = beside(ours, {"a (us)": [4.0], "old (s)": [1.0]})
    assert line.split() == ["a", "(us)", "2.00", "4.00", "0.50"]
