"""Exports all rows about a number, for whoever asks what is known about her: JSON, one row a line."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import IO, Any, Final

import msgspec

from deploy.admin import audit
from deploy.admin.erasing.erase import EraseRequest, sought_for
from deploy.admin.erasing.letter_changes import LETTERS
from deploy.admin.erasing.tables import Sought, letters_with, rows_with, with_tokens
from schemas.config.settings import Settings
from schemas.enums import AuditEvent
from schemas.privacy.tokens import NumberTokens
from sinks.clickhouse import ClickHouse
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, TIMELINES

TABLES: Final = (CDR, TIMELINES, CALL_EVENTS, BINDINGS)
_OF_LETTERS: Final = tuple(name for name in LETTERS.columns if name not in ("original", "headers", "version"))


async def exported(settings: Settings, number: str, account: str, target: IO[bytes], reason: str) -> Counter[str]:
    """Writes every row about a number; returns their numbers by view. Raises `Unavailable`, `SetupError`."""
    request = EraseRequest(number=number, account=account, reason=reason)
    sought = sought_for(settings, request, datetime.now(UTC), listed=False)
    await audit.note(
        settings.kafka,
        AuditEvent.EXPORTED,
        part="export",
        subject=sought.erasure.name if settings.privacy.key.value else "",
        reason=reason,
        details={"account": account},
    )
    counted: Counter[str] = Counter()
    async with ClickHouse(settings.clickhouse) as client:
        if settings.privacy.key.value:
            sought = await with_tokens(client, sought, NumberTokens(settings.privacy.key.value))
        async for view, row in _rows(client, sought):
            line = msgspec.json.encode({"table": view, **row})
            await asyncio.to_thread(target.write, line + b"\n")
            counted[view] += 1
    return counted


async def _rows(client: ClickHouse, sought: Sought) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    for table in TABLES:
        async for page in rows_with(client, table, sought):
            for row in page:
                yield table.label, row
    if sought.in_texts:
        async for letters in letters_with(client, sought):
            for letter in letters:
                yield "dead_letters", {name: getattr(letter, name) for name in _OF_LETTERS}
