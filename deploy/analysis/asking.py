"""Asks a question of `deploy/queries.sql`, and prints the answer as a table, CSV or JSON lines."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.analysis.parameters import checked
from deploy.analysis.questions import Question, given, read_questions, within
from deploy.output.printable import printable
from schemas.config.settings import ClickHouseSettings
from schemas.errors import CallweaveError
from sinks.clickhouse import ClickHouse

FILE: Final = Path(__file__).parents[1] / "queries.sql"
Rows = Sequence[Sequence[Any]]


def all_questions() -> dict[str, Question]:
    """Returns all questions by name."""
    return read_questions(FILE.read_text("utf-8"))


def question_named(name: str) -> Question:
    """Returns a question; raises `CallweaveError` when there is none of the name."""
    found = all_questions().get(name)
    if found is None:
        raise CallweaveError(f"there is no question {name!r}: `callweave query` lists them", code="usage")
    return found


def listing() -> str:
    """Returns the names and questions for people, by group."""
    lines: list[str] = []
    group = ""
    for one in all_questions().values():
        if one.group != group:
            group = one.group
            lines += ["", group]
        lines.append(f"  {one.name:<24} {one.asked}")
    return "\n".join(lines[1:])


async def answer(
    settings: ClickHouseSettings, question: Question, sent: Mapping[str, str], now: datetime
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Returns the names of the columns and the rows; without `from` and `to` of the last day.

    Raises `CallweaveError` for a parameter that is wrong or missing, `Unavailable` and `SetupError`.
    """
    last_day = {"from": f"{now - timedelta(days=1):%Y-%m-%d %H:%M:%S}", "to": f"{now:%Y-%m-%d %H:%M:%S}"}
    values = checked(given(question, sent, last_day), question.types)
    async with ClickHouse(settings) as client:
        return await client.table(within(question.sql, client.database), values)


def as_table(names: Sequence[str], rows: Rows) -> str:
    """Returns aligned columns for a terminal."""
    cells = [list(names), *([printable(_text(value)) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def as_csv(names: Sequence[str], rows: Rows) -> str:
    """Returns comma-separated values with a first line of names (RFC 4180); what is not known is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_text(value) for value in row] for row in rows)
    return out.getvalue().removesuffix("\n")


def as_json(names: Sequence[str], rows: Rows) -> str:
    """Returns one JSON object a line; amounts of money are text, so that no reader rounds them."""
    return "\n".join(msgspec.json.encode(dict(zip(names, row, strict=True)), enc_hook=str).decode() for row in rows)


FORMATS: Final[Mapping[str, Callable[[Sequence[str], Rows], str]]] = {
    "table": as_table,
    "csv": as_csv,
    "json": as_json,
}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return str(value)
