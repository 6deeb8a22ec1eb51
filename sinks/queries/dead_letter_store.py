"""Dead letters as people handle them: list, look at one, send again, mark as resolved.

A body is sent again with its bytes, its headers and its place (topic and partition), so it has the same identity; the header
`replay_of` says where it stood before. Many letters of one body are one replay. A letter's place alone does not name it: topics
that are made anew begin with the offset 0 again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.dead_letter import DeadLetter
from schemas.errors import CallweaveError, Unavailable
from schemas.raw import Position
from sinks.clickhouse import ClickHouse
from sinks.flush.sink_dead_letter import KEY_HEADER
from sinks.rows import DEAD_LETTERS, RESOLVED_BIT

_REPLAY_OF: Final = "replay_of"
_OF_ONE_PLACE: Final = 100
_FIELDS: Final = tuple(msgspec.structs.fields(DeadLetter))
_COLUMNS: Final = ", ".join(field.name for field in _FIELDS if field.name != "original")
_IDENTITY: Final = "topic, partition, offset, element, stage, origin_hash"
_KEYS: Final = "Array(Tuple(String, Int32, Int64, Int32, String, String))"
# Only the first letters of a body with very many bad elements carry its bytes: take them from any letter of the body.
_SELECT: Final = """
WITH chosen AS (SELECT * FROM {database}.dead_letters WHERE {where} ORDER BY occurred_at DESC, {identity} LIMIT {limit}),
     bodies AS (SELECT topic, partition, offset, origin_hash, argMax(original, length(original)) AS body FROM {database}.dead_letters
                WHERE (topic, partition, offset) IN (SELECT topic, partition, offset FROM chosen)
                GROUP BY topic, partition, offset, origin_hash),
     places AS (SELECT topic, partition, offset, count() AS records FROM bodies GROUP BY topic, partition, offset)
SELECT {columns}, body, resolved, records > 1
FROM chosen INNER JOIN bodies USING (topic, partition, offset, origin_hash) INNER JOIN places USING (topic, partition, offset)
ORDER BY occurred_at DESC, {identity}"""


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


class StoredDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it stands in `dead_letters`."""

    letter: DeadLetter
    resolved: bool
    has_namesake: bool = False
    """Whether a letter of another record has the same place: then only the hash of its origin tells them apart."""


class NoBytes(CallweaveError):
    """Letters whose body stands only at its origin."""

    code = "no_bytes"


async def list_dead(client: ClickHouse, filters: DeadFilter) -> list[StoredDeadLetter]:
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


async def find_dead(
    client: ClickHouse, topic: str, partition: int, offset: int, element: int = -1, *, origin_hash: str | None = None
) -> list[StoredDeadLetter]:
    """The letters of a place, resolved or not, the newest first; with a hash only its record's. Raises `Unavailable`, `SetupError`."""
    where = (
        "topic = {topic:String} AND partition = {partition:Int64} "
        "AND offset = {offset:Int64} AND element = {element:Int64}"
    )
    keys = {"topic": topic, "partition": partition, "offset": offset, "element": element}
    if origin_hash is not None:
        where += " AND origin_hash = {origin_hash:String}"
        keys["origin_hash"] = origin_hash
    return await _letters(client, where, keys, _OF_ONE_PLACE)


async def get_dead(
    client: ClickHouse, topic: str, partition: int, offset: int, element: int = -1, *, origin_hash: str | None = None
) -> StoredDeadLetter | None:
    """The newest letter of a place, or the one with this hash; resolved or not. Raises `Unavailable`, `SetupError`."""
    found = await find_dead(client, topic, partition, offset, element, origin_hash=origin_hash)
    return found[0] if found else None


async def mark_resolved(client: ClickHouse, letters: Sequence[DeadLetter]) -> None:
    """Write a newer version of each letter, with `resolved`. Raises `Unavailable`, `SetupError`."""
    if not letters:
        return
    names = [column.name for column in DEAD_LETTERS.columns]
    changed = {"resolved": "true", "version": f"bitOr(version, {RESOLVED_BIT})"}
    keys = [tuple(getattr(letter, name) for name in _IDENTITY.split(", ")) for letter in letters]
    # The server copies its own rows: the bytes do not travel, and no letter takes over another one's.
    await client.command(
        f"INSERT INTO {client.database}.{DEAD_LETTERS.name} ({', '.join(names)}) "  # noqa: S608 - names of ours
        f"SELECT {', '.join(changed.get(name, name) for name in names)} FROM {client.database}.dead_letters "
        f"WHERE NOT resolved AND ({_IDENTITY}) IN {{keys:{_KEYS}}}",
        {"keys": keys},
    )


async def replay(letters: Sequence[DeadLetter], producer: AIOKafkaProducer) -> int:
    """Send each body once to where it stood; returns how many, all acknowledged. Raises `NoBytes`, `Unavailable`.

    The producer's `acks` is "all". A letter of the sink goes to the public topic that it came from.
    """
    bodies: dict[tuple[Position, str], DeadLetter] = {}
    for letter in letters:
        record = Position(letter.topic, letter.partition, letter.offset), letter.origin_hash
        if record not in bodies or len(letter.original) > len(bodies[record].original):
            bodies[record] = letter
    missing = [str(position) for (position, _), one in bodies.items() if not one.original and one.code != "empty"]
    if missing:
        raise NoBytes(f"the bytes stand only at their origin, nothing was sent: {', '.join(missing[:5])}")
    try:
        for acknowledged in [await _send(producer, position, letter) for (position, _), letter in bodies.items()]:
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


async def _letters(client: ClickHouse, where: str, values: dict[str, Any], limit: int) -> list[StoredDeadLetter]:
    sql = _SELECT.format(database=client.database, where=where, limit=int(limit), columns=_COLUMNS, identity=_IDENTITY)
    names = [*_COLUMNS.split(", "), "original"]
    found = []
    for *fields, resolved, has_namesake in await client.query(sql, values, as_bytes=("body",)):
        letter = DeadLetter(**dict(zip(names, fields, strict=True)))
        found.append(StoredDeadLetter(letter=letter, resolved=bool(resolved), has_namesake=bool(has_namesake)))
    return found
