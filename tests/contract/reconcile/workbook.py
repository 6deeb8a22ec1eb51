"""A carrier's file as a workbook, made by hand: shared texts, dates as numbers, amounts with a tail of binary."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_HEADINGS: Final = {
    "通话ID": "requestid", "主叫号码": "caller", "被叫号码": "called", "开始时间": "callerstime", "应答时间": "calledstime",
    "结束时间": "calledetime", "计费时长(秒)": "duration", "费用(元)": "oriamount",
}  # fmt: skip
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook's dates have no zone


def workbook(rows: Iterable[Mapping[str, str]], also: Iterable[str] = ()) -> bytes:
    """Returns rows as XLSX, in the way in which a spreadsheet program writes them; `also` are sheets without rows."""
    strings: dict[str, int] = {}
    lines = ["".join(_text(name, strings) for name in _HEADINGS)]
    lines += ["".join(_cell(field, row[field], strings) for field in _HEADINGS.values()) for row in rows]
    sheet = "".join(f'<row r="{at}">{line}</row>' for at, line in enumerate(lines, 1))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets><sheet name="话单" sheetId="1" r:id="rId1"/>'
            + "".join(f'<sheet name="{name}" sheetId="{at}" r:id="rId{at}"/>' for at, name in enumerate(also, 2))
            + "</sheets></workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships><Relationship Id="rId1" Target="/xl/worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>',
        )
        texts = "".join(f"<si><t>{text}</t></si>" for text in strings)
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{_MAIN}">{texts}</sst>')
        archive.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{sheet}</sheetData></worksheet>'
        )
    return out.getvalue()


def _text(text: str, strings: dict[str, int]) -> str:
    return f'<c t="s"><v>{strings.setdefault(text, len(strings))}</v></c>'


def _cell(field: str, value: str, strings: dict[str, int]) -> str:
    if not value:
        return "<c/>"
    if field in ("callerstime", "calledstime", "calledetime"):
        days = (datetime.fromisoformat(value) - _EPOCH).total_seconds() / 86400
        return f'<c s="1"><v>{days!r}</v></c>'
    if field == "oriamount":
        return f"<c><v>{float(value):.17g}</v></c>"
    if field == "duration":
        return f"<c><v>{value}</v></c>"
    return _text(value, strings)
