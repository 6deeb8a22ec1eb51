"""Rows of a text file: CSV, TSV and their kin, with the delimiter guessed. Streamed, with bounds on lines and cells."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import BinaryIO, Final

from deploy.reconcile.rows.bounds import LONGEST_CELL, LONGEST_LINE, MOST_COLUMNS, Numbered, UnreadableFile

_DELIMITERS: Final = (",", "\t", ";", "|", "，")
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
    """Yields the rows; the delimiter is guessed unless given. Raises `UnreadableFile`.

    The number of a row is that of its last line, as an editor shows it.
    """
    csv.field_size_limit(LONGEST_CELL)
    text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
    lines = _lines(text)
    sample = list(islice(lines, _SAMPLED_LINES))
    reader = csv.reader(chain(sample, lines), delimiter=delimiter or guessed_delimiter(sample))
    try:
        for row in reader:
            if len(row) > MOST_COLUMNS:
                raise UnreadableFile(f"line {reader.line_num} has more than {MOST_COLUMNS} columns")
            if row:
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as exc:
        raise UnreadableFile(f"line {reader.line_num} is no row of a table: {exc}") from exc


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise UnreadableFile(f"a line has more than {LONGEST_LINE} characters: this is no table")
        yield line
