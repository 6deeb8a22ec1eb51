"""Calls of a vendor, as they are pushed to us and as the carrier writes them into a file."""

import csv
import io
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from processors.normalise import directory, normalise
from schemas.config.limits import DEFAULT
from schemas.facts import Fact
from schemas.raw import Position, RawCallback
from schemas.vendors import VENDORS

BEGIN = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
HOURS = 24
BEIJING = timedelta(hours=8)
ACCOUNT = "0000aaaa0000aaaa0000aaaa0000aaaa"
Element = dict[str, str]
FIELDS = (
    "requestid", "appid", "fid", "caller", "called", "callerstime", "calleretime", "calledstime", "calledetime",
    "tapesurl", "duration", "oriamount", "stateDesc", "customParm",
)  # fmt: skip
TIMES = ("callerstime", "calleretime", "calledstime", "calledetime")


def two_way_calls(count: int, seed: int = 18) -> list[Element]:
    """Returns calls between fictitious numbers, spread over a day in Beijing's time, a quarter of them unanswered."""
    rng = random.Random(seed)
    return [_call(number, rng) for number in range(count)]


def _call(number: int, rng: random.Random) -> Element:
    begun = BEGIN + timedelta(seconds=rng.randrange(HOURS * 3600 - 1200))
    answered = rng.random() < 0.75
    waited, talked = rng.randrange(3, 40), rng.randrange(5, 900)
    a_end = begun + timedelta(seconds=waited + (talked if answered else 0))
    seconds = waited + (talked if answered else 0)
    return {
        "requestid": f"20260302{number:021}",
        "appid": ACCOUNT,
        "fid": "4",
        "caller": f"1380000{number % 10_000:04}",
        "called": f"1390000{rng.randrange(10_000):04}",
        "callerstime": civil(begun),
        "calleretime": civil(a_end),
        "calledstime": civil(begun + timedelta(seconds=waited)) if answered else "",
        "calledetime": civil(a_end),
        "tapesurl": "NoTapes",
        "duration": str(seconds),
        "oriamount": f"{seconds // 60 + 1}.{rng.randrange(100):02}",
        "stateDesc": "应答|正常" if answered else "应答|无人接听",
        "customParm": "",
    }


def civil(at: datetime) -> str:
    return f"{at + BEIJING:%Y-%m-%d %H:%M:%S}"


def moved(element: Mapping[str, str], by: timedelta) -> Element:
    """Returns the call with all its times moved."""
    return {
        name: civil(datetime.fromisoformat(value).replace(tzinfo=UTC) - BEIJING + by)
        if name in TIMES and value
        else value
        for name, value in element.items()
    }


def facts(
    elements: Iterable[Mapping[str, Any]], vendor: str = "ytx", callback: str = "", at: datetime | None = None
) -> list[Fact]:
    """Returns the records that the pushed bodies of these calls give."""
    made: list[Fact] = []
    for offset, element in enumerate(elements):
        raw = RawCallback(
            vendor=vendor,
            callback=callback or VENDORS[vendor].callbacks[0].name,
            received_at=at or BEGIN + timedelta(days=2),
            request_id=str(offset),
            content_type="application/json",
            body=json.dumps(element).encode(),
        )
        found = normalise(raw, Position("calls.raw", 0, offset), directory(()), DEFAULT)
        assert not found.dead, found.dead
        made += found.facts
    return made


def table(
    rows: Iterable[Mapping[str, str]],
    columns: Sequence[str] | Mapping[str, str] = FIELDS,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> bytes:
    """Returns rows as a text file; `columns` may map the headings of the file to the fields."""
    named = columns if isinstance(columns, Mapping) else {name: name for name in columns}
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(named)
    writer.writerows([row.get(field, "") for field in named.values()] for row in rows)
    return out.getvalue().encode(encoding)
