"""Imports a carrier's file: its rows become bodies of the vendor's own form on `calls.raw`, the way that calls take.

The vendor's mapping gives each row the identity that a push of the same call has, so a call that came by both is one.
A row that we hold already is not sent again, and neither is one that cannot be read.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.admin import audit
from deploy.admin.producing import producing
from deploy.reconcile.cells import require_id
from deploy.reconcile.columns import callback_of
from deploy.reconcile.plan import Plan, Stage, context_of
from deploy.reconcile.records import elements_of, passed_over
from deploy.reconcile.rows.bounds import Numbered, UnreadableFile
from processors.normalise import WHOLE_BODY, directory, normalise
from schemas.config.settings import Settings
from schemas.enums import AuditEvent
from schemas.errors import Unavailable, Undecodable
from schemas.identity import call_key
from schemas.raw import Position, RawCallback
from schemas.topics import RAW
from sinks.clickhouse import ClickHouse

SOURCE: Final = "file_cdr"
_ROWS_OF_BODY: Final = 200
_CHARS_OF_BODY: Final = 1 << 19
_SHOWN: Final = 20
_NOWHERE: Final = Position(RAW.name, 0, 0)
_TABLES: Final = ("cdr", "call_events", "bindings")


class Imported(msgspec.Struct, kw_only=True):
    """The outcome of an import, in rows of the file."""

    sent: int = 0
    bodies: int = 0
    held: int = 0
    """Rows that we have already."""
    left_out: int = 0
    """Lines of totals, and rows that the vendor's mapping passes over."""
    unreadable: int = 0
    reasons: dict[str, int] = {}
    first: list[str] = []
    """The first rows that cannot be read, each with its line and the reason."""

    def lines(self) -> list[str]:
        """Returns it for a terminal."""
        return [
            f"{self.sent:,} rows sent in {self.bodies:,} bodies",
            f"{self.held:,} are held already, {self.left_out:,} left out, {self.unreadable:,} cannot be read",
            *(f"  {one}" for one in self.first),
        ]


class _Batch(msgspec.Struct, frozen=True):
    """Rows that go in one body."""

    lines: tuple[int, ...]
    elements: tuple[dict[str, str], ...]


class _Import:
    """One import."""

    def __init__(self, settings: Settings, plan: Plan, now: datetime, *, anew: bool) -> None:
        if plan.map.reads != "fields":
            raise UnreadableFile(
                "the columns have meanings, of which no record can be made: name the vendor's fields in a map (--show-map)"
            )
        self._settings, self._plan, self._now, self._anew = settings, plan, now, anew
        self._callback = callback_of(plan.vendor, plan.map.callback)
        self._context = context_of(settings, plan.choice, now)
        self._directory = directory(settings.accounts)
        self.done = Imported(reasons=Counter(), first=[])

    def batches(self, rows: Iterator[Numbered]) -> Iterator[_Batch]:
        """Yields the rows by bodies."""
        lines: list[int] = []
        elements: list[dict[str, str]] = []
        size = 0
        for line, row in rows:
            if passed_over(self._plan.map, row):
                self.done.left_out += 1
                continue
            try:
                element = elements_of(self._plan.map, row, self._plan.choice.zone, self._now)
            except Undecodable as exc:
                self._refuse(line, str(exc))
                continue
            lines.append(line)
            elements.append(element)
            size += sum(map(len, row))
            if len(lines) >= _ROWS_OF_BODY or size >= _CHARS_OF_BODY:
                yield _Batch(tuple(lines), tuple(elements))
                lines, elements, size = [], [], 0
        if lines:
            yield _Batch(tuple(lines), tuple(elements))

    async def wanted(self, client: ClickHouse, batch: _Batch) -> RawCallback | None:
        """Returns the body of the rows that can be read and are not held; None when there are none."""
        found = normalise(self._raw(batch), _NOWHERE, self._directory, self._settings.limits)
        for letter in found.dead:
            whole = letter.element == WHOLE_BODY
            for line in batch.lines if whole else batch.lines[letter.element : letter.element + 1]:
                self._refuse(line, letter.detail)
            if whole:
                return None
        ids: dict[int, str] = {}
        for fact in found.facts:
            try:
                require_id(fact.vendor_call_id)
                self._require_account(fact.account_id)
            except Undecodable as exc:
                self._refuse(batch.lines[fact.raw_element], str(exc))
            else:
                ids[fact.raw_element] = fact.fact_id
        held = set() if self._anew else await _held(client, list(ids.values()))
        chosen = [at for at, record_id in ids.items() if record_id not in held]
        self.done.held += len(ids) - len(chosen)
        self.done.left_out += len(batch.lines) - len(found.facts) - len(found.dead)
        if not chosen:
            return None
        self.done.sent += len(chosen)
        self.done.bodies += 1
        return self._raw(_Batch(tuple(batch.lines[at] for at in chosen), tuple(batch.elements[at] for at in chosen)))

    def _require_account(self, account_id: str) -> None:
        """Raises `Undecodable` for a record that would be of no account, or of another one than is said."""
        wanted = self._plan.choice.account
        if self._context.account or account_id == wanted:
            return
        said = f"is of the account {account_id}" if account_id else "names no account"
        raise Undecodable(f"{said}, and {wanted} is not among the [[accounts]]", code="wrong_account")

    def _refuse(self, line: int, why: str) -> None:
        self.done.unreadable += 1
        if len(self.done.first) < _SHOWN:
            self.done.first.append(f"row {line}: {why}")

    def _raw(self, batch: _Batch) -> RawCallback:
        document = {self._plan.map.holder: batch.elements} if self._plan.map.holder else batch.elements
        line = batch.lines[0] if batch.lines else 0
        return RawCallback(
            vendor=self._plan.vendor.name,
            callback=self._callback.name,
            account=self._context.account,
            received_at=self._now,
            request_id=f"file-{self._plan.survey.sha256[:16]}-{line}",
            content_type="application/json",
            source=SOURCE,
            body=json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"),
        )

    async def publish(self, producer: AIOKafkaProducer, raw: RawCallback) -> None:
        """Publishes a body; raises `Unavailable` unless all in-sync replicas have it."""
        first = self._callback.key(raw.body)
        key = call_key(raw.vendor, self._callback.key_account(raw.body, raw.account), first)
        try:
            await producer.send_and_wait(RAW.name, raw.body, key=key.encode(), headers=raw.headers())
        except KafkaError as exc:
            raise Unavailable(f"Kafka did not take all of the file: {type(exc).__name__}. Import it again") from exc


async def _held(client: ClickHouse, record_ids: Sequence[str]) -> set[str]:
    """Returns those of these records that are in the tables."""
    found: set[str] = set()
    for table in _TABLES:
        rows = await client.query(
            f"SELECT toString(record_id) FROM {client.database}.{table} WHERE record_id IN {{ids:Array(UUID)}}",  # noqa: S608 - our own names
            {"ids": list(record_ids)},
        )
        found.update(str(one) for (one,) in rows)
    return found


async def imported(
    settings: Settings, plan: Plan, stage: Stage, *, anew: bool = False, reason: str = "", now: datetime | None = None
) -> Imported:
    """Publishes the records of a file that are not held; with `anew` all of them.

    Raises `UnreadableFile`, `Unavailable`, `SetupError`. What was published before a failure stays, and is not sent
    again by the next import.
    """
    work = _Import(settings, plan, now or datetime.now(UTC), anew=anew)
    tell = stage("importing", plan.survey.size_bytes)
    details = {"vendor": plan.vendor.name, "account": plan.choice.account, "sha256": plan.survey.sha256}
    await audit.note(
        settings.kafka,
        AuditEvent.IMPORTED,
        part="import",
        subject=plan.file_name,
        reason=reason,
        details=details,
    )
    async with ClickHouse(settings.clickhouse) as client, producing(settings.kafka, "import") as producer:
        for batch in work.batches(plan.rows(tell)):
            if (raw := await work.wanted(client, batch)) is not None:
                await work.publish(producer, raw)
            await asyncio.sleep(0)
    return work.done
