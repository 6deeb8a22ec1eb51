"""Builds groups of a fact's columns that always go together: the cause, one leg, and amounts computed from times.

Must not know a vendor. Pure: no I/O, no clock.
"""

from datetime import datetime
from typing import Any

from schemas.facts import Leg, Role
from schemas.vendor_kit.amounts import spoken
from schemas.vendor_kit.causes import Cause
from schemas.vendor_kit.phone_numbers import PhoneNumber


def ended(found: Cause) -> dict[str, Any]:
    """Returns the columns of a cause."""
    return {
        "disposition": found.disposition,
        "hangup_cause": found.name,
        "q850": found.q850,
        "sip_code": found.sip,
        "hangup_reason": found.reason,
    }


def leg(
    role: Role,
    number: PhoneNumber,
    found: Cause,
    *,
    setup_at: datetime | None = None,
    alerting_at: datetime | None = None,
    answer_at: datetime | None = None,
    end_at: datetime | None = None,
) -> Leg:
    """Returns one party's leg; the times are the leg's own milestones."""
    return Leg(
        role=role,
        number=number.number,
        number_raw=number.raw,
        number_kind=number.kind,
        disposition=found.disposition,
        hangup_reason=found.reason,
        q850=found.q850,
        sip_code=found.sip,
        setup_at=setup_at,
        alerting_at=alerting_at,
        answer_at=answer_at,
        end_at=end_at,
    )


def computed(talk_ms: int | None, *, answered: bool, over: bool) -> dict[str, Any]:
    """Returns billable seconds when the vendor sends none: talk time, 0 for an unanswered call, else not known."""
    return spoken(0 if talk_ms is None and over and not answered else talk_ms)
