"""Rows of texts and workbooks: delimiters, encodings, dates as numbers; and files that ask for more than they may."""

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from deploy.reconcile.rows.bounds import LONGEST_CELL, LONGEST_LINE, Row, UnreadableFile
from deploy.reconcile.rows.opening import bytes_of, survey, workbook_of
from deploy.reconcile.rows.texts import rows_of_text
from deploy.reconcile.rows.workbooks import rows_of_workbook, sheets_of

TEXT = '通话ID,主叫,说明\na1,13800000000,"一,二\n三"\na2,13800000001,四\n'


def read(path: Path, content: bytes, sheet: str = "") -> list[Row]:
    file = path / "file"
    file.write_bytes(content)
    found = survey(file)
    if found.kind == "xlsx":
        with workbook_of(found) as archive:
            return [row for _, row in rows_of_workbook(archive, sheet)]
    with bytes_of(found) as stream:
        return [row for _, row in rows_of_text(stream, found.encoding)]


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def spoilt(book: bytes) -> bytes:
    """Returns an archive of which the packed bytes of its sheet are others."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        at = archive.getinfo("xl/worksheets/sheet1.xml").header_offset + 30 + len("xl/worksheets/sheet1.xml")
    return book[:at] + b"\xff" * 8 + book[at + 8 :]


def displaced(book: bytes) -> bytes:
    """Returns an archive whose table of contents says that it stands further behind than it does."""
    at = book.rindex(b"PK\x05\x06") + 16
    return book[:at] + (int.from_bytes(book[at : at + 4], "little") + 400).to_bytes(4, "little") + book[at + 4 :]


ENCODED = {
    "UTF-8": TEXT.encode(),
    "UTF-8 with a mark": TEXT.encode("utf-8-sig"),
    "UTF-16 with a mark": TEXT.encode("utf-16"),
    "UTF-16 without one": "callid,from,note\n".encode("utf-16-le") + TEXT.encode("utf-16-le"),
    "GBK": TEXT.encode("gbk"),
    "GB 18030": TEXT.encode("gb18030"),
    "GBK whose first megabyte is ASCII": b"a,b,c\n" * 200_000 + TEXT.encode("gbk"),
    "gzip": gzip.compress(TEXT.encode()),
    "semicolons": TEXT.replace(",", ";").encode(),
    "tabs": TEXT.replace(",", "\t").encode("gbk"),
    "Windows line ends": TEXT.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("content", ENCODED.values(), ids=ENCODED)
def test_a_text_is_read_in_whatever_form_it_comes(tmp_path: Path, content: bytes) -> None:
    rows = read(tmp_path, content)

    assert [row[:2] for row in rows[-3:]] == [["通话ID", "主叫"], ["a1", "13800000000"], ["a2", "13800000001"]]
    assert rows[-1][2] == "四"
    assert len(rows[-2]) == 3


CHINESE = "通话ID,主叫,说明\n一,二,三\n" + "一二三四,五六七八,九\n" * 20
SHAPES: dict[str, tuple[bytes, list[Row]]] = {
    "rows of commas": (b"a,b\n,,\n1,2\n,\n", [["a", "b"], ["1", "2"]]),
    "digits kept by a formula": (b'a,b\n="0012","=""0013"""\n', [["a", "b"], ["0012", "0013"]]),
    "a line about the delimiter": (b"sep=;\na;b\n1;2\n3;4\n", [["sep=", ""], ["a", "b"], ["1", "2"], ["3", "4"]]),
    "decimal commas": (b"a;b;c\n1;2,5;x\n2;3,5;y\n", [["a", "b", "c"], ["1", "2,5", "x"], ["2", "3,5", "y"]]),
    "old line ends": (b"a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
    "joined gzip files": (gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n"), [["a", "b"], ["1", "2"], ["3", "4"]]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("content", "rows"), SHAPES.values(), ids=SHAPES)
def test_what_programs_write_around_the_cells_is_no_part_of_them(
    tmp_path: Path, content: bytes, rows: list[Row]
) -> None:
    assert read(tmp_path, content) == rows


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_where_it_begins_with_chinese(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, CHINESE.encode(encoding))[:2] == [["通话ID", "主叫", "说明"], ["一", "二", "三"]]


@pytest.mark.parametrize("end", ["", "a2,13800000001,四\n", 'a2,13800000001,"四"\n'])
def test_a_quotation_mark_that_nothing_closes_swallows_no_row(tmp_path: Path, end: str) -> None:
    with pytest.raises(UnreadableFile, match="line 3"):
        read(tmp_path, f'通话ID,主叫,说明\na0,1,ok\na1,13800000000,"x\n{end}'.encode())


def test_a_delimiter_may_be_named_and_must_be_one() -> None:
    assert list(rows_of_text(io.BytesIO(b"a\tb\n"), "utf-8", "tab")) == [(1, ["a", "b"])]
    assert list(rows_of_text(io.BytesIO(b"a\tb\n"), "utf-8", "\\t")) == [(1, ["a", "b"])]
    for wrong in (";;", '"', "\n"):
        with pytest.raises(UnreadableFile, match="delimiter"):
            list(rows_of_text(io.BytesIO(b"a;b\n"), "utf-8", wrong))


def test_a_mark_that_the_named_encoding_leaves_is_no_part_of_a_heading() -> None:
    assert next(rows_of_text(io.BytesIO(TEXT.encode("utf-8-sig")), "utf-8")) == (1, ["通话ID", "主叫", "说明"])


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    """A pipe has its bytes once, and a device has no end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UnreadableFile, match="no regular file"):
            survey(path)
    with pytest.raises(UnreadableFile, match="cannot be read"):
        survey(tmp_path / "gone")


def test_a_file_that_grows_after_it_was_looked_at_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(TEXT.encode())
    found = survey(file)
    found.require_unchanged()

    with file.open("ab") as more:
        more.write(b"a3,1,2\n")

    with pytest.raises(UnreadableFile, match="changed while it was read"):
        found.require_unchanged()
    file.unlink()
    with pytest.raises(UnreadableFile, match="gone"):
        found.require_unchanged()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a gzip bomb": lambda: gzip.compress(b"\0" * (80 << 20)),
    "a gzip bomb of text": lambda: gzip.compress(b"a,b\n" * (30 << 20)),
    "a cut gzip": lambda: gzip.compress(TEXT.encode() * 100)[:-20],
    "a line without an end": lambda: b"a," * (LONGEST_LINE // 2 + 10),
    "a cell without an end": lambda: b'a,b\n1,"' + b"x\n" * LONGEST_CELL,
    "too many columns": lambda: b"a,b\n" + b",".join([b"1"] * 600) + b"\n",
    "an old workbook": lambda: b"\xd0\xcf\x11\xe0" + bytes(600),
    "bytes that are no text": lambda: b"abcdefgh" * 20 + bytes(100),
    "a gzip of UTF-16 that is cut off": lambda: gzip.compress(TEXT.encode("utf-16") * 9000)[:-20],
    "bytes behind a gzip": lambda: gzip.compress(TEXT.encode()) + b"more",
    "an archive that is no workbook": lambda: zipped("calls.csv", TEXT.encode()),
    "a broken archive": lambda: b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE)
def test_a_text_that_asks_for_more_than_it_may_is_refused(tmp_path: Path, made: Callable[[], bytes]) -> None:
    with pytest.raises(UnreadableFile):
        read(tmp_path, made())


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def book(rows: str, strings: str = "", formats: str = "", *, sheet: str = "", properties: str = "") -> bytes:
    """Returns a workbook made by hand; `rows` are the elements of its first sheet."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{DOCUMENT}"><workbookPr {properties}/><sheets>'
            '<sheet name="hidden" sheetId="1" r:id="rId9" state="hidden"/>'
            '<sheet name="话单" sheetId="2" r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/>'
            '<numFmt numFmtId="165" formatCode="0.00_ &quot;days&quot;"/></numFmts>'
            f'<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/>{formats}</cellXfs></styleSheet>',
        )
        if strings:
            archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">{strings}</sst>')
        archive.writestr(
            "xl/worksheets/sheet1.xml", sheet or f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return out.getvalue()


def cell(place: str, value: str, kind: str = "n", style: str = "0") -> str:
    inner = f"<is><t>{escape(value)}</t></is>" if kind == "inlineStr" else f"<v>{escape(value)}</v>"
    return f'<c r="{place}" t="{kind}" s="{style}">{inner}</c>'


CELLS = {
    "a shared text": (cell("A1", "0", "s"), "通话ID"),
    "a shared text of several runs, without its reading": (cell("A1", "1", "s"), "主叫号码"),
    "a text in its place": (cell("A1", "<b>&", "inlineStr"), "<b>&"),
    "29 digits as text": (cell("A1", "20260302000000000000000000001", "inlineStr"), "20260302000000000000000000001"),
    "a whole number": (cell("A1", "13800000000"), "13800000000"),
    "a number with a tail of binary": (cell("A1", "0.28999999999999998"), "0.29"),
    "a number in exponent form": (cell("A1", "1.3800000000000000E10"), "13800000000"),
    "an id of more digits than a spreadsheet keeps": (cell("A1", "1.234567890123456E15"), "1.23456789012346e+15"),
    "a whole number of many digits": (cell("A1", "123456789012345678"), "123456789012345678"),
    "a day and a time": (cell("A1", "46083.5", style="2"), "2026-03-02 12:00:00"),
    "a time with milliseconds": (cell("A1", "46083.500005787", style="2"), "2026-03-02 12:00:00.500"),
    "a day": (cell("A1", "46083", style="1"), "2026-03-02 00:00:00"),
    "a time of the day": (cell("A1", "0.5", style="2"), "12:00:00"),
    "a number with a word in its format": (cell("A1", "46083.5", style="3"), "46083.5"),
    "a truth value": (cell("A1", "1", "b"), "true"),
    "a formula's text": ('<c r="A1" t="str"><f>1+1</f><v>two</v></c>', "two"),
}
STRINGS = "<si><t>通话ID</t></si><si><r><t>主叫</t></r><r><t>号码</t></r><rPh><t>zhu jiao</t></rPh></si>"


@pytest.mark.parametrize(("cells", "text"), CELLS.values(), ids=CELLS)
def test_a_cell_is_read_as_the_workbook_shows_it(tmp_path: Path, cells: str, text: str) -> None:
    assert read(tmp_path, book(f"<row>{cells}</row>", STRINGS)) == [[text]]


def test_cells_stand_in_their_columns_and_empty_rows_are_none(tmp_path: Path) -> None:
    rows = f'<row r="1">{cell("B1", "2")}{cell("D1", "4")}</row><row r="2"/><row r="3"><c><v>1</v></c><c r="C3"><v>3</v></c></row>'

    assert read(tmp_path, book(rows)) == [["", "2", "", "4"], ["1", "", "3"]]
    assert read(tmp_path, gzip.compress(book(rows)), "话单") == [["", "2", "", "4"], ["1", "", "3"]]


def test_days_may_count_from_1904(tmp_path: Path) -> None:
    made = book(f"<row>{cell('A1', '44621.5', style='2')}</row>", properties='date1904="1"')

    assert read(tmp_path, made) == [["2026-03-02 12:00:00"]]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><worksheet>&b;</worksheet>'
BAD_BOOKS: dict[str, Callable[[], bytes]] = {
    "entities": lambda: book("", sheet=BOMB),
    "a billion columns": lambda: book(f"<row>{cell('ZZZZZZ1', '1')}</row>"),
    "no end of nesting": lambda: book("", sheet="<a>" * 100_000),
    "a name without an end": lambda: book("", sheet=f'<worksheet a="{"x" * (9 << 20)}"/>'),
    "a sheet that inflates": lambda: book(
        "", sheet=f"<worksheet><sheetData>{' ' * (120 << 20)}</sheetData></worksheet>"
    ),
    "a text that is not there": lambda: book(f"<row>{cell('A1', '7', 's')}</row>", STRINGS),
    "bytes that cannot be unpacked": lambda: spoilt(book(f"<row>{cell('A1', '1') * 50}</row>")),
    "rows that stand behind later ones": lambda: book(
        f'<row r="5">{cell("A5", "1")}</row><row r="1">{cell("A1", "1")}</row>'
    ),
    "parts that begin before the file does": lambda: displaced(book("")),
    "XML that breaks off": lambda: book("", sheet="<worksheet><sheetData>"),
}


@pytest.mark.parametrize("made", BAD_BOOKS.values(), ids=BAD_BOOKS)
def test_a_workbook_that_asks_for_more_than_it_may_is_refused(tmp_path: Path, made: Callable[[], bytes]) -> None:
    with pytest.raises(UnreadableFile):
        read(tmp_path, made())


def test_the_sheets_of_a_workbook_are_known(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(book(""))) as archive:
        assert sheets_of(archive) == ("话单",)


def test_a_text_without_an_end_fills_no_memory(tmp_path: Path) -> None:
    ((text,),) = read(tmp_path, book(f"<row>{cell('A1', 'x' * (8 << 20), 'inlineStr')}</row>"))

    assert len(text) == LONGEST_CELL


def test_a_sheet_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="话单"):
        read(tmp_path, book(""), "other")
