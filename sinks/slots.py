"""The slot of a row, and which rows must be looked for before they are written. Pure.

A row's slot is the beginning of its table's sorting key, so a version in another slot would be a second row. The joiner
says of each call whether it can be certain that nothing of it was stored before its state began.
"""

from datetime import datetime
from typing import Any

from schemas.slot_hours import hour_at, hour_of, instant_of
from schemas.timeline import Timeline


def slot_of(record: Any) -> datetime:
    """Returns the slot of a fact or a call; the one that it would be given now where an older release wrote it."""
    if record.slot_at is not None:
        return record.slot_at  # type: ignore[no-any-return]  # of both types
    if isinstance(record, Timeline):
        return hour_at(record.started_at, record.first_received_at)
    return instant_of(hour_of(record))
