"""The lists of topics, flags, dead-letter codes and enum members in `schemas/README.md`, made from the code.

`python -m deploy.admin.contract_lists` writes them anew; a test compares the two.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from schemas import errors
from schemas.enums import (
    AuditEvent,
    Direction,
    Disposition,
    FactType,
    Flag,
    Kind,
    NumberKind,
    RecordingState,
    Role,
    State,
)
from schemas.errors import DEAD_CODES
from schemas.topics import TOPICS, Topic

FILE: Final = Path(errors.__file__).with_name("README.md")
ENUMS: Final[tuple[type[StrEnum], ...]] = (
    Kind,
    FactType,
    Direction,
    Disposition,
    State,
    Role,
    NumberKind,
    RecordingState,
    AuditEvent,
)
BEGIN: Final = "<!-- written by python -m deploy.admin.contract_lists -->\n"
END: Final = "<!-- end -->\n"
_DEAD_CODE: Final = re.compile(r'^    "(\w+)",  # (.+)$', re.MULTILINE)


def sentences(enum: type[StrEnum]) -> dict[str, str]:
    """Returns every member's value with the sentence under it; raises ValueError for a member that has none."""
    found = {enum[name]: sentence for name, sentence in texts_below(enum)}
    if missing := [member.name for member in enum if member not in found]:
        raise ValueError(f"no sentence is under {', '.join(missing)}")
    return {member.value: found[member] for member in enum}


def texts_below(definition: type) -> Iterator[tuple[str, str]]:
    """Yields the name of each field or member of a class with the text that stands under it."""
    (parsed,) = ast.parse(inspect.getsource(definition)).body
    assert isinstance(parsed, ast.ClassDef)
    for member, text in zip(parsed.body, parsed.body[1:], strict=False):
        match member, text:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(sentence))),
            ):
                yield name, sentence


def dead_codes() -> dict[str, str]:
    """Returns every dead-letter code with the sentence beside it; raises ValueError for a code that has none."""
    source = inspect.getsource(errors)
    found = dict(_DEAD_CODE.findall(source))
    if missing := DEAD_CODES - set(found):
        raise ValueError(f"no sentence is beside {', '.join(sorted(missing))}")
    return {code: sentence for code, sentence in found.items() if code in DEAD_CODES}


def lists() -> str:
    """Returns all lists as Markdown."""
    parts = [
        "## Topics\n\n" + _table("topic | key | value | kept | written by | read by", map(_topic, TOPICS)),
        f"## Quality flags\n\n{inspect.getdoc(Flag)}\nA record without flags is as its vendor documents it.\n\n"
        + _members(sentences(Flag), "flag"),
        "## Dead-letter codes\n\n" + _members(dead_codes(), "code"),
        "## Values of enums\n",
        *(f"### {enum.__name__}\n\n{inspect.getdoc(enum)}\n\n" + _members(sentences(enum), "value") for enum in ENUMS),
    ]
    return "\n".join(parts)


def _topic(topic: Topic) -> tuple[str, ...]:
    by_setting = f" (`kafka.{topic.retention_setting}`)" if topic.retention_setting else ""
    days = f"{topic.retention_days} days{by_setting}" if topic.retention_days else "all"
    kept = "compacted" if topic.cleanup == "compact" else days
    return f"`{topic.name}`", topic.key, topic.value, kept, ", ".join(topic.producers), ", ".join(topic.consumers)


def _members(found: dict[str, str], title: str) -> str:
    return _table(f"{title} | meaning", ((f"`{value}`" if value else '`""`', text) for value, text in found.items()))


def _table(titles: str, rows: Iterable[tuple[str, ...]]) -> str:
    escaped = (tuple(cell.replace("|", r"\|") for cell in row) for row in rows)
    rule = "|".join("---" for _ in titles.split("|"))
    return f"| {titles} |\n|{rule}|\n" + "".join(f"| {' | '.join(row)} |\n" for row in escaped)


def document() -> str:
    """Returns the whole file: its text around the lists as it is, and the lists as they should be."""
    before, _, rest = FILE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{lists()}\n{END}{after}"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
