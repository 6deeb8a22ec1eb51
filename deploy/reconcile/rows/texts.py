"""Rows of a text file: CSV, TSV and their kin, with the delimiter guessed. Streamed, with bounds on lines and cells."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import BinaryIO, Final

from deploy.reconcile.rows.bounds import LONGEST_CELL, LONGEST_LINE, MOST_COLUMNS, Numbered, UnreadableFile

_DELIMITERS: Final = (",", "\t", ";", "|", "，")
_SPELT: Final = {"\\t": "\t", "tab": "\t"}
_NO_DELIMITERS: Final = frozenset('"\r\n\0')
_SAMPLED_LINES: Final = 50


def guessed_delimiter(lines: Iterable[str]) -> str:
    """Returns the delimiter that divides most lines into the same number of cells, and of several the finest."""
    sample = [line for line in lines if line.strip()][:_SAMPLED_LINES]

    def worth(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        common = max(set(counts), key=counts.count, default=0)
        return (counts.count(common) if common > 1 else 0, common)

    try:
        return max(_DELIMITERS, key=worth)
    except csv.Error:
        return ","


def rows_of_text(stream: BinaryIO, encoding: str, delimiter: str = "") -> Iterator[Numbered]:
    """Yields the rows that are not empty; the delimiter is guessed unless given. Raises `UnreadableFile`.

    The number of a row is that of its last line, as an editor shows it.
    """
    csv.field_size_limit(LONGEST_CELL)
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
    lines = _lines(text)
    sample = list(islice(lines, _SAMPLED_LINES))
    if sample:  # a mark that the named encoding leaves in the text is no part of the first heading
        sample[0] = sample[0].removeprefix("\ufeff")
    # A quotation mark that nothing closes would swallow the rows behind it: strict, it ends the reading instead.
    reader = csv.reader(chain(sample, lines), delimiter=_named(delimiter) or guessed_delimiter(sample), strict=True)
    last = 0
    try:
        for row in reader:
            last = reader.line_num
            if len(row) > MOST_COLUMNS:
                raise UnreadableFile(f"line {last} has more than {MOST_COLUMNS} columns")
            cells = [_bare(cell.strip()) for cell in row]
            if any(cells):  # spreadsheets write rows of commas
                yield last, cells
    except csv.Error as exc:
        raise UnreadableFile(
            f"the row that begins in line {last + 1} is none of a table, perhaps for a quotation mark: {exc}"
        ) from exc


def _named(delimiter: str) -> str:
    """Returns a delimiter as a person may write it; raises `UnreadableFile` for one that divides nothing."""
    found = _SPELT.get(delimiter.lower(), delimiter)
    if found and (len(found) > 1 or found in _NO_DELIMITERS):
        raise UnreadableFile(f"{delimiter!r} is no delimiter: it is one character, or tab")
    return found


def _bare(cell: str) -> str:
    """Returns a cell without the formula by which people keep a spreadsheet from taking it for a number: ="0012"."""
    return cell[2:-1] if cell[:2] == '="' and cell[-1] == '"' and len(cell) > 2 else cell


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise UnreadableFile(f"a line has more than {LONGEST_LINE} characters: this is no table")
        yield line
