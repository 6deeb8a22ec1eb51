"""Collects refused requests until they are written to the audit trail. Pure: the time is an argument.

Requests of one caller that were refused for one reason are one entry with a count, and the number of entries is
bounded, so a flood of refused requests costs little memory and few records.
"""

from datetime import datetime
from typing import Final

import msgspec

from schemas.audit.entry import AuditEntry
from schemas.enums import AuditEvent

MOST_ENTRIES: Final = 200
"""Entries of one interval with an address of their own; further callers are counted together by reason."""

Caller = tuple[str, str, str, str]
"""Vendor, account, outcome and address."""


class Refusals:
    """The refused requests of one process that are not written yet."""

    def __init__(self) -> None:
        self._entries: dict[Caller, AuditEntry] = {}

    def add(self, vendor: str, account: str, code: str, address: str, now: datetime) -> None:
        """Counts a refused request."""
        self._add(
            AuditEntry(
                event=AuditEvent.REFUSED,
                at=now,
                last_at=now,
                part="ingress",
                vendor=vendor,
                account=account,
                code=code,
                address=address,
            )
        )

    def take(self) -> list[AuditEntry]:
        """Returns all entries and forgets them."""
        taken, self._entries = list(self._entries.values()), {}
        return taken

    def put_back(self, entries: list[AuditEntry]) -> None:
        """Takes back entries that could not be written; they are counted together with newer ones."""
        for entry in entries:
            self._add(entry)

    def _add(self, entry: AuditEntry) -> None:
        caller = (entry.vendor, entry.account, entry.code, entry.address)
        if caller not in self._entries and len(self._entries) >= MOST_ENTRIES:
            entry = msgspec.structs.replace(entry, account="", address="")
            caller = (entry.vendor, "", entry.code, "")
        known = self._entries.get(caller)
        self._entries[caller] = entry if known is None else _together(known, entry)


def _together(one: AuditEntry, other: AuditEntry) -> AuditEntry:
    return msgspec.structs.replace(
        one, at=min(one.at, other.at), last_at=max(one.last_at, other.last_at), count=one.count + other.count
    )
