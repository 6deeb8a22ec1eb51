"""Dead letters, for people at a terminal: finds them, shows them, sends their bodies again."""

import base64
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from deploy.admin import audit
from deploy.admin.producing import producing
from deploy.output.printable import printable
from schemas.config.settings import KafkaSettings, Settings
from schemas.dead_letter import DeadLetter
from schemas.enums import AuditEvent
from schemas.errors import CallweaveError
from sinks.clickhouse import ClickHouse
from sinks.queries.dead_letter_store import DeadFilter, StoredDeadLetter, find_dead, list_dead, mark_resolved, replay

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
"""A partition, offset or element that fits the table's columns; Python's own digits are those of all scripts."""


class FoundDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One stored dead letter, as the command line shows it."""

    stored: StoredDeadLetter

    @property
    def id(self) -> str:
        """The argument of `dead show`: the origin's place, with its hash if another one has the same place."""
        place = dead_letter_id(self.stored.dead_letter)
        return f"{place}@{self.stored.dead_letter.origin_hash}" if self.stored.has_namesake else place

    @property
    def original(self) -> bytes:
        """The body as it was received."""
        return self.stored.dead_letter.original

    def line(self) -> str:
        """Returns one line: id, time, stage, code, vendor, what is wrong."""
        letter = self.stored.dead_letter
        done = "  (resolved)" if self.stored.resolved else ""
        when = letter.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
        return printable(
            f"{self.id:28} {when}  {letter.stage:9} {letter.code:12} {letter.vendor:10} {letter.detail}{done}"
        )

    def plain(self) -> dict[str, Any]:
        """Returns all fields; the original is text if it is UTF-8, otherwise base64."""
        letter = self.stored.dead_letter
        shown = msgspec.structs.asdict(letter) | {"id": self.id, "resolved": self.stored.resolved}
        try:
            shown["original"] = letter.original.decode("utf-8")
        except UnicodeDecodeError:
            del shown["original"]
            shown["original_base64"] = base64.b64encode(letter.original).decode()
        return shown


def dead_letter_id(letter: DeadLetter) -> str:
    """Returns `topic/partition/offset`, with `/element` for an element of a batch."""
    whole = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return whole if letter.element < 0 else f"{whole}/{letter.element}"


def parse_id(text: str) -> tuple[tuple[str, int, int, int], str | None]:
    """Returns the place in a dead letter's id, and the hash if it has one; raises `CallweaveError` on other text."""
    place, at, origin_hash = text.partition("@")
    topic, *numbers = place.split("/")
    if len(numbers) not in (2, 3) or not all(_NUMBER.fullmatch(number) for number in numbers):
        raise CallweaveError(
            f"{text!r} is no dead letter's id: it looks like calls.raw/3/1234 or calls.raw/3/1234/0", code="usage"
        )
    partition, offset, *element = map(int, numbers)
    return (topic, partition, offset, element[0] if element else -1), origin_hash if at else None


async def listed(settings: Settings, **filters: Any) -> list[FoundDeadLetter]:
    """Returns the dead letters that the options select, newest first."""
    async with ClickHouse(settings.clickhouse) as client:
        return [FoundDeadLetter(stored=stored) for stored in await list_dead(client, _filter(filters))]


async def named(settings: Settings, text: str) -> list[FoundDeadLetter]:
    """Returns the dead letters of one record with this id; raises `CallweaveError` for none or several records."""
    async with ClickHouse(settings.clickhouse) as client:
        return [FoundDeadLetter(stored=stored) for stored in await _named(client, text)]


async def replayed(settings: Settings, ids: Sequence[str], *, reason: str = "", **filters: Any) -> tuple[int, int]:
    """Sends the bodies of the named or selected dead letters again; returns bodies sent and dead letters resolved."""
    async with ClickHouse(settings.clickhouse) as client:
        found = [one for text in ids for one in await _named(client, text)]
        stored = found or await list_dead(client, _filter(filters))
        dead_letters = [one.dead_letter for one in stored]
        if not dead_letters:
            return 0, 0
        await audit.note(
            settings.kafka,
            AuditEvent.DEAD_REPLAYED,
            part="dead replay",
            subject=" ".join(ids),
            reason=reason,
            details={
                "dead_letters": str(len(dead_letters)),
                **{name: str(each) for name, each in filters.items() if each},
            },
        )
        sent = await _send(settings.kafka, dead_letters)
        await mark_resolved(client, dead_letters)
    return sent, len(dead_letters)


async def _named(client: ClickHouse, text: str) -> list[StoredDeadLetter]:
    place, origin_hash = parse_id(text)
    found = await find_dead(client, *place, origin_hash=origin_hash)
    if not found:
        raise CallweaveError(f"there is no dead letter {printable(text)}", code="usage")
    records = {one.dead_letter.origin_hash: FoundDeadLetter(stored=one).line() for one in found}
    if len(records) > 1:
        lines = "".join(f"\n  {line}" for line in records.values())
        raise CallweaveError(
            f"dead letters of {len(records)} records are called {printable(text)}, say which:{lines}", code="usage"
        )
    return found


async def _send(kafka: KafkaSettings, dead_letters: list[DeadLetter]) -> int:
    async with producing(kafka, "dead replay") as producer:
        return await replay(dead_letters, producer)


def _filter(options: dict[str, Any]) -> DeadFilter:
    return DeadFilter(**{name: value for name, value in options.items() if value is not None})
