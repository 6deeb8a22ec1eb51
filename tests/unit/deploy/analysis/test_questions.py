"""Questions: how the file is read, and how parameters and answers are handled."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from deploy.analysis.asking import FORMATS, all_questions
from deploy.analysis.questions import Question, given, read_questions, within
from deploy.cli.main import main
from schemas.errors import CallweaveError

FILE = """-- A page about questions.

-- == Support

-- name: one
-- Who called?
-- Whoever it was.
-- number: +8613000000001
-- vendor:
-- most: 5
-- from: 2026-03-01 00:00:00
SELECT a -- not a comment of ours
FROM v_one
-- a comment of ours
WHERE n = {number:String} AND v = {vendor:String} AND at >= {from:DateTime('UTC')} LIMIT {most:UInt32};

-- == Sales

-- name: two
-- What is two?
SELECT 2;
"""


def test_a_file_is_read_into_its_questions() -> None:
    one, two = read_questions(FILE).values()
    assert (one.name, one.group, one.asked) == ("one", "Support", "Who called? Whoever it was.")
    assert one.examples == {"number": "+8613000000001", "vendor": "", "most": "5", "from": "2026-03-01 00:00:00"}
    assert one.types == {"number": "String", "vendor": "String", "from": "DateTime('UTC')", "most": "UInt32"}
    assert one.defaults == {"vendor": "", "most": "5"}
    assert one.sql.startswith("SELECT a -- not a comment of ours\nFROM v_one\nWHERE")
    assert (two.group, two.examples, two.sql) == ("Sales", {}, "SELECT 2")


@pytest.fixture
def one() -> Question:
    return read_questions(FILE)["one"]


def test_what_is_not_given_has_its_default(one: Question) -> None:
    assert given(one, {"number": "+86", "most": "7"}, {"from": "now", "to": "later"}) == {
        "number": "+86", "vendor": "", "most": "7", "from": "now",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        pytest.param({}, r"one needs --param number=\.\.\., as '\+8613000000001'", id="missing"),
        pytest.param(
            {"number": "1", "x": "2"}, "one has no parameter 'x'; it takes number, vendor, most, from", id="unknown"
        ),
    ],
)
def test_a_wrong_parameter_is_told(one: Question, sent: dict[str, str], sentence: str) -> None:
    with pytest.raises(CallweaveError, match=sentence):
        given(one, sent, {"from": "now"})


def test_views_get_their_database_and_nothing_else_does() -> None:
    sql = "WITH v_x AS (SELECT 1) SELECT v_y FROM v_timelines AS t JOIN masked_cdr USING (v) WHERE a IN (SELECT b FROM missed)"
    assert within(sql, "d") == sql.replace("FROM v_t", "FROM d.v_t").replace("JOIN masked", "JOIN d.masked")


NAMES = ("day", "at", "cost", "tags", "said", "none")
ROW = (
    date(2026, 3, 1), datetime(2026, 3, 1, 8, tzinfo=UTC), Decimal("0.100000"), ["a", "b"], 'x,"y"\x1b', None,
)  # fmt: skip
SHOWN = {
    "table": '2026-03-01  2026-03-01 08:00:00  0.100000  a b   x,"y"\\u001b',
    "csv": '2026-03-01,2026-03-01 08:00:00,0.100000,a b,"x,""y""\x1b",',
    "json": '{"day":"2026-03-01","at":"2026-03-01T08:00:00Z","cost":"0.100000","tags":["a","b"],"said":"x,\\"y\\"\\u001b","none":null}',
}


@pytest.mark.parametrize("form", FORMATS)
def test_an_answer_has_the_form_that_is_asked_for(form: str) -> None:
    lines = FORMATS[form](NAMES, [ROW, ROW]).splitlines()
    assert lines[-2:] == [SHOWN[form]] * 2
    assert len(lines) == {"table": 4, "csv": 3, "json": 2}[form]
    assert form == "json" or lines[0].replace(",", " ").split() == list(NAMES)


def test_the_command_lists_the_questions_and_prints_one() -> None:
    listed = CliRunner().invoke(main, ["query"])
    assert listed.exit_code == 0
    assert [name for name in all_questions() if f"  {name} " not in listed.output] == []
    printed = CliRunner().invoke(main, ["query", "asr_drop", "--sql"])
    assert printed.output.startswith("-- Where is the share of answered calls much lower")
    assert "-- min_attempts: 50\n" in printed.output
    assert "{min_attempts:UInt32}" in printed.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(("nothing",), 1, "there is no question 'nothing'", id="no such question"),
        pytest.param(("agents", "--param", "from"), 2, "--param from: NAME=VALUE is wanted", id="no value"),
        pytest.param(("agents", "--param", "x=1"), 1, "agents has no parameter 'x'", id="no such parameter"),
        pytest.param(
            ("cost_of_prefix",), 1, "cost_of_prefix needs --param prefix=..., as '+8613'", id="a parameter missing"
        ),
    ],
)
def test_a_wrong_request_is_one_sentence(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = CliRunner().invoke(main, ["query", *arguments])
    assert done.exit_code == code
    assert said in done.output
