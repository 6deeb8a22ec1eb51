"""Rows of texts and workbooks: delimiters, encodings, dates as numbers; and files that ask for more than they may."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from deploy.reconcile.rows.bounds import LONGEST_CELL, LONGEST_LINE, Row, UnreadableFile
from deploy.reconcile.rows.opening import bytes_of, survey, workbook_of
from deploy.reconcile.rows.texts import rows_of_text
from deploy.reconcile.rows.workbooks import rows_of_workbook

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


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a gzip bomb": lambda: gzip.compress(b"\0" * (80 << 20)),
    "a gzip bomb of text": lambda: gzip.compress(b"a,b\n" * (30 << 20)),
    "a cut gzip": lambda: gzip.compress(TEXT.encode() * 100)[:-20],
    "a line without an end": lambda: b"a," * (LONGEST_LINE // 2 + 10),
    "a cell without an end": lambda: b'a,b\n1,"' + b"x\n" * LONGEST_CELL,
    "too many columns": lambda: b"a,b\n" + b",".join([b"1"] * 600) + b"\n",
    "an old workbook": lambda: b"\xd0\xcf\x11\xe0" + bytes(600),
    "bytes that are no text": lambda: b"abcdefgh" * 20 + bytes(100),
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
    "XML that breaks off": lambda: book("", sheet="<worksheet><sheetData>"),
}


@pytest.mark.parametrize("made", BAD_BOOKS.values(), ids=BAD_BOOKS)
def test_a_workbook_that_asks_for_more_than_it_may_is_refused(tmp_path: Path, made: Callable[[], bytes]) -> None:
    with pytest.raises(UnreadableFile):
        read(tmp_path, made())


def test_a_sheet_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="话单"):
        read(tmp_path, book(""), "other")
