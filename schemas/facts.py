"""The canonical form: one fact is one call record, one state event or one binding, whatever the vendor called it.

Terms follow Q.850, E.164, 3GPP TS 32.298 and the CDRs of FreeSWITCH and CGRateS. Instants are aware UTC, amounts carry
their unit, money is Decimal with a currency, ids are strings. None means "not known"; zero means zero.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from schemas.call_fields import CallFields, Leg
from schemas.enums import (
    Direction,
    Disposition,
    FactType,
    Flag,
    Kind,
    NumberKind,
    RecordingState,
    Role,
    State,
)

__all__ = [
    "EPOCH",
    "PULLED",
    "SCHEMA_VERSION",
    "Direction",
    "Disposition",
    "Fact",
    "FactType",
    "Flag",
    "Kind",
    "Leg",
    "NumberKind",
    "RecordContent",
    "RecordingState",
    "Role",
    "State",
]

SCHEMA_VERSION: Final = 1
PULLED: Final = frozenset({"poll", "backfill"})
"""The sources of facts that were pulled from a vendor."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RecordContent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of several contradicting contents of a record: its origin, and its outcome and money."""

    digest: str
    """Hash of the content, by which `callweave conflicts resolve --keep` names it."""
    is_shown: bool
    """True when the record's own columns show this content."""
    is_final: bool
    received_at: datetime
    source: str
    raw_topic: str
    raw_partition: int
    raw_offset: int
    raw_element: int
    disposition: Disposition
    setup_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    talk_ms: int | None = None
    vendor_duration_s: int | None = None
    billable_s: int | None = None
    cost: Decimal | None = None
    currency: str = ""
    from_number: str | None = None
    to_number: str | None = None
    hangup_cause: str = ""
    q850: int | None = None
    sip_code: int | None = None
    hangup_reason: str = ""
    hangup_party: str = "unknown"


class Fact(CallFields, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One normalised item of `calls.facts` and `calls.normalized`; each is a row of `v_cdr` or `call_events`.

    On `calls.facts` a field with its default is left out, so no default ever changes: facts of older releases wait
    there.
    """

    # identity
    fact_id: str = ""
    """UUIDv5 of vendor, account, kind and dedupe key: the same item sent again has the same id."""
    content_digest: str = ""
    """Hash of the content without its carrier fields: the same id with another digest is an update or a conflict."""
    call_key: str = ""
    """`vendor|account|call id`, the Kafka key, equal for all facts of a call. Its account is that of the URL where some
    payloads of a call do not name theirs."""
    fact_type: FactType
    kind: str
    """One of `Kind`, or a kind of its own that the vendor's file declares."""
    adapter_version: int = 1
    schema_version: int = SCHEMA_VERSION
    version: int = 0
    """Version of the row: the highest is the truth. On `calls.facts` that of one content (`processors/versions.py`)."""
    session_id: str = ""
    # parties, as sent
    from_raw: str = ""
    to_raw: str = ""
    display_raw: str = ""
    display_kind: NumberKind = NumberKind.NONE
    privacy_raw: str = ""
    privacy_kind: NumberKind = NumberKind.NONE
    # milestones, money, recording
    time_precision: str = ""
    """The finest unit that the source gave: "s", "ms" or "us"."""
    cost_source: str = ""
    """The source of the cost, "vendor"; "" without one."""
    recording_expires_at: datetime | None = None
    extras: dict[str, str] = msgspec.field(default_factory=dict)
    """Every field of the source that has no column, as text."""
    # state events
    leg: str = ""
    """The phone that this leg calls, as sent."""
    leg_number: str | None = None
    state: State = State.UNKNOWN
    event_at: datetime | None = None
    # bindings
    binding_state: str = ""
    bound_at: datetime | None = None
    unbound_at: datetime | None = None
    revised_at: datetime | None = None
    """The vendor's own update clock, where it has one: the newest is the truth."""
    # provenance
    received_at: datetime = EPOCH
    source: str = "push"
    request_id: str = ""
    raw_topic: str = ""
    raw_partition: int = 0
    raw_offset: int = 0
    raw_element: int = 0
    raw_sha256: str = ""
    account: str = ""
    """The configured account whose address let the item in, "" for none: part of the identity, so that nobody writes
    into the records of another."""
    contents: tuple[RecordContent, ...] = ()
    """Contents of a record that contradict each other, the shown one first; on `calls.normalized` only."""
    keeps: str = ""
    """The digest of the content that counts, in a resolution, whose `fact_id` is the record's."""
    slot_at: datetime | None = None
    """The hour of the first instant that was known of the call, by which its rows are stored; equal in all versions."""
    slot_certain: bool = False
    """False where an earlier part of the call may be stored in another slot: a sink looks for it before it writes."""
