"""A row of the carrier's file as a record that can be compared, by the vendor's own mapping or by meanings. Pure."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from deploy.reconcile.cells import (
    CIVIL,
    amount_of,
    billed_of,
    number_of,
    require_certain,
    require_id,
    require_whole,
    time_of,
    told,
    unmarked,
)
from deploy.reconcile.column_words import (
    ANSWER,
    BILLED,
    BILLED_MIN,
    CALL_ID,
    COST,
    COST_CENTS,
    CURRENCY,
    END,
    FROM,
    START,
    START_DATE,
    START_TIME,
    TO,
    is_total,
)
from deploy.reconcile.columns import Column, FileMap, callback_of, headings_of
from deploy.reconcile.rows.bounds import Row
from schemas.body.scalars import names_call
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Disposition, Fact, FactType, Kind
from schemas.identity import fact_id
from schemas.vendor_kit import instants, money
from schemas.vendor_kit.contract import Context, Mapped, Vendor

T = TypeVar("T")
_US: Final = timedelta(microseconds=1)
_DAY: Final = re.compile(r"([0-9]{4})[-/年.]?([0-9]{1,2})[-/月.]?([0-9]{1,2})日?( 00:00:00)?")
_COST_LIMIT: Final = 10**12

FIELDS: Final = ("from_number", "to_number", "start_at", "answer_at", "end_at", "billed_s", "cost", "disposition")
"""The fields that are compared, in the order of a report."""
NUMBERS: Final = frozenset({"from_number", "to_number"})
INSTANTS: Final = frozenset({"start_at", "answer_at", "end_at"})


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One record, theirs or ours; instants are UTC in microseconds since 1970."""

    line: int = 0
    """The row in the file; 0 for a record of ours."""
    record_id: str = ""
    call_id: str = ""
    kind: str = ""
    account_id: str = ""
    from_number: str | None = None
    to_number: str | None = None
    start_at: int | None = None
    """The first instant that is known of the call, of any leg."""
    answer_at: int | None = None
    end_at: int | None = None
    billed_s: int | None = None
    is_stated: bool = False
    """True when the vendor states the seconds; else they are computed from the times."""
    cost: Decimal | None = None
    currency: str = ""
    disposition: str = ""
    slot_at: int = 0
    """The slot of a record of ours, in seconds since 1970."""
    is_final: bool = True
    """False for a record of ours that the vendor may still change."""
    trouble: str = ""
    """The reason why the row cannot be read; what can be read of it still tells which call it is of."""


class Skipped(msgspec.Struct, frozen=True):
    """A row that is no record, with the reason."""

    reason: str


Reader = Callable[[int, Row], CallRecord | Skipped]
"""Reads the row of a line; raises `Undecodable`."""


def reader_of(found: FileMap, vendor: Vendor, ctx: Context, zone: str = "") -> Reader:
    """Returns the reader of a file's rows; `zone` is that of times without one, "" for the vendor's."""
    if found.reads == "fields":
        return _FieldsReader(found, vendor, ctx, zone).read
    return _MeaningsReader(found, vendor, ctx, zone).read


def micros(at: datetime | None) -> int | None:
    """Returns an instant as microseconds since 1970."""
    return None if at is None else (at - EPOCH) // _US


def instant(us: int | None) -> datetime | None:
    """Returns the instant of microseconds since 1970."""
    return None if us is None else EPOCH + us * _US


def text_of(field: str, value: Any) -> str:
    """Returns a value of a field as text; "" for none."""
    if value is None:
        return ""
    if field in INSTANTS:
        at = instant(value)
        assert at is not None, "there is a value"
        return f"{at:%Y-%m-%d %H:%M:%S}" + (f".{at.microsecond:06}".rstrip("0") if at.microsecond else "")
    return str(value)


def elements_of(found: FileMap, row: Row, zone: str, received_at: datetime) -> dict[str, str]:
    """Returns a row as an element in the vendor's words; raises `Undecodable` for a row that is out of its columns."""
    _require_columns(found, row)
    element = {
        column.meaning: _sent(cell, "" if column.meaning in found.ids else zone, received_at)
        for column, cell in zip(found.columns, row, strict=False)
        if column.meaning
    }
    # Rows end where their last cells are empty.
    element |= {column.meaning: "" for column in found.columns[len(row) :] if column.meaning}
    return {**element, **found.constants}


def _require_columns(found: FileMap, row: Row) -> None:
    """Raises `Undecodable` for cells that stand in no column, and for bytes that the file's encoding has not."""
    if len(row) > len(found.columns) and any(row[len(found.columns) :]):
        raise Undecodable("the row has more cells than there are headings: which is which cannot be told", code="shape")
    if any("\ufffd" in cell for cell in row) and any(
        "\ufffd" in cell for column, cell in zip(found.columns, row, strict=False) if column.meaning
    ):
        raise Undecodable("the row has bytes that are none of the file's encoding: --encoding says it", code="field")


def _sent(cell: str, zone: str, received_at: datetime) -> str:
    """Returns a cell as a push would have it: a time without a zone as one with it; raises `Undecodable`."""
    require_whole(cell)
    if not zone or not CIVIL.fullmatch(cell):
        return cell
    at = instants.parse(cell, zone, received_at).at
    if at is None:
        return cell
    require_certain(cell, at, zone, received_at)
    return at.isoformat().replace("T", " ")


def passed_over(found: FileMap, row: Row) -> str:
    """Returns why a row is no record, "" for one that may be: files that were joined have their headings again."""
    if is_total(row):
        return "a line of totals"
    head = found.columns[0].heading if found.columns else ""
    if found.header and row[0] in (head, "") and headings_of(row) == [column.heading for column in found.columns]:
        return "the headings again"
    return ""


class _FieldsReader:
    """Reads rows whose columns are the vendor's fields."""

    def __init__(self, found: FileMap, vendor: Vendor, ctx: Context, zone: str) -> None:
        self._found, self._vendor, self._ctx, self._zone = found, vendor, ctx, zone
        self._callback = callback_of(vendor, found.callback)

    def read(self, line: int, row: Row) -> CallRecord | Skipped:
        try:
            mapped = self.mapped(row)
        except Undecodable as exc:
            if call_id := self._call_of(row):
                return CallRecord(line=line, call_id=call_id, trouble=str(exc))
            raise
        if isinstance(mapped, Skipped):
            return mapped
        fact = mapped.fact
        identity = fact_id(fact.vendor, fact.account_id, fact.kind, mapped.dedupe, self._ctx.account)
        return record_of(fact, line, identity)

    def mapped(self, row: Row) -> Mapped | Skipped:
        """Returns the mapped record of a row."""
        if reason := passed_over(self._found, row):
            return Skipped(reason)
        element = elements_of(self._found, row, self._zone, self._ctx.received_at)
        document = {self._found.holder: [element]} if self._found.holder else [element]
        items = self._callback.elements(document).items
        if not items:
            return Skipped("nothing")
        mapped = self._callback.normalise(items[0], self._ctx)
        if not isinstance(mapped, Mapped):
            return Skipped(mapped.reason)
        if mapped.fact.fact_type is not FactType.RECORD:
            return Skipped(f"a {mapped.fact.fact_type}")
        require_id(mapped.fact.vendor_call_id)
        return mapped

    def _call_of(self, row: Row) -> str:
        """Returns the id of the call that a row is of that cannot be read, "" where that cannot be told either."""
        ids = {
            column.meaning: cell
            for column, cell in zip(self._found.columns, row, strict=False)
            if column.meaning in self._found.ids
        }
        try:
            call_id = self._callback.key(
                json.dumps({self._found.holder: [ids]} if self._found.holder else ids).encode()
            )
            require_id(call_id)
        except Undecodable:
            return ""
        return call_id if names_call(call_id) else ""


def record_of(fact: Fact, line: int, record_id: str) -> CallRecord:
    """Returns a fact as a record to compare; the participant of a conference counts as who was called."""
    known = (fact.setup_at, fact.alerting_at, fact.answer_at, fact.end_at)
    legs = (at for leg in fact.legs for at in (leg.setup_at, leg.alerting_at, leg.answer_at, leg.end_at))
    return CallRecord(
        line=line,
        record_id=record_id,
        call_id=fact.vendor_call_id,
        kind=fact.kind,
        account_id=fact.account_id,
        from_number=fact.from_number,
        to_number=fact.legs[0].number if fact.kind == Kind.CONFERENCE_LEG and fact.legs else fact.to_number,
        start_at=micros(min((at for at in (*known, *legs) if at is not None), default=None)),
        answer_at=micros(fact.answer_at),
        end_at=micros(fact.end_at),
        billed_s=fact.billable_s,
        is_stated=fact.billable_source == "vendor",
        cost=fact.cost,
        currency=fact.currency if fact.cost is not None else "",
        disposition="" if fact.disposition is Disposition.UNKNOWN else str(fact.disposition),
    )


class _MeaningsReader:
    """Reads rows by the meanings of their columns."""

    def __init__(self, found: FileMap, vendor: Vendor, ctx: Context, zone: str) -> None:
        self._found = found
        self._at = {column.meaning: at for at, column in enumerate(found.columns) if column.meaning}
        self._ctx = ctx
        self._zone = zone or vendor.locale.zone
        self._region = vendor.locale.region
        self._currency = vendor.locale.currency

    def read(self, line: int, row: Row) -> CallRecord | Skipped:
        if reason := passed_over(self._found, row):
            return Skipped(reason)

        def cell(meaning: str) -> str:
            at = self._at.get(meaning, len(row))
            return told(row[at]) if at < len(row) else self._found.constants.get(meaning, "")

        call_id = self._call_id(cell)
        troubles: list[str] = []

        def tried(read: Callable[[], T], nothing: T) -> T:
            try:
                return read()
            except Undecodable as exc:
                troubles.append(str(exc))
                return nothing

        tried(lambda: _require_columns(self._found, row), None)
        if troubles:  # no cell of the row can be trusted beside the id, which tells whose row it may be
            return CallRecord(line=line, call_id=call_id, trouble=troubles[0])
        started = tried(lambda: self._start(cell), None)
        unpriced: tuple[Decimal | None, str] = (None, "")
        cost, currency = tried(lambda: self._money(cell), unpriced)
        billed_s = tried(lambda: billed_of(cell(BILLED), cell(BILLED_MIN)), None)
        record = CallRecord(
            line=line,
            call_id=call_id,
            from_number=tried(lambda: number_of(cell(FROM), self._region), None),
            to_number=tried(lambda: number_of(cell(TO), self._region), None),
            start_at=started,
            answer_at=tried(lambda: self._time(cell(ANSWER)), None),
            end_at=tried(lambda: self._time(cell(END)), None),
            billed_s=billed_s,
            is_stated=billed_s is not None,
            cost=cost,
            currency=currency,
        )
        return msgspec.structs.replace(record, trouble=troubles[0]) if troubles else record

    def _call_id(self, cell: Callable[[str], str]) -> str:
        """Returns the id of the call, "" in a file without ids; raises `Undecodable`."""
        if CALL_ID not in self._at:
            return ""
        call_id = unmarked(cell(CALL_ID))
        require_id(call_id)
        if "\ufffd" in call_id or not names_call(call_id):
            raise Undecodable("the row names no call", code="no_id")
        return call_id

    def _start(self, cell: Callable[[str], str]) -> int | None:
        day = cell(START_DATE)
        if not day:
            return self._time(cell(START))
        found = _DAY.fullmatch(day)
        if found is None:
            return self._time(day)
        time = cell(START_TIME)
        if not time and START_TIME in self._at:
            raise Undecodable("a day has no time beside it", code="field")
        if not time and not found[4]:  # a day alone is no instant
            return None
        return self._time(f"{found[1]}-{found[2]:0>2}-{found[3]:0>2} {time or '00:00:00'}")

    def _time(self, text: str) -> int | None:
        return micros(time_of(text, self._zone, self._ctx.received_at))

    def _money(self, cell: Callable[[str], str]) -> tuple[Decimal | None, str]:
        own = money.code_of(cell(CURRENCY)) or self._currency
        in_cents = cell(COST_CENTS)
        text = in_cents or cell(COST)
        if not text:
            return None, ""
        amount = amount_of(text, own, _COST_LIMIT)
        return (amount / 100 if in_cents else amount), own


def columns_read(found: FileMap) -> Sequence[Column]:
    """Returns the columns that are read."""
    return [column for column in found.columns if column.meaning]


def values(record: CallRecord) -> dict[str, Any]:
    """Returns the compared fields of a record that are known."""
    return {name: value for name in FIELDS if (value := getattr(record, name)) not in (None, "")}
