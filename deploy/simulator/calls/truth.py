"""What really happened: the calls and bindings that the simulator invents, before any vendor has described them.

Instants are aware UTC in whole seconds (huawei: milliseconds). Nothing here knows how a payload looks.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from schemas.facts import Direction, Disposition, Kind, Role


class Scenario(StrEnum):
    """The course that a call takes."""

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


class TrueLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One party's part; None: it did not happen."""

    role: Role
    number: str
    """E.164."""
    setup_at: datetime | None = None
    alerting_at: datetime | None = None
    answer_at: datetime | None = None
    end_at: datetime | None = None
    released_at: datetime | None = None
    """When the state push says that the leg ended: up to a second after the record's `end_at`."""


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
    """0 both, 1 only A calls X, 2 only others call X: of the binding, not of a call."""
    custom_ref: str
    recorded: bool
    bound_at: datetime
    unbound_at: datetime | None = None
    revised_at: datetime


class TrueCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or one participant's part of a conference, as a vendor's record tells it."""

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
    """The end in the vendor's own words or code; "" when it says nothing."""
    disposition: Disposition
    q850: int | None = None
    sip_code: int | None = None
    duration_s: int = 0
    """As the vendor bills or counts it."""
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
        """The leg of that role; every call that is asked for one has it."""
        return next(leg for leg in self.legs if leg.role == role)

    @property
    def started_at(self) -> datetime:
        """The earliest instant of the call."""
        return min(at for leg in self.legs for at in (leg.setup_at, leg.answer_at, leg.end_at) if at)

    @property
    def ended_at(self) -> datetime:
        """The latest instant of the call."""
        return max(leg.end_at for leg in self.legs if leg.end_at)


Happening = tuple[TrueCall, ...] | TrueBinding
"""What the world makes at a time: a call's records (several for a conference), or a binding's change."""
