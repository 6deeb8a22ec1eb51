"""The canonical form: one fact is one call record, one state event or one binding, whatever the vendor called it.

Terms follow Q.850, E.164, 3GPP TS 32.298 and the CDRs of FreeSWITCH and CGRateS. Instants are aware UTC, amounts carry
their unit, money is Decimal with a currency, ids are strings. None means "not known"; zero means zero.
"""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

SCHEMA_VERSION: Final = 1
PULLED: Final = frozenset({"poll", "backfill"})
"""Sources of what we asked a vendor for."""


class FactType(StrEnum):
    """What a fact is about."""

    RECORD = "record"
    STATE = "state"
    BINDING = "binding"
    RESOLUTION = "resolution"
    """Somebody's decision on a record whose contents contradict each other; internal to `calls.facts`."""


class Kind(StrEnum):
    """The seven payload kinds, in our words."""

    SOFTPHONE_CDR = "softphone_cdr"
    VOICE_OTP = "voice_otp"
    CALLBACK_CDR = "callback_cdr"
    CALLBACK_STATE = "callback_state"
    CONFERENCE_LEG = "conference_leg"
    PRIVACY_AX = "privacy_ax"
    BINDING = "binding"


class Direction(StrEnum):
    """Seen from the customer; `callback` rings both parties."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    CALLBACK = "callback"
    CONFERENCE = "conference"
    UNKNOWN = "unknown"


class Disposition(StrEnum):
    """How the call ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    BARRED = "barred"
    CONGESTION = "congestion"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    UNKNOWN = "unknown"


class State(StrEnum):
    """A leg's states in their order of rank: setup < alerting < answer < release."""

    SETUP = "setup"
    ALERTING = "alerting"
    ANSWER = "answer"
    RELEASE = "release"
    UNKNOWN = "unknown"


class NumberKind(StrEnum):
    """What a party's number is; only `e164` numbers are verified."""

    NONE = ""
    E164 = "e164"
    SHORT = "short"
    EXTENSION = "extension"
    MASKED = "masked"
    ANONYMOUS = "anonymous"
    UNVERIFIED = "unverified"


class Role(StrEnum):
    """A leg's party: A calls, B is called, P takes part in a conference, X could not be told."""

    A = "A"
    B = "B"
    P = "P"
    X = "X"


class RecordingState(StrEnum):
    """What is known of a recording."""

    NONE = "none"
    PENDING = "pending"
    AVAILABLE = "available"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Flag(StrEnum):
    """Quality flags: each says that something about the source was not as documented.

    The sentence under each is its documentation: the README's list is made from them.
    """

    TZ_ASSUMED = "tz_assumed"
    """A civil time came without a zone, and the vendor does not say which one it is in."""
    TZ_SUSPECT = "tz_suspect"
    """Times are wrong by exactly the eight hours between Beijing and UTC, or fit only when read in the other zone."""
    TIME_ORDER = "time_order"
    """Instants are in an order that a call cannot have."""
    BAD_TIME = "bad_time"
    """A time could not be read, or lies before 2000 or more than a day after its receipt."""
    DURATION_MISMATCH = "duration_mismatch"
    """The vendor's duration is not the span of any two of its times."""
    STATE_VS_TIME = "state_vs_time"
    """A status or a text says something else than the times do."""
    CONFLICT_FINAL = "conflict_final"
    """Two final contents of one record disagree on whether it was answered, on times or on what is billed; see v_conflicts."""
    LATE = "late"
    """It came after its call had been closed."""
    ORPHAN_STATE = "orphan_state"
    """A state event belongs to no party of the record, or to a call whose record never came."""
    MISSING_STATE = "missing_state"
    """A state event that must have happened was never reported."""
    UNKNOWN_ENUM = "unknown_enum"
    """A status, cause or direction has a value that the vendor's document does not list."""
    REPAIRED_JSON = "repaired_json"
    """The body was not valid JSON, or was wrapped in something else, and was read all the same."""
    CHARSET_REPAIRED = "charset_repaired"
    """Text was not in the encoding that it should be in; what was guessed or replaced stands in it."""
    KEY_NORMALISED = "key_normalised"
    """A key was spelt with other case or with spaces around it."""
    DUP_KEY = "dup_key"
    """A key stood more than once in one object; the values that were not used are in the extras."""
    NUMBER_UNVERIFIED = "number_unverified"
    """A telephone number is not valid in its country's numbering plan, and is kept as sent."""
    NUMBER_AMBIGUOUS = "number_ambiguous"
    """A telephone number can be read in two ways, or names another country than the one sent beside it."""
    MASKED_NUMBER = "masked_number"
    """A telephone number came with digits hidden."""
    PLACEHOLDER = "placeholder"
    """An address has no host in it."""
    OVER_MAX = "over_max"
    """The call was longer than its binding allows."""
    REC_MISMATCH = "rec_mismatch"
    """What is said of the recording contradicts itself."""
    COST_MISSING = "cost_missing"
    """A vendor that sends costs sent none."""
    SCHEMA_DRIFT = "schema_drift"
    """A field came that the vendor's documents do not have."""
    TYPE_DRIFT = "type_drift"
    """A value came in another type or spelling than documented."""
    DIRECTION_SUSPECT = "direction_suspect"
    """The direction contradicts another field."""
    PEER_UNKNOWN = "peer_unknown"
    """The vendor does not say who the other party was."""
    FIELD_CONFLICT = "field_conflict"
    """Contents or fields disagree on something that does not change what is billed."""
    RANGE_ERROR = "range_error"
    """An amount or a span is beyond its bound, so it is NULL; what was sent is in the extras."""
    SAME_NUMBER = "same_number"
    """Both parties have the same number."""
    UNKNOWN_ACCOUNT = "unknown_account"
    """The payload names an account of the vendor's that is not configured."""
    OVERFLOW = "overflow"
    """So much came for this call that something was folded away."""
    CURRENCY_SUSPECT = "currency_suspect"
    """The amount carries a sign of another currency than the vendor's, so the cost is NULL."""
    BILLED_UNANSWERED = "billed_unanswered"
    """The vendor bills seconds or money for a call that nobody answered."""
    CONFLICT_RESOLVED = "conflict_resolved"
    """Somebody decided which of the contradicting contents counts."""


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One party's part of a call."""

    role: Role
    number: str | None = None
    number_raw: str = ""
    number_kind: NumberKind = NumberKind.NONE
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    disposition: Disposition = Disposition.UNKNOWN
    hangup_reason: str = ""
    q850: int | None = None
    sip_code: int | None = None


class RecordContent(msgspec.Struct, frozen=True, kw_only=True):
    """One of several contradicting contents of a record: where it came from, and all that it says of outcome and money."""

    digest: str
    """Hash of what it says; names it in `callweave conflicts resolve --keep`."""
    is_shown: bool
    """Whether the record's own columns are this content's."""
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


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One normalised item of `calls.facts` and `calls.normalized`; the fields are the columns of `v_cdr` and `call_events`."""

    # identity
    fact_id: str = ""
    """UUIDv5 of vendor, account, kind and dedupe key: the same item sent again has the same id."""
    content_digest: str = ""
    """Hash of what the item says, without how it came: same id and other digest is an update or a conflict."""
    call_key: str = ""
    """`vendor|account|call id`: the Kafka key; equal for all facts of a call. Its account is the URL's where some of a
    call's payloads do not name their own."""
    fact_type: FactType
    vendor: str
    kind: Kind
    adapter_version: int = 1
    schema_version: int = SCHEMA_VERSION
    version: int = 0
    """Of the item: the highest is the truth. On `calls.facts` that of a fact which came once; `processors/versions.py`."""
    account_id: str = ""
    vendor_call_id: str = ""
    session_id: str = ""
    conference_id: str = ""
    binding_id: str = ""
    direction: Direction = Direction.UNKNOWN
    # parties: E.164 when the kind is e164, else the digits as sent
    from_number: str | None = None
    from_raw: str = ""
    from_kind: NumberKind = NumberKind.NONE
    to_number: str | None = None
    to_raw: str = ""
    to_kind: NumberKind = NumberKind.NONE
    display_number: str | None = None
    display_raw: str = ""
    display_kind: NumberKind = NumberKind.NONE
    privacy_number: str | None = None
    privacy_raw: str = ""
    privacy_kind: NumberKind = NumberKind.NONE
    # milestones
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    time_precision: str = ""
    """"s", "ms" or "us": the finest that the source gave."""
    legs: tuple[Leg, ...] = ()
    # amounts
    pdd_ms: int | None = None
    ring_ms: int | None = None
    talk_ms: int | None = None
    vendor_duration_s: int | None = None
    billable_s: int | None = None
    billable_source: str = ""
    """"vendor" or "computed"."""
    # how it ended
    disposition: Disposition = Disposition.UNKNOWN
    hangup_cause: str = ""
    """FreeSWITCH's name of the cause, or the vendor's own text."""
    q850: int | None = None
    sip_code: int | None = None
    hangup_reason: str = ""
    cause_confidence: str = "none"
    """"exact", "derived" or "none"."""
    hangup_party: str = "unknown"
    # money
    cost: Decimal | None = None
    currency: str = ""
    cost_source: str = ""
    """"vendor", or "" where none was sent."""
    # recording
    recording_state: RecordingState = RecordingState.UNKNOWN
    recording_url: str = ""
    recording_expires_at: datetime | None = None
    # the customer's own
    custom_ref: str = ""
    agent_id: str = ""
    agent_name: str = ""
    extras: dict[str, str] = {}
    """Every field of the source that has no column, as text."""
    # state events
    leg: str = ""
    """The phone that this leg rings, as sent."""
    leg_number: str | None = None
    state: State = State.UNKNOWN
    event_at: datetime | None = None
    # bindings
    binding_state: str = ""
    bound_at: datetime | None = None
    unbound_at: datetime | None = None
    revised_at: datetime | None = None
    """The vendor's own update clock, where it has one: the newest is the truth."""
    # quality and provenance
    is_final: bool = False
    quality_flags: tuple[Flag, ...] = ()
    received_at: datetime = EPOCH
    source: str = "push"
    request_id: str = ""
    raw_topic: str = ""
    raw_partition: int = 0
    raw_offset: int = 0
    raw_element: int = 0
    raw_sha256: str = ""
    account: str = ""
    """The configured account whose address let it in, "" for none: part of the identity, so that nobody writes into
    another's books."""
    contents: tuple[RecordContent, ...] = ()
    """On `calls.normalized` only: the contents of a record that contradict each other, the shown one first; else empty."""
    keeps: str = ""
    """Of a resolution: the digest of the content that counts. Its `fact_id` is the record's."""
