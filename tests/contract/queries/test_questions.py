"""Every question of `deploy/queries.sql` finds what a person would, in a database with the calls of all the others."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import pytest
from msgspec.structs import replace

from deploy.analysis.asking import all_questions, answer
from deploy.analysis.prefix_file import Prefix
from deploy.analysis.prefixes import load
from schemas.metrics import Registry
from schemas.privacy.tokens import NumberTokens
from sinks.clickhouse import ClickHouse
from sinks.rollups.marks import Marks
from sinks.rollups.roller import Roller
from tests.contract.queries import (
    finance_cases,
    fraud_cases,
    neighbour_cases,
    operations_cases,
    sales_cases,
    support_cases,
)
from tests.contract.queries.made_days import Case
from tests.contract.views.conftest import unmigrated_settings
from tests.support.processes.made_tables import make_in

PARTS: Final = (support_cases, sales_cases, finance_cases, fraud_cases, operations_cases)
CASES: Final[tuple[Case, ...]] = tuple(case for part in PARTS for case in part.CASES)
ALL: Final = (*CASES, *neighbour_cases.CASES)
QUESTIONS: Final = all_questions()
TOKENS: Final = NumberTokens("3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c")
PREFIXES: Final = (
    Prefix(prefix="+4490", name="Premium of Britain", kind="premium"),
    Prefix(prefix="+86131", name="Mobile", kind="mobile"),
)
NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
FIGURES: Final = "asr_drop"
"""The question that reads figures, which are computed for its own days alone."""


@pytest.fixture(scope="module")
async def filled(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """Yields a database with the rows of all cases."""
    settings = unmigrated_settings(clickhouse_url)
    async with ClickHouse(settings.clickhouse, TOKENS) as db:
        await make_in(db, settings)
        rows = sorted({id(row): row for case in ALL for row in case.day.rows}.values(), key=lambda row: row[0].name)
        for _, some in groupby(rows, key=lambda row: row[0].name):
            table_rows = list(some)
            await db.insert(table_rows[0][0], [row for _, row in table_rows])
        marks = Marks(db)
        await marks.set({row.slot_at for case in CASES if case.question == FIGURES for table, row in case.day.rows})
        await Roller(db, marks, Registry()).once()
        await load(settings.clickhouse, PREFIXES)
        yield db
        await db.command(f"DROP DATABASE {db.database}")


def test_every_question_has_a_case_and_every_case_an_answer() -> None:
    assert len(QUESTIONS) == 40
    assert sorted(case.question for case in CASES) == sorted(QUESTIONS)
    assert [case.question for case in CASES if not case.expected] == []


async def asked(db: ClickHouse, case: Case, view: str = "v_") -> list[tuple[Any, ...]]:
    """Returns the columns of the answer that the case compares; `view` begins the names of the views of calls."""
    question = QUESTIONS[case.question]
    sql = re.sub(r"\bv_(timelines|cdr|call_events|other_parties)\b", rf"{view}\1", question.sql)
    sent = {name: value for name, value in case.values.items() if name in question.types}
    names, rows = await answer(db.settings, replace(question, sql=sql), sent, NOW)
    if not rows:  # then there are no names either
        return []
    columns = [names.index(column) for column in case.columns.split()]
    return [itemgetter(*columns)(row) if len(columns) > 1 else (row[columns[0]],) for row in rows]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.question)
async def test_a_question_finds_what_is_there_and_nothing_else(filled: ClickHouse, case: Case) -> None:
    assert await asked(filled, case) == list(case.expected)


NEEDS_NUMBERS: Final = re.compile(r"\b(from|to|other)_number\b|legs\.number\b|v_conflicts|record_id|v_dead_letters")


@pytest.mark.parametrize(
    "case",
    [case for case in ALL if not NEEDS_NUMBERS.search(QUESTIONS[case.question].sql)],
    ids=lambda case: case.question,
)
async def test_the_masked_views_give_the_analyst_the_same_answer(filled: ClickHouse, case: Case) -> None:
    assert await asked(filled, case, "masked_") == list(case.expected)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_says_what_it_asks_and_gives_an_example_of_each_parameter(question: Any) -> None:
    assert question.asked[0].isupper()
    assert question.asked[-1] in "?."
    assert list(question.examples) == [*(name for name in question.examples if name not in ("from", "to")), *(
        name for name in ("from", "to") if name in question.examples
    )]  # fmt: skip
    assert set(question.examples) == set(question.types)
    assert question.sql.startswith(("SELECT", "WITH"))
