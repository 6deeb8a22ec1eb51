"""A case: its pushes, and the rows of views and dead letters that they must lead to."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from tests.property.real_rows.kinds import KINDS, Element, after

NXCLOUD, YTX, HUAWEI = "/v1/nxcloud/cdr", "/v1/ytx", "/v1/huawei/ax"
Row = Mapping[str, Any]
_MONEY: Final = frozenset({"cost", "cost_in_conflict"})


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One request; its answer must be 200."""

    path: str
    body: bytes
    content_type: bytes = b"application/json"
    encoding: str = ""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a view must show."""

    view: str
    of: Mapping[str, Any]
    """The values of columns that select the rows."""
    count: int = 1
    shows: Mapping[str, Any] = {}
    """The values that each of these rows must have."""
    one_of: Mapping[str, tuple[Any, ...]] = {}
    """Columns that may have one of several values."""
    flags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Flags that the rows must not have."""

    def wrong(self, rows: Sequence[Row]) -> list[str]:
        """Returns a sentence for each difference."""
        found = [row for row in rows if all(row.get(name) == value for name, value in self.of.items())]
        if len(found) != self.count:
            return [f"{self.view} has {len(found)} rows of {dict(self.of)}, not {self.count}"]
        faults = []
        for row in found:
            faults += [
                f"{self.view}.{name} is {row.get(name, 'no column')!r}, not {value!r}"
                for name, value in self.shows.items()
                if not _same(name, row.get(name, "no column"), value)
            ]
            faults += [
                f"{self.view}.{name} is {row.get(name)!r}, none of {values}"
                for name, values in self.one_of.items()
                if not any(_same(name, row.get(name), value) for value in values)
            ]
            flags = set(row.get("quality_flags", ()))
            faults += [f"{self.view} lacks the flag {flag}" for flag in self.flags if flag not in flags]
            faults += [f"{self.view} has the flag {flag}" for flag in self.without if flag in flags]
        return faults


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One input, and its expected outcome."""

    name: str
    pushes: tuple[Push, ...]
    wants: tuple[Want, ...] = ()
    dead: tuple[str, ...] | None = ()
    """The codes of all its dead letters, sorted; None: not checked."""


def _same(name: str, shown: Any, wanted: Any) -> bool:
    if name in _MONEY and shown is not None and wanted is not None:
        return Decimal(str(shown)) == Decimal(str(wanted))
    return bool(shown == wanted)


def at(seconds: float) -> str:
    """Returns the instant this many seconds after the calls' beginning, as ClickHouse writes it."""
    return f"{after(seconds):%Y-%m-%d %H:%M:%S.%f}"


def element(kind: str, call: str, **changes: Any) -> Element:
    """Returns a payload of that kind with these fields changed."""
    return KINDS[kind].of(call) | changes


def push(kind: str, *elements: Element, **more: Any) -> Push:
    """Returns elements as a push of their kind."""
    return Push(path=PATHS[KINDS[kind].vendor], body=KINDS[kind].body(*elements), **more)


def plain(path: str, body: bytes | str, **more: Any) -> Push:
    """Returns a push of a body as it is."""
    return Push(path=path, body=body.encode() if isinstance(body, str) else body, **more)


def call(call_id: str, *flags: str, without: tuple[str, ...] = (), **shows: Any) -> Want:
    """Returns the expectation of the call's one row."""
    return Want(view="v_timelines", of={"vendor_call_id": call_id}, shows=shows, flags=flags, without=without)


def record(call_id: str, *flags: str, without: tuple[str, ...] = (), **shows: Any) -> Want:
    """Returns the expectation of the call's one record."""
    return Want(view="v_cdr", of={"vendor_call_id": call_id}, shows=shows, flags=flags, without=without)


PATHS: Final = {"nxcloud": NXCLOUD, "ytx": YTX, "huawei": HUAWEI}
