import xml.etree.ElementTree as ET

import pytest

from tests.clients.results import SUITE, Done, Result, known_failures, read, read_suite, table


@pytest.mark.parametrize(
    ("done", "wanted"),
    [
        pytest.param(
            Done(code=0, output="version 1.2\nok a\nok b: c\n", errors="a warning"),
            Result(client="x", version="1.2", passed=2),
            id="every check passed",
        ),
        pytest.param(
            Done(code=0, output="version 1.2\nok a\nnot ok b: it broke\n", errors=""),
            Result(client="x", version="1.2", passed=1, failed=("b: it broke",)),
            id="one failed",
        ),
        pytest.param(
            Done(code=2, output="version 1.2\nok a\n", errors="Trace\npanic: gone\n"),
            Result(client="x", version="1.2", passed=1, failed=("the program ended with 2: panic: gone",)),
            id="the program broke off",
        ),
        pytest.param(
            Done(code=0, output="", errors=""),
            Result(client="x", version="?", failed=("the program ended with 0: it said nothing",)),
            id="it checked nothing",
        ),
        pytest.param(
            Done(code=0, output="version 1.2\n", errors=""),
            Result(client="x", version="1.2", failed=("the program ended with 0: version 1.2",)),
            id="it told its version and checked nothing",
        ),
    ],
)
def test_what_a_program_said(done: Done, wanted: Result) -> None:
    assert read("x", done) == wanted


_REPORT = """<testsuites><testsuite>
<testcase classname="tests.integration_tests.test_a" name="test_right"/>
<testcase classname="tests.integration_tests.test_a" name="test_skipped"><skipped message="no TLS"/></testcase>
<testcase classname="tests.integration_tests.test_a" name="test_known[sync]"><failure message="code: 514"/></testcase>
<testcase classname="tests.integration_tests.sub.test_b" name="test_new"><error message="code:
 60"/></testcase>
</testsuite></testsuites>"""


def test_the_suites_failures_are_explained_or_failed() -> None:
    known = known_failures("# No roles.\ntest_a::test_known[sync]\n\n# Another.\ntest_a::test_gone\n")
    assert known == {"test_a::test_known[sync]": "No roles.", "test_a::test_gone": "Another."}
    wanted = Result(client=SUITE, version="3", passed=1, failed=("test_b::test_new: code: 60",), explained=1, skipped=1)
    assert read_suite(ET.fromstring(_REPORT), known, "3") == wanted


def test_the_table_says_what_was_not_run_and_every_reason() -> None:
    lines = list(
        table([Result(client="x", not_run="no go on this machine"), Result(client="y", failed=("a: b", "c: d"))])
    )
    assert len(lines) == 4
    assert lines[1].endswith("NOT RUN: no go on this machine")
    assert lines[2].endswith("a: b")
    assert lines[3].strip() == "c: d"
