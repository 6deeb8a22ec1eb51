"""How ClickHouse answers over HTTP: the status for an error's code, the headers, the marks of a failure in mid-stream. Pure."""

import re
from typing import Final

import msgspec

DEFAULT_FORMAT: Final = "TabSeparated"

# As ClickHouse's own exceptionCodeToHTTPStatus; every other code is 500.
_STATUSES: Final = {
    400: (6, 26, 27, 36, 38, 41, 42, 43, 44, 53, 62, 69, 70, 72, 117, 130, 131, 167, 190, 376, 427, 441, 457, 675, 676),
    401: (194,),
    403: (192, 193, 497, 511, 516),
    404: (16, 45, 46, 47, 50, 56, 60, 63, 73, 78, 80, 81, 82, 83, 115, 141, 162, 372),
    408: (159, 209),
    411: (381,),
    413: (223, 307),
    429: (202,),
    501: (1, 48, 344),
    503: (76, 439),
}
_STATUS_OF: Final = {code: status for status, codes in _STATUSES.items() for code in codes}
_ENGINE_ERROR: Final = re.compile(r"Code: (\d+)\. ")

_CONTENT_TYPES: Final = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNamesAndTypes": "text/tab-separated-values; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}

STREAMABLE: Final = frozenset(
    {
        "Native",
        "TabSeparated",
        "TSV",
        "TabSeparatedRaw",
        "TSVRaw",
        "CSV",
        "RowBinary",
        "JSONEachRow",
        "JSONCompactEachRow",
    }
)
"""Formats without a header or footer: the engine writes each piece as a whole, and the pieces put together are whole too."""


class QueryFailed(Exception):
    """A failure as a client sees it: ClickHouse's number and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse gives it."""
        return _STATUS_OF.get(self.code, 500)


class Counts(msgspec.Struct, kw_only=True):
    """What a query read and wrote, for `X-ClickHouse-Summary`."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


def from_engine(message: str, version: str) -> QueryFailed:
    """The failure that the engine's text describes."""
    found = _ENGINE_ERROR.search(message)
    if not found:
        return failed(1002, "UNKNOWN_EXCEPTION", message, version)
    text = message[found.start() :].strip()
    return QueryFailed(int(found.group(1)), text if "(version " in text else f"{text} (version {version})")


def failed(code: int, name: str, message: str, version: str) -> QueryFailed:
    """A failure of our own in ClickHouse's words."""
    return QueryFailed(code, f"Code: {code}. DB::Exception: {message}. ({name}) (version {version})")


def content_type(format_name: str) -> str:
    """The media type of an answer in this format."""
    return _CONTENT_TYPES.get(format_name, "text/plain; charset=UTF-8")


def summary(counts: Counts, elapsed_ns: int) -> str:
    """The value of `X-ClickHouse-Summary`: numbers as strings."""
    values = {**msgspec.structs.asdict(counts), "total_rows_to_read": counts.read_rows, "elapsed_ns": elapsed_ns}
    return msgspec.json.encode({name: str(value) for name, value in values.items()}).decode()


def exception_block(text: str, tag: str) -> bytes:
    """What follows the data when a query fails after its answer began; clients look for the tag of the answer's header."""
    message = text.encode() + b"\n"
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
        tag.encode(),
        message,
        len(message),
        tag.encode(),
    )
