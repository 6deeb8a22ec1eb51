"""The audit trail: who was refused, and who changed what by hand, on the topic `calls.audit`, which only grows.

No body, phone number, secret or query of a request is in it.
"""

from datetime import datetime
from typing import Final

import msgspec

from schemas.enums import AuditEvent


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the trail."""

    event: AuditEvent
    at: datetime
    """The time of the action, or of the first of several refused requests."""
    last_at: datetime
    """The time of the last one."""
    count: int = 1
    """The number of refused requests."""
    actor: str = ""
    """The user and the machine, as `ann@host`; "" for a caller."""
    part: str
    """The part or the command that wrote it."""
    vendor: str = ""
    account: str = ""
    address: str = ""
    """The network address of a caller; "" where several are counted together."""
    code: str = ""
    """The reason of a refusal: one of the outcomes of `callweave_ingress_requests_total`."""
    reason: str = ""
    """The words of the person who did it, who says why."""
    subject: str = ""
    """The id of the thing that was changed, never a phone number."""
    details: dict[str, str] = {}


REASON_CHARS: Final = 500
"""The most characters of a reason and of a detail that are kept."""


def key_of(entry: AuditEntry) -> bytes:
    """Returns the Kafka key: entries of one kind stay in order."""
    return entry.event.encode()
