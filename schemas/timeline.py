"""The whole call as known so far: what `calls.timelines` and `v_timelines` show."""

from datetime import datetime
from decimal import Decimal

import msgspec

from schemas.facts import EPOCH, SCHEMA_VERSION, Direction, Disposition, Flag, Leg, NumberKind, RecordingState


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One call; a later version replaces an earlier one and never says less."""

    timeline_id: str
    """`call_key`, with a suffix where one key holds several calls; frozen at first sight, the row's identity."""
    call_key: str
    vendor: str
    kind: str = ""
    account_id: str = ""
    vendor_call_id: str = ""
    conference_id: str = ""
    binding_id: str = ""
    direction: Direction = Direction.UNKNOWN
    from_number: str | None = None
    from_kind: NumberKind = NumberKind.NONE
    to_number: str | None = None
    to_kind: NumberKind = NumberKind.NONE
    display_number: str | None = None
    privacy_number: str | None = None
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    legs: tuple[Leg, ...] = ()
    pdd_ms: int | None = None
    ring_ms: int | None = None
    talk_ms: int | None = None
    vendor_duration_s: int | None = None
    billable_s: int | None = None
    billable_source: str = ""
    disposition: Disposition = Disposition.UNKNOWN
    hangup_cause: str = ""
    q850: int | None = None
    sip_code: int | None = None
    hangup_reason: str = ""
    cause_confidence: str = "none"
    hangup_party: str = "unknown"
    cost: Decimal | None = None
    currency: str = ""
    recording_state: RecordingState = RecordingState.UNKNOWN
    recording_url: str = ""
    custom_ref: str = ""
    agent_id: str = ""
    agent_name: str = ""
    is_final: bool = False
    has_record: bool = False
    has_states: bool = False
    phase: int = 0
    """0 open, 1 timed out without a final record, 2 final, 3 final and changed after it was closed."""
    fact_count: int = 0
    quality_flags: tuple[Flag, ...] = ()
    first_received_at: datetime = EPOCH
    last_received_at: datetime = EPOCH
    version: int = 0
    """Grows with what was merged, whatever the clock says; below 2^53. `processors/versions.py` has its parts."""
    schema_version: int = SCHEMA_VERSION
    account: str = ""
    """The configured account whose address let the call's facts in, "" for none."""
    call_type: str = "call"
    """"call", "conference" or "voice_code": only calls count in the key figures of calls."""
    started_at: datetime | None = None
    """The earliest instant of the call or of any of its legs; without one the first receipt."""
