"""The report and the terminal, given a file that wants to be more than data."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from deploy.output.printable import printable
from deploy.reconcile.classes import Difference, Match, Outcome
from deploy.reconcile.records import CallRecord
from deploy.reconcile.report import page
from deploy.reconcile.totals import SHOWN_OF_CLASS, Result, Totals, lines

EVIL = {
    "a script": "<script>alert(1)</script>",
    "an attribute": '"><img src=x onerror=alert(1)>',
    "a formula": '=HYPERLINK("http://192.0.2.1")',
    "a terminal's command": "\x1b[2J\x1b]0;owned\x07",
    "a text that turns round": "\u202egpj.exe",
    "a line of its own": "a\nequal 999",
}
WHEN = datetime(2026, 3, 5, 12, tzinfo=UTC)


def result(text: str, count: int = 1) -> Result:
    totals = Totals()
    for line in range(count):
        one = CallRecord(line=line + 2, call_id=text, to_number="+8613900000001", cost=Decimal("1.5"), currency=text)
        said = (Difference("cost", f"1.5 {text}", "1.4 CNY"), Difference("to_number", "+8613900000001", None))
        totals.add(Outcome(match=Match.DIFFERS, theirs=one, ours=one, differences=said))
    totals.add(Outcome(match=Match.UNREADABLE, theirs=CallRecord(line=9), note=text))
    totals.skipped[text] += 1
    return Result(
        run_id="0" * 36, file_name=text, sha256="ab" * 32, vendor="ytx", account=text, matched_by="the vendor's id of the call",
        period=(WHEN, None), zone="Asia/Shanghai", compared=("cost",), not_compared=(), tolerance_s=Decimal(1),
        tolerance_cost=Decimal("0.01"), ran_at=WHEN, totals=totals,
    )  # fmt: skip


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL)
def test_the_report_shows_what_stands_in_the_file_and_does_none_of_it(text: str) -> None:
    made = page(result(text))
    found = Tags()
    found.feed(made)

    assert found.tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert found.attributes <= {"lang", "charset", "http-equiv", "content", "class"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", made)
    assert "default-src 'none'" in made


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL)
def test_the_terminal_gets_lines_and_nothing_that_controls_it(text: str) -> None:
    for line in lines(result(text)):
        assert printable(line).isprintable()


def test_a_report_of_many_names_the_first_and_counts_the_rest() -> None:
    made = page(result("c1", SHOWN_OF_CLASS + 50))

    assert made.count("cost: 1.5 c1 / 1.4 CNY") == SHOWN_OF_CLASS
    assert "50 more are in v_reconciled_records" in made


def test_numbers_are_masked_unless_they_are_wanted() -> None:
    assert "+8613900000001" not in page(result("c1"))
    assert "to_number: +86139****0001 / none" in page(result("c1"))
    assert "to_number: +8613900000001 / none" in page(result("c1"), clear_numbers=True)
