"""Contradicting contents of records, for people at a terminal: lists them, and decides which one counts.

A decision is a record on `calls.raw`, as vendors' bodies are, so a replay has the same outcome.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from aiokafka.errors import KafkaError

from deploy.admin import audit
from deploy.admin.producing import producing
from deploy.output.printable import printable
from schemas.config.settings import JoinSettings, KafkaSettings, Settings
from schemas.enums import AuditEvent
from schemas.errors import CallweaveError, Unavailable
from schemas.facts import RecordContent
from schemas.raw import RawCallback
from schemas.resolution import Resolution, resolution_raw
from schemas.topics import RAW
from sinks.clickhouse import ClickHouse
from sinks.queries.conflict_store import Conflict, ConflictFilter, find_conflicts

_SHORTEST: Final = 6
"""The fewest digits of a digest that may name a content."""
_NOTE_CHARS: Final = 500


async def listed(settings: Settings, **filters: Any) -> list[Conflict]:
    """Returns the records that the options select, the last received first."""
    asked = {name: value for name, value in filters.items() if value is not None}
    async with ClickHouse(settings.clickhouse) as client:
        return await find_conflicts(client, ConflictFilter(**asked))


def lines(conflict: Conflict) -> list[str]:
    """Returns a line for the record and one for each content; a star marks the content that the views show."""
    account = f"  account {conflict.account}" if conflict.account else ""
    done = "  (resolved)" if conflict.is_resolved else ""
    head = f"{conflict.record_id}  {conflict.vendor} {conflict.kind}  call {conflict.vendor_call_id}{account}{done}"
    return [printable(head), *(f"  {_line(content)}" for content in conflict.contents)]


async def resolved(
    settings: Settings, record_id: str, keep: str, note: str, now: datetime, *, forgotten_too: bool
) -> str:
    """Decides which content of a record counts; returns a report, raises `CallweaveError` when it cannot be done."""
    async with ClickHouse(settings.clickhouse) as client:
        wanted = ConflictFilter(record_id=_record_id(record_id), resolved_too=True, limit=1)
        found = await find_conflicts(client, wanted)
    if not found:
        raise CallweaveError(
            f"no record {record_id} has contents that contradict each other: `callweave conflicts list` shows those there are",
            code="usage",
        )
    conflict = found[0]
    content = _chosen(conflict, keep)
    if not forgotten_too:
        _check_known(conflict, settings.join, now)
    await audit.note(
        settings.kafka,
        AuditEvent.CONFLICT_RESOLVED,
        part="conflicts resolve",
        subject=str(conflict.record_id),
        reason=note,
        details={"keep": content.digest, "vendor": conflict.vendor},
    )
    place = await _send(settings.kafka, conflict.call_key, _resolution(conflict, content, note, now))
    return (
        f"sent to {place}: of record {conflict.record_id} this content counts\n  {_line(content)}\n"
        "v_cdr, v_timelines and the sums show it within seconds. The decision stands in the raw log like what vendors send, so a"
        " replay comes to the same; another one takes its place."
    )


def _record_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as exc:
        raise CallweaveError(
            f"{text!r} is no record's id: `callweave conflicts list` prints them", code="usage"
        ) from exc


def _chosen(conflict: Conflict, keep: str) -> RecordContent:
    """Returns the content with this digest, or the only one whose digest begins with it."""
    long_enough = len(keep) >= _SHORTEST
    found = [one for one in conflict.contents if one.digest == keep or (long_enough and one.digest.startswith(keep))]
    if len(found) == 1:
        return found[0]
    choices = "".join(f"\n  {_line(content)}" for content in conflict.contents)
    fault = "names more than one content" if found else "is no content"
    raise CallweaveError(f"{keep!r} {fault} of record {conflict.record_id}, which has:{choices}", code="usage")


def _check_known(conflict: Conflict, join: JoinSettings, now: datetime) -> None:
    """Raises when the call is older than the joiner's horizon: its state is gone, and a decision would do nothing."""
    if now - conflict.newest <= timedelta(seconds=join.horizon_s):
        return
    first = min(content.received_at for content in conflict.contents)
    raise CallweaveError(
        f"record {conflict.record_id} was last heard of at {_utc(conflict.newest)}, and a call is forgotten after "
        f"{join.horizon_s / 86400:g} days (join.horizon_s), so nothing would come of it.\n"
        f"  While calls.raw still has its bodies ({RAW.retention_days} days), have them read again and then say this with --forgotten-too:\n"
        f"  callweave replay --since {_utc(first, seconds=-1)} --until {_utc(conflict.newest, seconds=2)} --vendor {conflict.vendor}\n"
        "  Later than that the row stays as it is, and its amounts stand in the columns of what is in conflict.",
        code="usage",
    )


def _resolution(conflict: Conflict, content: RecordContent, note: str, now: datetime) -> RawCallback:
    """Returns the message for the raw log that names the record and the content that counts."""
    decision = Resolution(
        record_id=str(conflict.record_id),
        call_key=conflict.call_key,
        kind=conflict.kind,
        keep=content.digest,
        resolved_at=now,
        note=note[:_NOTE_CHARS],
    )
    return resolution_raw(decision, vendor=conflict.vendor, account=conflict.account, request_id=str(uuid.uuid4()))


async def _send(kafka: KafkaSettings, call_key: str, raw: RawCallback) -> str:
    async with producing(kafka, "conflicts resolve") as producer:
        try:
            sent = await producer.send_and_wait(RAW.name, raw.body, key=call_key.encode(), headers=raw.headers())
        except KafkaError as exc:
            raise Unavailable(f"Kafka did not take the decision: {type(exc).__name__}") from exc
    return f"{sent.topic}/{sent.partition}/{sent.offset}"


def _line(content: RecordContent) -> str:
    mark = "*" if content.is_shown else " "
    place = f"{content.raw_topic}/{content.raw_partition}/{content.raw_offset}/{content.raw_element}"
    columns: Mapping[str, object] = {
        "cause": content.hangup_cause or content.hangup_reason,
        "setup": _utc(content.setup_at),
        "answer": _utc(content.answer_at),
        "end": _utc(content.end_at),
        "talk": None if content.talk_ms is None else f"{content.talk_ms / 1000:g}s",
        "billable": None if content.billable_s is None else f"{content.billable_s}s",
        "cost": None if content.cost is None else f"{content.cost.normalize():f} {content.currency}",
    }
    known = "  ".join(f"{name} {value}" for name, value in columns.items() if value not in (None, ""))
    return printable(
        f"{mark} {content.digest}  {content.disposition}  {known}  received {_utc(content.received_at)} by {content.source}, {place}"
    )


def _utc(at: datetime | None, seconds: int = 0) -> str:
    return "" if at is None else f"{at + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
