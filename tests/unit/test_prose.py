"""The language of docstrings and comments: whole sentences of plain English, in the words of the trade."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PARTS: Final = ("deploy", "ingress", "processors", "schemas", "sinks", "tests")
LINE: Final = 120
FRAGMENT: Final = re.compile(r"(What|Of|Whether|Who|Whom|Whose|Which|Where|How|When|Why|That|From|By|As|So|And)\b")
PRIVATE: Final = re.compile(r"\b(this page|laws? \d+|in hand|tenures?|rung(?! at))\b", re.IGNORECASE)
SENTENCE_END: Final = re.compile(r"[.:!?`)\]}>\"'|]$")
FILES: Final = sorted(
    str(path.relative_to(ROOT)) for part in PARTS for path in (ROOT / part).rglob("*.py") if "golden" not in path.parts
)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and text of every docstring, those that stand under an attribute included."""
    for node in ast.walk(tree):
        for child in getattr(node, "body", None) or () if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            if (
                isinstance(child, ast.Expr)
                and isinstance(child.value, ast.Constant)
                and isinstance(child.value.value, str)
            ):
                yield child.lineno, child.value.value


def comments(text: str) -> Iterator[tuple[int, str]]:
    """The line and text of every comment that stands on a line of its own."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def faults(path: Path) -> Iterator[str]:
    """Faults in the prose of one file, each with its line."""
    text = path.read_text("utf-8")
    lines = text.split("\n")
    for line, said in docstrings(ast.parse(text)):
        for number in range(line, line + said.count("\n") + 1):
            if len(lines[number - 1]) > LINE:
                yield f"{number}: the line has {len(lines[number - 1])} characters"
        first = said.strip().split("\n")[0]
        if FRAGMENT.match(first):
            yield f"{line}: begins with {first.split()[0]!r}: {first[:60]}"
        if not SENTENCE_END.search(said.strip()):
            yield f"{line}: does not end as a sentence: {first[:60]}"
        if found := PRIVATE.search(said):
            yield f"{line}: {found[0]!r} is a private word"
    # Telling comments from other text takes longer than all the rest, and few files have what no comment may have.
    suspect = PRIVATE.search(text) or any(len(line) > LINE and line.lstrip().startswith("#") for line in lines)
    for line, said in comments(text) if suspect else ():
        if found := PRIVATE.search(said):
            yield f"{line}: {found[0]!r} is a private word"
        if lines[line - 1].lstrip().startswith("#") and len(lines[line - 1]) > LINE:
            yield f"{line}: the line has {len(lines[line - 1])} characters"


@pytest.mark.parametrize("name", FILES)
def test_prose_is_plain(name: str) -> None:
    assert list(faults(ROOT / name)) == []
