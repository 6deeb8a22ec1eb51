"""Days for the tests of the questions: each case has one of its own, nine weeks from the next.

None sees the calls of another. All cases stand in one database, so the rows of one are what the others must not find.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from schemas.facts import Direction, Disposition, Fact, FactType, Kind
from schemas.timeline import Timeline
from sinks.columns import Table
from sinks.rows import CALL_EVENTS, CDR, DEAD_LETTERS, TIMELINES
from tests.contract.views.samples import call, dead_letter, record

FIRST_MONDAY: Final = datetime(2020, 1, 6, tzinfo=UTC)
APART: Final = timedelta(weeks=9)
OURS: Final = "+8613000000001"
"""A number of the customer's."""
OURS_MASKED: Final = "+86130****0001"
RINGS_S: Final = 10
"""Seconds from the start of a made call until it is answered."""


def mobile(number: int) -> str:
    """Returns a fictitious mobile number of China: 0000 is no exchange code."""
    return f"+861310000{number:04}"


class Case(msgspec.Struct, kw_only=True):
    """A question, the rows that it is asked about, and the answer that a person would give."""

    question: str
    day: "Day"
    columns: str
    """The columns that are compared."""
    expected: Sequence[tuple[Any, ...]]
    params: Mapping[str, Any] = {}
    days: float = 1
    """The days from the beginning of its day to `to`."""

    @property
    def values(self) -> dict[str, str]:
        """The parameters as they are sent."""
        end = self.day.start + timedelta(days=self.days)
        times = {"from": f"{self.day.start:%Y-%m-%d %H:%M:%S}", "to": f"{end:%Y-%m-%d %H:%M:%S}"}
        return {**times, **{name: str(value) for name, value in self.params.items()}}


class Day:
    """A Monday, and the rows of a case, which begin on it unless they say otherwise."""

    def __init__(self, number: int) -> None:
        self.start = FIRST_MONDAY + number * APART
        self.rows: list[tuple[Table[Any], Any]] = []
        self._name = f"{number:02}"

    def at(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Returns an instant that far from the beginning of the day."""
        return self.start + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)

    def call(self, at: datetime | None = None, **fields: Any) -> Timeline:
        """Adds a final call of the customer's to a mobile number, which nobody answered."""
        began = at or self.at(hours=9)
        call_id = fields.pop("vendor_call_id", f"{self._name}-{len(self.rows):03}")
        made = call(
            0, **{
                "timeline_id": f"ytx|acc|{call_id}", "call_key": f"ytx|acc|{call_id}", "vendor_call_id": call_id,
                "kind": Kind.CALLBACK_CDR, "direction": Direction.OUTBOUND, "account": "main", "from_number": OURS,
                "to_number": mobile(1), "slot_at": began.replace(minute=0, second=0, microsecond=0), "started_at": began,
                "setup_at": began, "end_at": began + timedelta(seconds=30), "disposition": Disposition.NO_ANSWER,
                "first_received_at": began, "last_received_at": began, "is_final": True, "has_record": True, "phase": 2, **fields,
            },
        )  # fmt: skip
        self.rows.append((TIMELINES, made))
        return made

    def answered(self, talk_s: float, at: datetime | None = None, **fields: Any) -> Timeline:
        """Adds a call that was answered after ten seconds."""
        began = at or self.at(hours=9)
        answer = began + timedelta(seconds=RINGS_S)
        talk = {"answer_at": answer, "end_at": answer + timedelta(seconds=talk_s), "talk_ms": int(talk_s * 1000)}
        return self.call(began, **{"disposition": Disposition.ANSWERED, **talk, **fields})

    def fact(self, at: datetime | None = None, *, number: int = 0, **fields: Any) -> Fact:
        """Adds a call record that was received at an instant, or a state event."""
        received = at or self.at(hours=9)
        number = number or (100 + int(self._name)) * 10_000 + len(self.rows) + 1
        made = record(
            number,
            received_at=received,
            **{"slot_at": received.replace(minute=0, second=0), "account": "main", **fields},
        )
        self.rows.append((CALL_EVENTS if made.fact_type is FactType.STATE else CDR, made))
        return made

    def dead_letter(self, at: datetime, offset: int, **fields: Any) -> None:
        """Adds a dead letter."""
        self.rows.append((DEAD_LETTERS, dead_letter(offset, occurred_at=at, account="main", **fields)))
