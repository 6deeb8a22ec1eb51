"""The audit trail for people at a terminal: writes what they do before they do it, and lists what stands in it."""

import getpass
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.admin.producing import producing
from deploy.output.printable import printable
from schemas.audit.entry import REASON_CHARS, AuditEntry, key_of
from schemas.codec import AUDIT
from schemas.config.settings import KafkaSettings
from schemas.enums import AuditEvent
from schemas.errors import Unavailable, Undecodable
from schemas.kafka import clients
from schemas.kafka.away import away, require
from schemas.kafka.places import places
from schemas.topics import AUDIT as TOPIC

_READ_S: Final = 60.0
_POLL_MS: Final = 500


def actor() -> str:
    """Returns who runs this process, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        user = "?"
    return f"{user}@{socket.gethostname()}"


async def note(
    kafka: KafkaSettings,
    event: AuditEvent,
    *,
    part: str,
    subject: str = "",
    reason: str = "",
    details: Mapping[str, str] | None = None,
) -> None:
    """Writes an entry for what this command is about to do.

    Raises `Unavailable`, or `SetupError` when the topic is missing: nothing is done without its entry.
    """
    now = datetime.now(UTC)
    entry = AuditEntry(
        event=event,
        at=now,
        last_at=now,
        actor=actor(),
        part=part,
        subject=subject[:REASON_CHARS],
        reason=reason[:REASON_CHARS],
        details={name: text[:REASON_CHARS] for name, text in (details or {}).items() if text},
    )
    await _whole(kafka, part)
    async with producing(kafka, part) as producer:
        try:
            await producer.send_and_wait(TOPIC.name, AUDIT.encode(entry), key=key_of(entry))
        except KafkaError as exc:
            raise Unavailable(f"the entry in {TOPIC.name} is not acknowledged: {type(exc).__name__}") from exc


async def entries(
    kafka: KafkaSettings, *, since: datetime | None = None, event: AuditEvent | None = None
) -> list[AuditEntry]:
    """Returns the entries since a time, oldest first; raises `Unavailable` and `SetupError`."""
    whole = await _whole(kafka, "audit list")
    consumer = clients.consumer(kafka, "audit")
    try:
        await consumer.start()
        found = await _read(consumer, whole, since)
    except KafkaError as exc:
        raise await away(kafka, exc, role="audit list") from exc
    finally:
        await consumer.stop()
    return sorted((one for one in found if event in (None, one.event)), key=lambda one: one.at)


async def _read(consumer: AIOKafkaConsumer, whole: list[TopicPartition], since: datetime | None) -> list[AuditEntry]:
    consumer.assign(whole)
    ends = await consumer.end_offsets(whole)
    starts = await consumer.beginning_offsets(whole)
    if since is not None:
        asked = await consumer.offsets_for_times(dict.fromkeys(whole, int(since.timestamp() * 1000)))
        starts = {place: asked[place].offset if asked[place] else ends[place] for place in whole}
    left = {place for place in whole if starts[place] < ends[place]}
    for place in whole:
        consumer.seek(place, starts[place])
    found: list[AuditEntry] = []
    deadline = time.monotonic() + _READ_S
    while left:
        if time.monotonic() > deadline:
            raise Unavailable(f"{TOPIC.name} could not be read within {_READ_S:g} s")
        for place, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
            found += [entry for record in records if (entry := _decoded(record.value)) is not None]
            if await consumer.position(place) >= ends[place]:
                left.discard(place)
    return found


async def _whole(kafka: KafkaSettings, role: str) -> list[TopicPartition]:
    """Returns the topic's partitions; raises `Unavailable`, and `SetupError` when it is missing."""
    await require(kafka, role, (TOPIC.name,))
    try:
        return await places(kafka, "audit", TOPIC.name, without="nothing is changed without an entry in it")
    except KafkaError as exc:
        raise await away(kafka, exc, role=role) from exc


def _decoded(value: bytes | None) -> AuditEntry | None:
    try:
        return AUDIT.decode(value)
    except Undecodable:  # written by a later release
        return None


def line(entry: AuditEntry) -> str:
    """Returns an entry as one line for a terminal."""
    what = {
        "": f"{entry.count}x" if entry.count > 1 else "",
        "vendor": entry.vendor,
        "account": entry.account,
        "code": entry.code,
        "from": entry.address,
        "of": entry.subject,
        **entry.details,
        "because": entry.reason,
    }
    told = " ".join(f"{name}={text}" if name else text for name, text in what.items() if text)
    who = f" by {entry.actor}" if entry.actor else ""
    return printable(f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.event:18} {entry.part}{who}  {told}".rstrip())
