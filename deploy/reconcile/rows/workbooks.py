"""Rows of an XLSX workbook, streamed with the standard library alone: a zip archive of XML, as ECMA-376 has it.

No part of a workbook is read whole, and a part that declares a document type, nests without end, inflates beyond all
measure or names a column that no table has is refused. Dates are numbers there, which the styles tell apart.
"""

import re
import struct
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import BinaryIO, Final
from xml.parsers import expat

from deploy.reconcile.rows.bounds import (
    FREE_BYTES,
    LONGEST_CELL,
    MOST_COLUMNS,
    MOST_RATIO,
    Numbered,
    Row,
    Tell,
    UnreadableFile,
)

_CHUNK: Final = 1 << 16
_DEEPEST: Final = 32
_LONGEST_FORMAT: Final = 512
_LONGEST_TOKEN: Final = 1 << 22
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook's dates have no zone
_EPOCH_1904: Final = datetime(1904, 1, 1)  # noqa: DTZ001 - likewise
_MOST_DAYS: Final = 2_958_466
"""The first serial number after the year 9999."""
_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
"""The built-in formats of dates and times, those of Chinese workbooks among them."""
_NO_DATE: Final = re.compile(r'"[^"]*"|\\.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE)
_DATE_LETTERS: Final = re.compile(r"[ymdhs年月日时分秒]", re.IGNORECASE)
_COLUMN: Final = re.compile(r"([A-Z]{1,7})[0-9]*")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]


class _Part:
    """One part of a workbook, read piece by piece."""

    def __init__(self, archive: zipfile.ZipFile, name: str, start: Start, end: End, text: End) -> None:
        try:
            self._stream = archive.open(name)
        except (KeyError, RuntimeError, OSError, ValueError, struct.error, zipfile.BadZipFile) as exc:
            raise UnreadableFile(f"the workbook has no readable {name}") from exc
        info = archive.getinfo(name)
        self._compressed = info.compress_size
        self._share = info.compress_size / max(1, info.file_size)
        self._depth = 0
        self._fed = 0
        self._start, self._end = start, end
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._opened
        parser.EndElementHandler = self._closed
        parser.CharacterDataHandler = text

    def pieces(self) -> Iterator[int]:
        """Reads the part and yields the compressed bytes behind each piece; raises `UnreadableFile`."""
        with self._stream:
            try:
                while piece := self._stream.read(_CHUNK):
                    self._fed += len(piece)
                    if self._fed > FREE_BYTES + MOST_RATIO * self._compressed:
                        raise UnreadableFile(f"the workbook inflates to more than {MOST_RATIO} times its size")
                    self._parser.Parse(piece, False)
                    if self._fed - self._parser.CurrentByteIndex > _LONGEST_TOKEN:
                        raise UnreadableFile("the workbook has a text without an end")
                    yield int(len(piece) * self._share)
                self._parser.Parse(b"", True)
            except (expat.ExpatError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as exc:
                raise UnreadableFile("the workbook is damaged") from exc
        yield 0

    def _opened(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnreadableFile("the workbook nests without an end")
        self._start(name.rpartition(":")[2], attributes)

    def _closed(self, name: str) -> None:
        self._depth -= 1
        self._end(name.rpartition(":")[2])


def _refuse_doctype(*_: object) -> None:
    raise UnreadableFile("the workbook declares a document type, which no workbook does")


def _nothing(*_: object) -> None:
    """Does nothing with a part's text or end."""


class _Strings:
    """The shared texts of a workbook, on disk: there may be one for each cell."""

    def __init__(self, archive: zipfile.ZipFile, file: BinaryIO) -> None:
        self._file = file
        self._ends = array("Q", [0])
        self._inside = 0
        self._text: list[str] = []
        self._length = 0
        if "xl/sharedStrings.xml" in archive.namelist():
            for _ in _Part(archive, "xl/sharedStrings.xml", self._start, self._end, self._said).pieces():
                pass

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._ends) - 1:
            raise UnreadableFile("the workbook names a text that it has not")
        self._file.seek(self._ends[index])
        return self._file.read(self._ends[index + 1] - self._ends[index]).decode("utf-8", "replace")

    def _start(self, name: str, _: Mapping[str, str]) -> None:
        if name == "si":
            self._text, self._length = [], 0
        # The reading of a text in syllables stands beside it in `rPh`.
        self._inside = {"t": self._inside | 1, "rPh": 2}.get(name, self._inside)

    def _end(self, name: str) -> None:
        if name == "t":
            self._inside &= 2
        elif name == "rPh":
            self._inside = 0
        elif name == "si":
            data = "".join(self._text)[:LONGEST_CELL].encode("utf-8", "replace")
            self._file.write(data)
            self._ends.append(self._ends[-1] + len(data))

    def _said(self, text: str) -> None:
        if self._inside == 1 and self._length < LONGEST_CELL:
            self._text.append(text)
            self._length += len(text)


class _Styles:
    """The formats of cells that are dates."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._custom: dict[str, bool] = {}
        self._of_cells: list[bool] = []
        self._in_cells = False
        if "xl/styles.xml" in archive.namelist():
            for _ in _Part(archive, "xl/styles.xml", self._start, self._end, _nothing).pieces():
                pass

    def is_date(self, style: str) -> bool:
        """True for the number of a style whose cells show dates or times."""
        return style.isdecimal() and int(style) < len(self._of_cells) and self._of_cells[int(style)]

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "numFmt":
            code = _NO_DATE.sub("", attributes.get("formatCode", "")[:_LONGEST_FORMAT])
            self._custom[attributes.get("numFmtId", "")] = bool(_DATE_LETTERS.search(code)) and "General" not in code
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            number = attributes.get("numFmtId", "0")
            built_in = number.isdecimal() and int(number) in _DATES
            self._of_cells.append(self._custom.get(number, built_in))

    def _end(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False


class _Book:
    """The sheets of a workbook by name, in their order, and the year from which its days count."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.epoch = _EPOCH
        self._ids: dict[str, str] = {}
        self._targets: dict[str, str] = {}
        if "xl/workbook.xml" not in archive.namelist():
            raise UnreadableFile("this archive is no workbook (.xlsx): unpack it, and name the file of records in it")
        for _ in _Part(archive, "xl/workbook.xml", self._of_book, _nothing, _nothing).pieces():
            pass
        for _ in _Part(archive, "xl/_rels/workbook.xml.rels", self._of_relations, _nothing, _nothing).pieces():
            pass

    @property
    def sheets(self) -> tuple[str, ...]:
        """The names of the visible sheets."""
        return tuple(self._ids)

    def part(self, sheet: str) -> str:
        """Returns the name of a sheet's part, the first one's for ""; raises `UnreadableFile`."""
        if not self._ids or (sheet and sheet not in self._ids):
            raise UnreadableFile(f"the workbook has no such sheet, but: {', '.join(self._ids) or 'none'}")
        target = self._targets.get(self._ids[sheet or next(iter(self._ids))], "")
        return target.lstrip("/") if target.startswith("/") else f"xl/{target}"

    def _of_book(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "workbookPr" and attributes.get("date1904", "0") in ("1", "true"):
            self.epoch = _EPOCH_1904
        elif name == "sheet" and attributes.get("state", "visible") == "visible":
            relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            self._ids[attributes.get("name", "")] = relation

    def _of_relations(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship":
            self._targets[attributes.get("Id", "")] = attributes.get("Target", "")


class _Sheet:
    """The rows of one sheet as they come."""

    def __init__(self, strings: _Strings, styles: _Styles, epoch: datetime) -> None:
        self._strings, self._styles, self._epoch = strings, styles, epoch
        self.rows: list[Numbered] = []
        self._number = 0
        self._row: Row = []
        self._column = -1
        self._type = self._style = ""
        self._value: list[str] = []
        self._length = 0
        self._taken = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "row":
            given = attributes.get("r", "")
            number = int(given) if given.isdecimal() and len(given) < 10 else self._number + 1
            if number <= self._number:  # it would count as one above the headings
                raise UnreadableFile(f"row {number} of the workbook stands behind row {self._number}")
            self._number = number
            self._row, self._column = [], -1
        elif name == "c":
            self._column = _index(attributes["r"]) if "r" in attributes else self._column + 1
            self._type, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._value, self._length = [], 0
        elif name in ("v", "t"):
            self._taken = True

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._taken = False
        elif name == "c":
            self._put(self._read("".join(self._value).strip()))
        elif name == "row" and any(self._row):
            self.rows.append((self._number, self._row))

    def said(self, text: str) -> None:
        if self._taken and self._length < LONGEST_CELL:
            self._value.append(text)
            self._length += len(text)

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._column >= MOST_COLUMNS:
            raise UnreadableFile(f"row {self._number} has more than {MOST_COLUMNS} columns")
        self._row += [""] * (self._column + 1 - len(self._row))
        self._row[self._column] = text[:LONGEST_CELL]

    def _read(self, text: str) -> str:
        if self._type == "s":
            return self._strings[int(text)].strip() if text.isdecimal() and len(text) < 10 else ""
        if self._type == "b":
            return {"1": "true", "0": "false"}.get(text, text)
        if self._type != "n" or not text:
            return "" if self._type == "e" else text  # an error has no value, as "#N/A"
        return self._civil(text) if self._styles.is_date(self._style) else _number(text)

    def _civil(self, text: str) -> str:
        """Returns a serial number of days as a date with its time; one below 1 is a time alone."""
        try:
            days = float(text)
        except ValueError:
            return text
        if not 0 <= days < _MOST_DAYS:
            return text
        at = self._epoch + timedelta(milliseconds=round(days * 86_400_000))
        shown = f"{at:%H:%M:%S}" if days < 1 else f"{at:%Y-%m-%d %H:%M:%S}"
        return f"{shown}.{at.microsecond // 1000:03}" if at.microsecond else shown


def _number(text: str) -> str:
    """Returns a number as a person would write it: 0.28999999999999998 is 0.29, as the workbook shows it."""
    if _WHOLE.fullmatch(text):
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    if value.is_integer():
        # A spreadsheet keeps fifteen digits: more of them are none of the id that stood there.
        return str(int(value)) if abs(value) < 1e15 else f"{value:.14e}"
    return repr(value)


def _index(reference: str) -> int:
    """Returns the place of a cell in its row, from 0."""
    found = _COLUMN.match(reference)
    if found is None:
        raise UnreadableFile("a cell of the workbook has no place")
    index = 0
    for letter in found[1]:
        index = index * 26 + ord(letter) - 64
    return index - 1


def sheets_of(archive: zipfile.ZipFile) -> tuple[str, ...]:
    """Returns the names of the visible sheets; raises `UnreadableFile`."""
    return _Book(archive).sheets


def rows_of_workbook(archive: zipfile.ZipFile, sheet: str = "", tell: Tell = lambda _: None) -> Iterator[Numbered]:
    """Yields the rows of a sheet that are not empty, the first visible one's for ""; raises `UnreadableFile`."""
    book, styles = _Book(archive), _Styles(archive)
    with tempfile.TemporaryFile() as file:
        try:
            strings = _Strings(archive, file)
        except OSError as exc:
            raise UnreadableFile(f"the temporary files cannot be written: {exc.strerror}") from exc
        found = _Sheet(strings, styles, book.epoch)
        for done in _Part(archive, book.part(sheet), found.start, found.end, found.said).pieces():
            tell(done)
            rows, found.rows = found.rows, []
            yield from rows
