"""Refused requests are counted together, bounded, and never lost while Kafka is away."""

from datetime import UTC, datetime, timedelta

from ingress.audit.refusals import MOST_ENTRIES, Refusals
from schemas.enums import AuditEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_requests_of_one_caller_for_one_reason_are_one_entry() -> None:
    refusals = Refusals()
    for seconds in (2, 0, 5):
        refusals.add("ytx", "main", "bad_signature", "192.0.2.1", later(seconds))
    refusals.add("ytx", "main", "forbidden", "192.0.2.1", NOON)

    entries = refusals.take()
    assert [(e.code, e.count, e.at, e.last_at) for e in entries] == [
        ("bad_signature", 3, NOON, later(5)),
        ("forbidden", 1, NOON, NOON),
    ]
    assert {(e.event, e.part, e.vendor, e.account, e.address) for e in entries} == {
        (AuditEvent.REFUSED, "ingress", "ytx", "main", "192.0.2.1")
    }
    assert refusals.take() == []


def test_a_flood_from_everywhere_is_bounded_and_all_are_counted() -> None:
    refusals = Refusals()
    for number in range(5 * MOST_ENTRIES):
        refusals.add("-", "", "unknown_route", f"10.0.{number >> 8}.{number & 255}", NOON)

    entries = refusals.take()
    assert len(entries) == MOST_ENTRIES + 1
    assert sum(entry.count for entry in entries) == 5 * MOST_ENTRIES
    assert entries[-1].address == ""


def test_entries_that_come_back_are_counted_together_with_newer_ones() -> None:
    refusals = Refusals()
    refusals.add("ytx", "", "forbidden", "192.0.2.1", NOON)
    taken = refusals.take()
    refusals.add("ytx", "", "forbidden", "192.0.2.1", later(9))
    refusals.put_back(taken)

    (entry,) = refusals.take()
    assert (entry.count, entry.at, entry.last_at) == (2, NOON, later(9))
