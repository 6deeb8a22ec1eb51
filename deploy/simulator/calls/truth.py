"""The calls and bindings that the simulator invents, as they really happened: no vendor has described them yet.

Instants are aware UTC in whole seconds; those of a binding are in milliseconds. Nothing here knows a payload's form.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import msgspec

from schemas.facts import Direction, Disposition, Kind, Role


class Scenario(StrEnum):
    """The course that a call takes, or the change of a binding."""

    ANSWERED = "answered"
    NO_ANSWER = "no answer"
    BUSY = "busy"
    REJECTED = "rejected"
    SWITCHED_OFF = "switched off"
    INVALID_NUMBER = "invalid number"
    SUSPENDED = "suspended"
    CONGESTION = "congestion"
    CANCELLED = "cancelled"
    TIMER_EXPIRED = "answered, ended by a timer"
    A_NO_ANSWER = "A never answered"
    A_UNREACHABLE = "A not reached"
    STATES_ONLY = "states without a record"
    OTP = "voice code heard"
    OTP_NO_ANSWER = "voice code not answered"
    CONFERENCE = "conference"
    PRIVACY = "privacy number, answered"
    PRIVACY_NO_ANSWER = "privacy number, not answered"
    BOUND = "binding made"
    UNBOUND = "binding dissolved"


class Ending(NamedTuple):
    """One way in which a vendor names the end of a call; None where nothing is claimed."""

    text: str
    disposition: Disposition
    q850: int | None = None
    sip_code: int | None = None


class TrueLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One party's leg; an instant is None where the event did not happen."""

    role: Role
    number: str
    """E.164."""
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    released_at: datetime | None = None
    """The instant of the release in the state push: up to a second after the record's `end_at`."""


class TrueBinding(msgspec.Struct, frozen=True, kw_only=True):
    """A privacy number given to a party."""

    vendor: str
    scenario: Scenario
    row_id: int
    account_id: str
    number: str
    privacy_number: str
    binding_id: str
    status: int
    """1 bound, 0 dissolved."""
    allowed_direction: int
    """0 both, 1 only A calls X, 2 only others call X. It belongs to the binding, not to a call."""
    custom_ref: str
    recorded: bool
    bound_at: datetime
    unbound_at: datetime | None = None
    revised_at: datetime


class TrueCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or one participant's leg of a conference, as one record of a vendor describes it."""

    vendor: str
    kind: Kind
    scenario: Scenario
    account_id: str = ""
    call_id: str
    direction: Direction = Direction.UNKNOWN
    legs: tuple[TrueLeg, ...]
    display: str = ""
    """The number that the called party saw, digits as the vendor writes them."""
    cause: str = ""
    """The cause of the end in the vendor's own words or code; "" when the vendor gives none."""
    disposition: Disposition
    q850: int | None = None
    sip_code: int | None = None
    duration_s: int = 0
    """The duration as the vendor bills or counts it."""
    cost: Decimal | None = None
    recorded: bool = False
    recording_url: str = ""
    custom_ref: str = ""
    agent_id: str = ""
    agent_name: str = ""
    extension: str = ""
    """Set where the customer's side is an extension instead of a number."""
    conference_id: str = ""
    binding: TrueBinding | None = None
    has_states: bool = False
    has_record: bool = True

    def leg(self, role: Role) -> TrueLeg:
        """The leg of that role; raises `StopIteration` when the call has none."""
        return next(leg for leg in self.legs if leg.role == role)

    @property
    def started_at(self) -> datetime:
        """The earliest instant of the call."""
        return min(at for leg in self.legs for at in (leg.setup_at, leg.answer_at, leg.end_at) if at)

    @property
    def ended_at(self) -> datetime:
        """The latest instant of the call."""
        return max(leg.end_at for leg in self.legs if leg.end_at)


def ended_with(call: TrueCall, ending: Ending) -> TrueCall:
    """Returns the same call with another ending."""
    return msgspec.structs.replace(
        call, cause=ending.text, disposition=ending.disposition, q850=ending.q850, sip_code=ending.sip_code
    )


Occurrence = tuple[TrueCall, ...] | TrueBinding
"""One thing that happens: a call (with one element per record, so several for a conference), or a binding's change."""
