"""Finds in a statement what HTTP needs to know: where an INSERT's data begin, and which format the answer has. Pure.

It knows tokens and nothing of the grammar; whatever it does not recognise goes to the engine as it is.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Final

import msgspec

_TOKEN: Final = re.compile(
    rb"(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)"
    rb"|(?P<quoted>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`\\]|\\.|``)*`)"
    rb"|(?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    rb"|(?P<word>[A-Za-z_]\w*)"
    rb"|(?P<other>.)",
    re.DOTALL,
)
_AFTER_FORMAT: Final = frozenset({b"", b";", b"SETTINGS", b"INTO"})
_DATA_BREAK: Final = re.compile(rb"[ \t\f]*\r?\n?")


class InsertHead(msgspec.Struct, frozen=True, kw_only=True):
    """An INSERT whose data follow in the text."""

    statement: str
    """Up to, and without, SETTINGS, the FORMAT clause or VALUES."""
    settings: str
    """The SETTINGS clause, as it stands before the format; "" for none."""
    format: str
    data_at: int
    """Where in the text the data begin."""


class _Token(msgspec.Struct, frozen=True):
    word: bytes
    """Upper case; empty for quoted text."""
    depth: int
    start: int
    end: int


def split_insert(text: bytes) -> InsertHead | None:
    """The head of `INSERT ... FORMAT x <data>` or `INSERT ... VALUES <data>`; None for every other statement.

    `text` may stop anywhere inside the data.
    """
    tokens = _tokens(text)
    if next(tokens, _END).word != b"INSERT" or next(tokens, _END).word != b"INTO":
        return None
    settings_at: int | None = None
    for token in _after_name(tokens):
        if token.depth:
            continue
        if token.word == b"SETTINGS":
            settings_at = token.start
        if token.word == b"VALUES":
            return _head(text, settings_at, token, "Values", token.end)
        if token.word in (b"SELECT", b"WITH", b"FROM"):
            return None
        if token.word == b"FORMAT":
            name = next(tokens, _END)
            found = _DATA_BREAK.match(text, name.end)
            data_at = found.end() if found else name.end
            return _head(text, settings_at, token, _text(text[name.start : name.end]), data_at)
    return None


def _head(text: bytes, settings_at: int | None, end: _Token, name: str, data_at: int) -> InsertHead:
    split_at = end.start if settings_at is None else settings_at
    return InsertHead(
        statement=_text(text[:split_at]), settings=_text(text[split_at : end.start]), format=name, data_at=data_at
    )


def answer_format(text: bytes) -> str | None:
    """The format that a statement's own FORMAT clause names."""
    found = None
    tokens = list(_tokens(text))
    for position, token in enumerate(tokens):
        if token.word != b"FORMAT" or token.depth or position == 0:
            continue
        name, after = (*tokens[position + 1 : position + 3], _END, _END)[:2]
        if name.word and after.word in _AFTER_FORMAT:
            found = _text(text[name.start : name.end])
    return found


def writes_a_file(text: bytes) -> bool:
    """True for a statement whose answer would go to a file of the server: `INTO OUTFILE`."""
    words = [token.word for token in _tokens(text)]
    return (b"INTO", b"OUTFILE") in itertools.pairwise(words)


def first_word(text: bytes) -> str:
    """The statement's first keyword in upper case."""
    return _text(next(_tokens(text), _END).word)


def second_word(text: bytes) -> str:
    """The keyword after the first, in upper case."""
    tokens = _tokens(text)
    next(tokens, None)
    return _text(next(tokens, _END).word)


def quoted(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """A quoted name."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


_END: Final = _Token(b"", 0, 0, 0)


def _after_name(tokens: Iterator[_Token]) -> Iterator[_Token]:
    """Passes over the table's name, which may be spelt like a keyword."""
    token = next(tokens, _END)
    if token.word in (b"TABLE", b"FUNCTION"):
        token = next(tokens, _END)
    for token in tokens:
        if token.word == b".":
            next(tokens, None)
            continue
        yield token
        break
    yield from tokens


def _tokens(text: bytes) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "skip":
            continue
        raw = match.group()
        depth -= raw in b")]}"
        word = b"" if match.group("quoted") or match.group("heredoc") else raw.upper()
        yield _Token(word, depth, match.start(), match.end())
        depth += raw in b"([{"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
