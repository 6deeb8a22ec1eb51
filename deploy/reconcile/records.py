"""A row of the carrier's file as a record that can be compared, by the vendor's own mapping or by meanings. Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

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
from deploy.reconcile.columns import Column, FileMap, callback_of
from deploy.reconcile.rows.bounds import Row
from schemas.body.scalars import names_call
from schemas.errors import Undecodable
from schemas.facts import EPOCH, Disposition, Fact, FactType, Kind
from schemas.identity import fact_id
from schemas.vendor_kit import instants, money, phone_numbers
from schemas.vendor_kit.contract import Context, Mapped, Vendor
from schemas.vendor_kit.fields import LONGEST_S

_US: Final = timedelta(microseconds=1)
_ROUNDED: Final = re.compile(r"[+-]?[0-9](?:\.[0-9]+)?[eE]\+[0-9]+")
"""An id that a spreadsheet took for a number, and of which it kept fifteen digits."""
_CIVIL: Final = re.compile(r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}[ T]*[0-9]{1,2}:.*|[0-9]{14}|[0-9]{17}")
_CLOCK: Final = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,3}):([0-9]{2})")
_SECONDS: Final = re.compile(r"([0-9]{1,9})(?:\.[0-9]*)?\s*(?:秒|s|sec|secs|seconds)?", re.IGNORECASE)
_DAY: Final = re.compile(r"([0-9]{4})[-/年.]?([0-9]{1,2})[-/月.]?([0-9]{1,2})日?(?: 00:00:00)?")
_SHORT_TIME: Final = re.compile(r"(.*[0-9] ?[0-9]{1,2}:[0-9]{2})")

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
    """Returns a row as an element in the vendor's words."""
    element = {
        column.meaning: _placed(cell, zone, received_at) if zone else cell
        for column, cell in zip(found.columns, row, strict=False)
        if column.meaning
    }
    # Rows end where their last cells are empty.
    element |= {column.meaning: "" for column in found.columns[len(row) :] if column.meaning}
    return {**element, **found.constants}


def _placed(cell: str, zone: str, received_at: datetime) -> str:
    """Returns a time without a zone as one with it; any other text as it is."""
    if not _CIVIL.fullmatch(cell):
        return cell
    at = instants.parse(cell, zone, received_at).at
    return cell if at is None else at.isoformat().replace("T", " ")


class _FieldsReader:
    """Reads rows whose columns are the vendor's fields."""

    def __init__(self, found: FileMap, vendor: Vendor, ctx: Context, zone: str) -> None:
        self._found, self._vendor, self._ctx, self._zone = found, vendor, ctx, zone
        self._callback = callback_of(vendor, found.callback)

    def read(self, line: int, row: Row) -> CallRecord | Skipped:
        mapped = self.mapped(row)
        if isinstance(mapped, Skipped):
            return mapped
        fact = mapped.fact
        identity = fact_id(fact.vendor, fact.account_id, fact.kind, mapped.dedupe, self._ctx.account)
        return record_of(fact, line, identity)

    def mapped(self, row: Row) -> Mapped | Skipped:
        """Returns the mapped record of a row."""
        if is_total(row):
            return Skipped("a line of totals")
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


def require_id(call_id: str) -> None:
    """Raises `Undecodable` for an id of which a spreadsheet left the first digits alone."""
    if call_id[1:2] in (".", "e", "E") and _ROUNDED.fullmatch(call_id):
        raise Undecodable("a spreadsheet took the id for a number and rounded it", code="no_id")


class _MeaningsReader:
    """Reads rows by the meanings of their columns."""

    def __init__(self, found: FileMap, vendor: Vendor, ctx: Context, zone: str) -> None:
        self._at = {column.meaning: at for at, column in enumerate(found.columns) if column.meaning}
        self._constants = found.constants
        self._ctx = ctx
        self._zone = zone or vendor.locale.zone
        self._region = vendor.locale.region
        self._currency = vendor.locale.currency

    def read(self, line: int, row: Row) -> CallRecord | Skipped:
        if is_total(row):
            return Skipped("a line of totals")

        def cell(meaning: str) -> str:
            at = self._at.get(meaning, len(row))
            return row[at] if at < len(row) else self._constants.get(meaning, "")

        call_id = cell(CALL_ID)
        require_id(call_id)
        if not names_call(call_id):
            call_id = ""
            if CALL_ID in self._at:
                raise Undecodable("the row names no call", code="no_id")
        started = self._start(cell)
        cost, currency = self._money(cell)
        billed_s = _billed(cell(BILLED), cell(BILLED_MIN))
        return CallRecord(
            line=line,
            call_id=call_id,
            from_number=self._number(cell(FROM)),
            to_number=self._number(cell(TO)),
            start_at=started,
            answer_at=self._time(cell(ANSWER)),
            end_at=self._time(cell(END)),
            billed_s=billed_s,
            is_stated=billed_s is not None,
            cost=cost,
            currency=currency,
        )

    def _start(self, cell: Callable[[str], str]) -> int | None:
        day = cell(START_DATE)
        if not day:
            return self._time(cell(START))
        found = _DAY.fullmatch(day)
        if found is None:
            return self._time(day)
        time = cell(START_TIME) or "00:00:00"
        return self._time(f"{found[1]}-{found[2]:0>2}-{found[3]:0>2} {time}")

    def _time(self, text: str) -> int | None:
        if not text:
            return None
        sent = f"{text}:00" if text.count(":") == 1 and _SHORT_TIME.fullmatch(text) else text
        read = instants.parse(sent, self._zone, self._ctx.received_at)
        if read.at is None and read.flags:
            raise Undecodable("a time cannot be read", code="field")
        return micros(read.at)

    def _number(self, text: str) -> str | None:
        return phone_numbers.parse(text or None, self._region).number

    def _money(self, cell: Callable[[str], str]) -> tuple[Decimal | None, str]:
        own = cell(CURRENCY).upper()[:8] or self._currency
        in_cents = cell(COST_CENTS)
        text = in_cents or cell(COST)
        if not text:
            return None, ""
        read = money.parse(text, own, 10**12)
        if read.value is None:
            raise Undecodable("an amount of money cannot be read", code="field")
        return (read.value / 100 if in_cents else read.value), own


def _billed(seconds: str, minutes: str) -> int | None:
    if seconds:
        clock, plain = _CLOCK.fullmatch(seconds), _SECONDS.fullmatch(seconds)
        if clock is not None:
            return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
        if plain is None or int(plain[1]) > LONGEST_S:
            raise Undecodable("the billed seconds cannot be read", code="field")
        return int(plain[1])
    if not minutes:
        return None
    try:
        count = Decimal(minutes[:32])
        whole = int(count * 60) if count.is_finite() and 0 <= count * 60 <= LONGEST_S else None
    except (InvalidOperation, OverflowError):
        whole = None
    if whole is None:
        raise Undecodable("the billed minutes cannot be read", code="field")
    return whole


def columns_read(found: FileMap) -> Sequence[Column]:
    """Returns the columns that are read."""
    return [column for column in found.columns if column.meaning]


def values(record: CallRecord) -> dict[str, Any]:
    """Returns the compared fields of a record that are known."""
    return {name: value for name in FIELDS if (value := getattr(record, name)) not in (None, "")}
