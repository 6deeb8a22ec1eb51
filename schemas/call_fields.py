"""The fields of a call, and the policy by which the contents of one record are merged into them. Pure.

`CallFields` are the fields that a fact and a timeline share: a timeline takes them over from its record. `POLICIES`
says for every field of a fact how contents that agree fill it, and what follows when contents differ; the joiner reads
its rules from here. `README.md` beside this file shows how a field is added.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from schemas.enums import Direction, Disposition, Flag, NumberKind, RecordingState, Role


class Leg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


class CallFields(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields that a fact and a timeline share, with one meaning in both."""

    vendor: str
    account_id: str = ""
    """The vendor's own id of the account, as the payload has it."""
    vendor_call_id: str = ""
    conference_id: str = ""
    binding_id: str = ""
    direction: Direction = Direction.UNKNOWN
    # parties: E.164 when the kind is e164, otherwise the digits as sent
    from_number: str | None = None
    from_kind: NumberKind = NumberKind.NONE
    to_number: str | None = None
    to_kind: NumberKind = NumberKind.NONE
    display_number: str | None = None
    """The number that the called party's phone shows."""
    privacy_number: str | None = None
    """The intermediate number that hides the parties from each other."""
    # milestones
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    legs: tuple[Leg, ...] = ()
    # amounts
    pdd_ms: int | None = None
    """Post-dial delay: from setup to alerting."""
    ring_ms: int | None = None
    talk_ms: int | None = None
    vendor_duration_s: int | None = None
    billable_s: int | None = None
    billable_source: str = ""
    """One of "vendor" and "computed"; "" without billed seconds."""
    # outcome
    disposition: Disposition = Disposition.UNKNOWN
    hangup_cause: str = ""
    """FreeSWITCH's name of the cause, or the vendor's own text."""
    q850: int | None = None
    sip_code: int | None = None
    hangup_reason: str = ""
    cause_confidence: str = "none"
    """One of "exact", "derived" and "none"."""
    hangup_party: str = "unknown"
    # money
    cost: Decimal | None = None
    currency: str = ""
    # recording
    recording_state: RecordingState = RecordingState.UNKNOWN
    recording_url: str = ""
    # the customer's own fields
    custom_ref: str = ""
    agent_id: str = ""
    agent_name: str = ""
    # quality
    is_final: bool = False
    quality_flags: tuple[Flag, ...] = ()


Fill = Literal["shown", "gap", "group", "span", "cause", "legs", "recording", "first", "union"]
"""The way in which a field of the shown content takes over values of others that agree with it:

- `shown`: it does not; the value is that of the shown content, or the joiner computes it.
- `gap`: it takes the value when its own is blank.
- `group`: it is taken together with the fields of its group, when their first two are blank.
- `span`: it is taken only from a content with the same instants.
- `cause`: it is taken from a content that knows the cause of the end better.
- `legs`: leg by leg, by the rules of `gap`, `span` and `cause`.
- `recording`: from the content with the newest address, otherwise from the first that knows of a recording.
- `first`: the value that was received first.
- `union`: the values of all.
"""


class FieldPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The treatment of one field when the contents of a record are merged and compared."""

    fill: Fill = "shown"
    group: tuple[str, ...] = ()
    """The group of `group`, or the instants of `span`."""
    outcome: bool = False
    """True for a field that a final content does not take from an unfinished one, where it was only provisional."""
    differ: Literal["", "conflict", "flag"] = ""
    """The flag when two final contents differ here: `conflict_final`, because it is billed, or `field_conflict`."""
    certain: bool = False
    """True for a field that also an unfinished content knows for certain."""
    digest: Literal["always", "set", "never"] = "always"
    """Its part in the digest of a content: `never` for carrier fields, which say how an item came and was spelt.

    A field that is added later is `set`: facts where it has its default keep the digest that they had.
    """


def _each(names: str, policy: FieldPolicy) -> dict[str, FieldPolicy]:
    return dict.fromkeys(names.split(), policy)


def _group(names: str, *, outcome: bool = False) -> dict[str, FieldPolicy]:
    group = tuple(names.split())
    return dict.fromkeys(group, FieldPolicy(fill="group", group=group, outcome=outcome))


_CARRIER: Final = FieldPolicy(digest="never")
_GAP: Final = FieldPolicy(fill="gap")
_CAUSE: Final = FieldPolicy(fill="cause", outcome=True)
_PRICE: Final = _group("cost currency cost_source", outcome=True)
_BILLED: Final = _group("billable_s billable_source", outcome=True)
_FROM: Final = _group("from_number from_raw from_kind")
_TO: Final = _group("to_number to_raw to_kind")
_DISPLAY: Final = _group("display_number display_raw display_kind")
_PRIVACY: Final = _group("privacy_number privacy_raw privacy_kind")


def _with(policy: FieldPolicy, **changes: object) -> FieldPolicy:
    return msgspec.structs.replace(policy, **changes)


POLICIES: Final[Mapping[str, FieldPolicy]] = {
    # identity and provenance
    **_each("fact_id content_digest call_key adapter_version schema_version version account", _CARRIER),
    **_each("time_precision received_at source request_id raw_topic raw_partition", _CARRIER),
    **_each("raw_offset raw_element raw_sha256 contents slot_at slot_certain", _CARRIER),
    **_each("fact_type vendor kind state is_final", FieldPolicy()),
    "keeps": FieldPolicy(digest="set"),
    "quality_flags": FieldPolicy(fill="union", digest="never"),
    "extras": FieldPolicy(fill="union"),
    # ids
    **_each("account_id vendor_call_id session_id binding_id direction", _GAP),
    "conference_id": _with(_GAP, differ="flag"),
    # parties
    **_FROM,
    **_TO,
    **_DISPLAY,
    **_PRIVACY,
    "from_number": _with(_FROM["from_number"], differ="conflict", certain=True),
    "to_number": _with(_TO["to_number"], differ="conflict", certain=True),
    "display_number": _with(_DISPLAY["display_number"], differ="flag"),
    "privacy_number": _with(_PRIVACY["privacy_number"], differ="flag"),
    "from_raw": _with(_FROM["from_raw"], digest="never"),
    "to_raw": _with(_TO["to_raw"], digest="never"),
    "display_raw": _with(_DISPLAY["display_raw"], digest="never"),
    "privacy_raw": _with(_PRIVACY["privacy_raw"], digest="never"),
    # milestones
    "setup_at": _with(_GAP, differ="flag"),
    "alerting_at": _with(_GAP, differ="flag"),
    "answer_at": _with(_GAP, differ="conflict", certain=True),
    "end_at": _with(_GAP, differ="conflict", outcome=True),
    "legs": FieldPolicy(fill="legs"),
    # amounts
    "pdd_ms": FieldPolicy(fill="span", group=("setup_at", "alerting_at"), outcome=True),
    "ring_ms": FieldPolicy(fill="span", group=("alerting_at",), outcome=True),
    "talk_ms": FieldPolicy(fill="span", group=("answer_at", "end_at"), outcome=True, differ="conflict"),
    "vendor_duration_s": _with(_GAP, differ="conflict", outcome=True),
    **_BILLED,
    "billable_s": _with(_BILLED["billable_s"], differ="conflict"),
    # outcome
    **_each("disposition hangup_cause q850 sip_code hangup_reason cause_confidence", _CAUSE),
    "hangup_party": _with(_GAP, outcome=True),
    # money
    **_PRICE,
    "cost": _with(_PRICE["cost"], differ="conflict"),
    "currency": _with(_PRICE["currency"], differ="flag"),
    # recording and the customer's own fields
    **_each("recording_state recording_url recording_expires_at", FieldPolicy(fill="recording")),
    "custom_ref": FieldPolicy(fill="first"),
    **_each("agent_id agent_name", _GAP),
    # state events and bindings
    "leg": _with(_GAP, digest="never"),
    **_each("leg_number event_at binding_state bound_at unbound_at revised_at", _GAP),
}
"""The policy of every field of a fact."""


def fields_of(*fills: Fill) -> tuple[str, ...]:
    """Returns the fields that are filled in one of these ways, in the order of the table."""
    return tuple(name for name, policy in POLICIES.items() if policy.fill in fills)


def differing(*consequences: str) -> tuple[str, ...]:
    """Returns the fields in which a difference between two final contents has one of these consequences."""
    return tuple(name for name, policy in POLICIES.items() if policy.differ in consequences)


def groups() -> tuple[tuple[str, ...], ...]:
    """Returns the groups of fields that are taken together."""
    return tuple(dict.fromkeys(policy.group for policy in POLICIES.values() if policy.fill == "group"))


SPANS: Final = {name: POLICIES[name].group for name in fields_of("span")}
"""The instants of each span."""
OUTCOME: Final = frozenset(name for name, policy in POLICIES.items() if policy.outcome)
CERTAIN: Final = tuple(name for name, policy in POLICIES.items() if policy.certain)
CARRIERS: Final = tuple(name for name, policy in POLICIES.items() if policy.digest == "never")
IN_DIGEST_WHEN_SET: Final = tuple(name for name, policy in POLICIES.items() if policy.digest == "set")
