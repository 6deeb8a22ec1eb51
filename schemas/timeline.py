"""The timeline: the whole call as known so far, on `calls.timelines` and in `v_timelines`."""

from datetime import datetime

from schemas.call_fields import CallFields
from schemas.facts import EPOCH, SCHEMA_VERSION


class Timeline(CallFields, frozen=True, kw_only=True, gc=False):
    """One call; a later version replaces an earlier one and never says less."""

    timeline_id: str
    """`call_key`, with a suffix where one key holds several calls; fixed at first sight, the row's identity."""
    call_key: str
    kind: str = ""
    has_record: bool = False
    has_states: bool = False
    phase: int = 0
    """0: open, 1: timed out without a final record, 2: final, 3: final and changed after it was closed."""
    fact_count: int = 0
    first_received_at: datetime = EPOCH
    last_received_at: datetime = EPOCH
    version: int = 0
    """Grows with every merged fact, independent of clocks; below 2^53. `processors/versions.py` has its parts."""
    schema_version: int = SCHEMA_VERSION
    account: str = ""
    """The configured account whose address let the call's facts in, "" for none."""
    call_type: str = "call"
    """One of "call", "conference" and "voice_code": only calls count in the key figures of calls."""
    started_at: datetime | None = None
    """The earliest instant of the call or of any of its legs; without one the first receipt."""
    slot_at: datetime | None = None
    """The hour of the first instant that was known of the call, by which its rows are stored; equal in all versions."""
    slot_certain: bool = False
    """False where an earlier part of the call may be stored in another slot: a sink looks for it before it writes."""
