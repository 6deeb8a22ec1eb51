"""Dead letters for people at a terminal: find them, show them, send them again."""

import base64
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.deadletter import DeadLetter
from schemas.errors import CallweaveError, Unavailable
from schemas.settings import KafkaSettings, Settings
from schemas.topics import MAX_MESSAGE_BYTES
from sinks.clickhouse import ClickHouse
from sinks.dead import DeadFilter, StoredLetter, get_dead, list_dead, mark_resolved, replay


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One stored letter, as the command line shows it."""

    stored: StoredLetter

    @property
    def original(self) -> bytes:
        """The bytes as they were received."""
        return self.stored.letter.original

    def line(self) -> str:
        """One line: id, when, stage, code, vendor, what is wrong."""
        letter = self.stored.letter
        done = "  (resolved)" if self.stored.resolved else ""
        when = letter.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
        return (
            f"{letter_id(letter):28} {when}  {letter.stage:9} {letter.code:12} {letter.vendor:10} {letter.detail}{done}"
        )

    def plain(self) -> dict[str, Any]:
        """Everything, the original as text where it is UTF-8 and as base64 else."""
        letter = self.stored.letter
        shown = msgspec.structs.asdict(letter) | {"id": letter_id(letter), "resolved": self.stored.resolved}
        try:
            shown["original"] = letter.original.decode("utf-8")
        except UnicodeDecodeError:
            del shown["original"]
            shown["original_base64"] = base64.b64encode(letter.original).decode()
        return shown


def letter_id(letter: DeadLetter) -> str:
    """`topic/partition/offset`, with `/element` for one of a batch."""
    whole = f"{letter.topic}/{letter.partition}/{letter.offset}"
    return whole if letter.element < 0 else f"{whole}/{letter.element}"


def parse_id(text: str) -> tuple[str, int, int, int]:
    """The place that a letter's id names; raises `CallweaveError` on anything else."""
    topic, *numbers = text.split("/")
    if len(numbers) not in (2, 3) or not all(number.isdecimal() for number in numbers):
        raise CallweaveError(
            f"{text!r} is no letter's id: it looks like calls.raw/3/1234 or calls.raw/3/1234/0", code="usage"
        )
    partition, offset, *element = map(int, numbers)
    return topic, partition, offset, element[0] if element else -1


async def listed(settings: Settings, **filters: Any) -> list[Found]:
    """The letters that the options choose, newest first."""
    async with ClickHouse(settings.clickhouse) as client:
        return [Found(stored=stored) for stored in await list_dead(client, _filter(filters))]


async def one(settings: Settings, text: str) -> Found:
    """The letter of this id; raises `CallweaveError` when there is none."""
    async with ClickHouse(settings.clickhouse) as client:
        return Found(stored=await _one(client, text))


async def replayed(settings: Settings, letter_ids: Sequence[str], **filters: Any) -> tuple[int, int]:
    """Send the named letters' bodies again, or those that the options choose: bodies sent, letters resolved."""
    async with ClickHouse(settings.clickhouse) as client:
        stored = [await _one(client, text) for text in letter_ids] or await list_dead(client, _filter(filters))
        letters = [one.letter for one in stored]
        if not letters:
            return 0, 0
        sent = await _send(settings.kafka, letters)
        await mark_resolved(client, letters)
    return sent, len(letters)


async def _one(client: ClickHouse, text: str) -> StoredLetter:
    found = await get_dead(client, *parse_id(text))
    if found is None:
        raise CallweaveError(f"there is no dead letter {text}", code="usage")
    return found


async def _send(kafka: KafkaSettings, letters: list[DeadLetter]) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True, max_request_size=MAX_MESSAGE_BYTES
    )
    try:
        try:
            await producer.start()
        except KafkaError as exc:
            raise Unavailable(f"Kafka at {kafka.bootstrap} does not answer: {type(exc).__name__}") from exc
        return await replay(letters, producer)
    finally:  # a producer that did not start holds connections too
        await producer.stop()


def _filter(options: dict[str, Any]) -> DeadFilter:
    asked = {name: value for name, value in options.items() if value is not None}
    if since := asked.get("since"):
        asked["since"] = since.replace(tzinfo=UTC)
    return DeadFilter(**asked)
