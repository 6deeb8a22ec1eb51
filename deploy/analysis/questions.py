"""The questions of `deploy/queries.sql`: reads the file into one record for each. Pure.

A question is a block of lines: `-- name: NAME`, the question as comment lines, `-- parameter: example` for each
parameter, and the statement. `-- == GROUP` stands before the first question of a group.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Final

import msgspec

from schemas.errors import CallweaveError

_GROUP: Final = "-- == "
_NAME: Final = "-- name: "
_EXAMPLE: Final = re.compile(r"-- (\w+):(?: (.*))?")
_PARAMETER: Final = re.compile(r"\{(\w+):([^}]+)\}")
_VIEW: Final = re.compile(r"\b(FROM|JOIN) (v_\w+|masked_\w+)")
_NUMBER: Final = re.compile(r"U?Int\d+|Float\d+")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question about calls, and the query that answers it."""

    name: str
    group: str
    asked: str
    """The question in plain words."""
    examples: Mapping[str, str]
    """An example of each parameter, in the order in which people give them."""
    sql: str

    @property
    def types(self) -> dict[str, str]:
        """The ClickHouse type of each parameter that the query has."""
        return dict(_PARAMETER.findall(self.sql))

    @property
    def defaults(self) -> dict[str, str]:
        """The parameters that need not be given: bounds, whose examples are usual ones, and filters that are open."""
        types = self.types
        return {name: value for name, value in self.examples.items() if not value or _NUMBER.fullmatch(types[name])}


def read_questions(text: str) -> dict[str, Question]:
    """Returns the questions of the file by name, in its order."""
    return {one.name: one for one in _questions(text)}


def _questions(text: str) -> Iterator[Question]:
    group = ""
    for block in re.split(rf"^(?={_GROUP}|{_NAME})", text, flags=re.MULTILINE)[1:]:
        first, _, rest = block.partition("\n")
        if first.startswith(_GROUP):
            group = first.removeprefix(_GROUP)
            continue
        lines = rest.strip().splitlines()
        comments = list(takewhile(lambda line: line.startswith("-- "), lines))
        examples = {found[1]: found[2] or "" for line in comments if (found := _EXAMPLE.fullmatch(line))}
        said = [line.removeprefix("-- ") for line in comments if not _EXAMPLE.fullmatch(line)]
        sql = "\n".join(line for line in lines if not line.startswith("--")).strip()
        yield Question(
            name=first.removeprefix(_NAME),
            group=group,
            asked=" ".join(said),
            examples=examples,
            sql=sql.removesuffix(";"),
        )


def within(sql: str, database: str) -> str:
    """Returns the query with the database before the name of each view, for a connection that has another one."""
    return _VIEW.sub(rf"\1 {database}.\2", sql)


def given(question: Question, sent: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Returns the value of each parameter: what was sent, else a default.

    Raises `CallweaveError` for a parameter that the question has not, or that nobody gave.
    """
    unknown = [name for name in sent if name not in question.types]
    if unknown:
        takes = ", ".join(question.examples) or "none"
        raise CallweaveError(f"{question.name} has no parameter {unknown[0]!r}; it takes {takes}", code="usage")
    values = {**defaults, **question.defaults, **sent}
    missing = [name for name in question.types if name not in values]
    if missing:
        example = question.examples[missing[0]]
        raise CallweaveError(f"{question.name} needs --param {missing[0]}=..., as {example!r}", code="usage")
    return {name: values[name] for name in question.types}
