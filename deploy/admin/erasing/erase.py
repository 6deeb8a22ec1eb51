"""Erases the data of a number or of an account, for people at a terminal, and says what was done and what is left.

The entry in the list comes first: from then on no part stores or publishes what it covers. Tables and the compacted
topic are then changed, and looked at again, until nothing is found twice, as a part may have had an insert in its
hands. Whatever is interrupted is begun again by the same command: it finds what is left.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from deploy.admin import audit
from deploy.admin.erasing.erasure_proof import ErasedPlace, ErasureProof
from deploy.admin.erasing.tables import (
    Progress,
    Sought,
    count_account,
    count_number,
    erase_account,
    erase_number,
    eraser,
    with_tokens,
)
from deploy.admin.erasing.topic_search import SEARCHED, CompactedTimelines, TopicReader, count, kept_until, reading
from deploy.admin.producing import producing
from deploy.admin.schema_registry import codecs_from
from deploy.admin.spools import statuses
from schemas.codec import ERASURE, Codecs
from schemas.config.settings import Settings
from schemas.enums import AuditEvent
from schemas.errors import CallweaveError, SettingsError, Unavailable
from schemas.kafka.away import require
from schemas.privacy.erasures import Erasure, Erasures, erasure_of_number
from schemas.privacy.number_forms import canonical, forms, holds
from schemas.privacy.tokens import NumberTokens
from schemas.topics import ERASURES, STATE, TIMELINES
from sinks.clickhouse import ClickHouse

SETTLE_S: Final = 4.0
"""Pause between two looks: a part hears of an erasure within a second, and an insert takes about as long."""
_LOOKS: Final = 2
"""Looks in a row that must find nothing."""
_CLEANED: Final = timedelta(hours=1, minutes=15)
"""The time from a call's horizon until compaction has removed its state (`schemas.topics.STATE`)."""


class EraseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One wish to erase; either a number or an account."""

    number: str = ""
    account: str = ""
    """The account to erase, or with a number the only one in which it is erased."""
    reason: str = ""
    dry_run: bool = False
    scan_limit: int = 1_000_000
    """Records that are read at most of each topic on which nothing can be changed, to count."""
    wait_s: float = 3600.0
    """Time after which the command gives up."""


def sought_for(settings: Settings, request: EraseRequest, now: datetime, *, listed: bool) -> Sought:
    """Returns the erasure of a request; raises `SettingsError` in an upgrade and without the key, for a list alone."""
    if listed and settings.kafka.avro_release == "previous":
        raise SettingsError(
            "parts of the release before this one may still run, and those neither follow the list of erasures nor read "
            'the rows that it changes: end the upgrade and set "newest" first - at `$.kafka.avro_release`'
        )
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    said = {"reason": request.reason, "actor": audit.actor(), "account": request.account}
    if not request.number:
        entry = replace(Erasure(subject="account", at=at), **said)
        return Sought(erasure=entry, erasures=Erasures(NumberTokens(""), [entry]))
    tokens = NumberTokens(settings.privacy.key.value)
    if not tokens and listed:
        raise SettingsError(
            "the list of erased numbers holds keyed hashes, and there is no key: make one with `openssl rand -hex 32` "
            "- at `$.privacy.key`"
        )
    tokens = tokens or NumberTokens(secrets.token_hex(32))
    number = canonical(request.number)
    if not any(letter.isdigit() for letter in number):
        raise CallweaveError("--number wants a phone number, best with + and country code", code="usage")
    if holds(request.reason, frozenset(forms(number)).__contains__):
        raise CallweaveError("the reason names the number itself, and it is kept: put it in other words", code="usage")
    entry = erasure_of_number(number, tokens, at, **said)
    return Sought(erasure=entry, erasures=Erasures(tokens, [entry]), number=number)


async def erased(settings: Settings, request: EraseRequest, tell: Progress) -> ErasureProof:
    """Erases, or with `dry_run` only counts; raises `Unavailable`, `SetupError`, `SettingsError`."""
    sought = sought_for(settings, request, datetime.now(UTC), listed=not request.dry_run)
    codecs = await codecs_from(settings)
    if not request.dry_run:
        await _listed(settings, sought)
        tell(f"{sought.erasure.name} is on the list: nothing more of it is stored or published")
    async with reading(settings.kafka) as reader, _writing(settings, request) as producer:
        timelines = CompactedTimelines(reader, producer, sought, codecs)
        if request.dry_run:
            left = await _looked(settings, sought, timelines)
            places, complete = _changed({}, left), True
        else:
            done, left = await _until_gone(settings, sought, timelines, request.wait_s, tell)
            places, complete = _changed(done, left), not any(left.values())
        places += await _counted(settings, sought, codecs, reader, request.scan_limit, tell)
    places += [_state(settings, sought), *_spools(settings)]
    return ErasureProof(
        subject=sought.erasure.name,
        account=request.account if request.number else "",
        received_until=sought.erasure.at,
        finished_at=datetime.now(UTC),
        actor=sought.erasure.actor,
        reason=request.reason,
        dry_run=request.dry_run,
        complete=complete,
        places=tuple(places),
    )


async def _listed(settings: Settings, sought: Sought) -> None:
    """Writes the entry of the audit trail and then that of the list: nothing is done without its entry."""
    entry = sought.erasure
    await require(settings.kafka, "erase")
    await audit.note(
        settings.kafka,
        AuditEvent.ERASED,
        part="erase",
        subject=entry.name,
        reason=entry.reason,
        details={"received_until": entry.at.isoformat(), "account": entry.account},
    )
    async with producing(settings.kafka, "erase") as producer:
        try:
            await producer.send_and_wait(ERASURES.name, ERASURE.encode(entry), key=entry.topic_key)
        except KafkaError as exc:
            raise Unavailable(f"the entry in {ERASURES.name} is not acknowledged: {type(exc).__name__}") from exc


@contextlib.asynccontextmanager
async def _writing(settings: Settings, request: EraseRequest) -> AsyncIterator[AIOKafkaProducer | None]:
    if request.dry_run:
        yield None
        return
    async with producing(settings.kafka, "erase") as producer:
        yield producer


async def _looked(settings: Settings, sought: Sought, timelines: CompactedTimelines) -> dict[str, int]:
    """Counts what could be changed, and changes nothing."""
    counted = count_number if sought.number else count_account
    async with eraser(settings.clickhouse) as client:
        sought = await _known_tokens(client, settings, sought)
        return {TIMELINES.name: await timelines.look(), **await counted(client, sought)}


async def _until_gone(
    settings: Settings, sought: Sought, timelines: CompactedTimelines, wait_s: float, tell: Progress
) -> tuple[dict[str, int], dict[str, int]]:
    """Changes and looks again until nothing is found; returns what was changed, and what is left after `wait_s`."""
    done: dict[str, int] = {}
    quiet, deadline = 0, time.monotonic() + wait_s
    async with eraser(settings.clickhouse) as client:
        sought = await _known_tokens(client, settings, sought)
        while True:
            try:
                found = await _once(client, settings, sought, timelines, tell)
            except Unavailable as exc:
                # A mutation may go on in the server after its answer did not come.
                if time.monotonic() >= deadline:
                    raise
                tell(f"again: {exc}")
                found = {"tables": 1}
            else:
                done = {name: done.get(name, 0) + count for name, count in found.items()}
            quiet = 0 if any(found.values()) else quiet + 1
            if quiet >= _LOOKS:
                return done, {}
            if time.monotonic() >= deadline:
                return done, found
            await asyncio.sleep(SETTLE_S)


async def _known_tokens(client: ClickHouse, settings: Settings, sought: Sought) -> Sought:
    """Returns the erasure with the number's tokens: rows keep them for longer than the number, if they are told to."""
    key = settings.privacy.key.value
    return await with_tokens(client, sought, NumberTokens(key)) if sought.number and key else sought


async def _once(
    client: ClickHouse, settings: Settings, sought: Sought, timelines: CompactedTimelines, tell: Progress
) -> dict[str, int]:
    erase = erase_number if sought.number else erase_account
    await timelines.look()
    written = await timelines.write()
    found: Mapping[str, int] = await erase(client, settings.clickhouse, sought, tell)
    return {TIMELINES.name: written, **found}


def _changed(done: Mapping[str, int], left: Mapping[str, int]) -> list[ErasedPlace]:
    names = dict.fromkeys((*done, *left))
    return [
        ErasedPlace(
            place=name,
            kind="topic" if name == TIMELINES.name else "table",
            found=done.get(name, 0) + left.get(name, 0),
            done=done.get(name, 0),
            left=left.get(name, 0),
            note=_BLANKED if name == TIMELINES.name else "",
        )
        for name in names
    ]


_BLANKED: Final = "the newest record of each call is without it; compaction removes the older ones within hours"


async def _counted(
    settings: Settings, sought: Sought, codecs: Codecs, reader: TopicReader, limit: int, tell: Progress
) -> list[ErasedPlace]:
    """Counts on the topics on which nothing can be changed."""
    places = []
    for topic in SEARCHED:
        found = await count(reader, topic, sought, codecs, limit, tell)
        newest = max(found.newest_at or sought.erasure.at, sought.erasure.at)
        until = await kept_until(settings.kafka, topic, newest)
        note = "" if found.complete else f"only the oldest {found.read} records were read: more may be there"
        until_known = until if found.records or not found.complete else None
        places.append(
            ErasedPlace(
                place=topic, kind="topic", found=found.records, done=0, left=found.records, until=until_known, note=note
            )
        )
    return places


def _state(settings: Settings, sought: Sought) -> ErasedPlace:
    until = sought.erasure.at + timedelta(seconds=settings.join.horizon_s) + _CLEANED
    return ErasedPlace(
        place=STATE.name,
        kind="state",
        found=0,
        done=0,
        left=0,
        until=until,
        note=f"not searched: what is known of a call is forgotten at its horizon, here by {until:%Y-%m-%d %H:%M} UTC",
    )


def _spools(settings: Settings) -> list[ErasedPlace]:
    """Returns what waits in the spools of this machine: it goes by the list when it is sent."""
    note = "bodies of all callers wait for Kafka; what is in them is erased on its way"
    return [
        ErasedPlace(
            place=str(one.folder), kind="spool", found=one.totals.bodies, done=0, left=one.totals.bodies, note=note
        )
        for one in statuses(settings)
        if one.totals.bodies
    ]
