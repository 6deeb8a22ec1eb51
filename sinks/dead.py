"""Dead letters as people handle them: list, look at one, send again, mark as resolved.

A body is sent again with its bytes, its headers and its place (topic and partition), so it has the same identity; the header
`replay_of` says where it stood before. Many letters of one body are one replay.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.deadletter import DeadLetter
from schemas.errors import CallweaveError, Unavailable
from schemas.raw import Position
from sinks.clickhouse import ClickHouse
from sinks.letters import KEY_HEADER
from sinks.rows import DEAD_LETTERS, RESOLVED_BIT

_REPLAY_OF: Final = "replay_of"
_FIELDS: Final = tuple(msgspec.structs.fields(DeadLetter))
_COLUMNS: Final = ", ".join(field.name for field in _FIELDS if field.name != "original")
_KEYS: Final = "Array(Tuple(String, Int32, Int64, Int32, String))"
# Only the first letters of a body with very many bad elements carry its bytes: take them from any letter of the body.
_SELECT: Final = """
WITH chosen AS (SELECT * FROM {database}.dead_letters WHERE {where} ORDER BY occurred_at DESC, topic, partition, offset, element LIMIT {limit}),
     bodies AS (SELECT topic, partition, offset, argMax(original, length(original)) AS body FROM {database}.dead_letters
                WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM chosen) GROUP BY topic, partition, offset)
SELECT {columns}, body, resolved FROM chosen INNER JOIN bodies USING (topic, partition, offset)
ORDER BY occurred_at DESC, topic, partition, offset, element"""


class DeadFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters; "" and None mean any."""

    stage: str = ""
    code: str = ""
    vendor: str = ""
    topic: str = ""
    since: datetime | None = None
    until: datetime | None = None
    resolved_too: bool = False
    limit: int = 100


class StoredLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it stands in `dead_letters`."""

    letter: DeadLetter
    resolved: bool


class NoBytes(CallweaveError):
    """Letters whose body stands only at its origin."""

    code = "no_bytes"


async def list_dead(client: ClickHouse, filters: DeadFilter) -> list[StoredLetter]:
    """The newest letters first. Raises `Unavailable`, `SetupError`."""
    wanted = {name: getattr(filters, name) for name in ("stage", "code", "vendor", "topic") if getattr(filters, name)}
    conditions = [f"{name} = {{{name}:String}}" for name in wanted]
    for name, test in (("since", ">="), ("until", "<")):
        at: datetime | None = getattr(filters, name)
        if at is not None:
            conditions.append(f"occurred_at {test} fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')")
            wanted[name] = int(at.timestamp() * 1000)
    if not filters.resolved_too:
        conditions.append("NOT resolved")
    return await _letters(client, " AND ".join(conditions) or "1", wanted, filters.limit)


async def get_dead(
    client: ClickHouse, topic: str, partition: int, offset: int, element: int = -1
) -> StoredLetter | None:
    """One letter, resolved or not. Raises `Unavailable`, `SetupError`."""
    where = (
        "topic = {topic:String} AND partition = {partition:Int32} "
        "AND offset = {offset:Int64} AND element = {element:Int32}"
    )
    keys = {"topic": topic, "partition": partition, "offset": offset, "element": element}
    found = await _letters(client, where, keys, 1)
    return found[0] if found else None


async def mark_resolved(client: ClickHouse, letters: Sequence[DeadLetter]) -> None:
    """Write a newer version of each letter, with `resolved`. Raises `Unavailable`, `SetupError`."""
    if not letters:
        return
    names = [column.name for column in DEAD_LETTERS.columns]
    changed = {"resolved": "true", "version": f"bitOr(version, {RESOLVED_BIT})"}
    keys = [(letter.topic, letter.partition, letter.offset, letter.element, letter.stage) for letter in letters]
    # The server copies its own rows: the bytes do not travel, and no letter takes over another one's.
    await client.command(
        f"INSERT INTO {client.database}.{DEAD_LETTERS.name} ({', '.join(names)}) "  # noqa: S608 - names of ours
        f"SELECT {', '.join(changed.get(name, name) for name in names)} FROM {client.database}.dead_letters "
        f"WHERE NOT resolved AND (topic, partition, offset, element, stage) IN {{keys:{_KEYS}}}",
        {"keys": keys},
    )


async def replay(letters: Sequence[DeadLetter], producer: AIOKafkaProducer) -> int:
    """Send each body once to where it stood; returns how many, all acknowledged. Raises `NoBytes`, `Unavailable`.

    The producer's `acks` is "all". A letter of the sink goes to the public topic that it came from.
    """
    bodies: dict[Position, DeadLetter] = {}
    for letter in letters:
        position = Position(letter.topic, letter.partition, letter.offset)
        if position not in bodies or len(letter.original) > len(bodies[position].original):
            bodies[position] = letter
    missing = [str(position) for position, letter in bodies.items() if not letter.original and letter.code != "empty"]
    if missing:
        raise NoBytes(f"the bytes stand only at their origin, nothing was sent: {', '.join(missing[:5])}")
    try:
        for acknowledged in [await _send(producer, position, letter) for position, letter in bodies.items()]:
            await acknowledged
    except KafkaError as exc:
        raise Unavailable(f"Kafka did not take every body: {type(exc).__name__}") from exc
    return len(bodies)


async def _send(producer: AIOKafkaProducer, position: Position, letter: DeadLetter) -> Any:
    headers = {name: value for name, value in letter.headers.items() if name not in (KEY_HEADER, _REPLAY_OF)}
    key = letter.headers.get(KEY_HEADER)
    return await producer.send(
        position.topic,
        letter.original,
        key=key.encode() if key is not None else None,
        partition=position.partition,
        headers=[(name, value.encode()) for name, value in {**headers, _REPLAY_OF: str(position)}.items()],
    )


async def _letters(client: ClickHouse, where: str, values: dict[str, Any], limit: int) -> list[StoredLetter]:
    sql = _SELECT.format(database=client.database, where=where, limit=int(limit), columns=_COLUMNS)
    rows = await client.query(sql, values, as_bytes=("body",))
    names = [*_COLUMNS.split(", "), "original"]
    return [
        StoredLetter(letter=DeadLetter(**dict(zip(names, row[:-1], strict=True))), resolved=bool(row[-1]))
        for row in rows
    ]
