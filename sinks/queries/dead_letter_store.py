"""Lists dead letters, reads one, sends their bodies again, and marks them as resolved.

A body is sent again with its bytes, its headers, its topic and its partition, so that it has the same identity; the
header `replay_of` names its old position. Many dead letters of one body are one replay. A position alone does not
identify a dead letter, because a topic that is created anew begins with offset 0 again.
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
_AT_ONE_POSITION: Final = 100
"""The most dead letters that are read of one position."""
_FIELDS: Final = tuple(msgspec.structs.fields(DeadLetter))
_COLUMNS: Final = ", ".join(field.name for field in _FIELDS if field.name != "original")
_IDENTITY: Final = "topic, partition, offset, element, stage, origin_hash"
_KEYS: Final = "Array(Tuple(String, Int32, Int64, Int32, String, String))"
# Only the first dead letters of a body with very many bad elements carry its bytes: any of them will do.
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
    """The dead letters to select; "" and None mean any."""

    stage: str = ""
    code: str = ""
    vendor: str = ""
    topic: str = ""
    since: datetime | None = None
    until: datetime | None = None
    resolved_too: bool = False
    limit: int = 100


class StoredDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as the view `dead_letters` shows it."""

    dead_letter: DeadLetter
    resolved: bool
    has_namesake: bool = False
    """True when another record's dead letter has the same position: only the hashes of their origins differ then."""


class NoBytes(CallweaveError):
    """Dead letters whose body is only at its origin."""

    code = "no_bytes"


async def list_dead(client: ClickHouse, filters: DeadFilter) -> list[StoredDeadLetter]:
    """Returns the selected dead letters, the newest first. Raises `Unavailable`, `SetupError`."""
    wanted = {name: getattr(filters, name) for name in ("stage", "code", "vendor", "topic") if getattr(filters, name)}
    conditions = [f"{name} = {{{name}:String}}" for name in wanted]
    for name, test in (("since", ">="), ("until", "<")):
        at: datetime | None = getattr(filters, name)
        if at is not None:
            conditions.append(f"occurred_at {test} fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')")
            wanted[name] = int(at.timestamp() * 1000)
    if not filters.resolved_too:
        conditions.append("NOT resolved")
    return await _select(client, " AND ".join(conditions) or "1", wanted, filters.limit)


async def find_dead(
    client: ClickHouse, topic: str, partition: int, offset: int, element: int = -1, *, origin_hash: str | None = None
) -> list[StoredDeadLetter]:
    """Returns the dead letters of a position, the newest first, resolved ones included; with a hash only its record's.

    Raises `Unavailable`, `SetupError`.
    """
    where = (
        "topic = {topic:String} AND partition = {partition:Int64} "
        "AND offset = {offset:Int64} AND element = {element:Int64}"
    )
    keys = {"topic": topic, "partition": partition, "offset": offset, "element": element}
    if origin_hash is not None:
        where += " AND origin_hash = {origin_hash:String}"
        keys["origin_hash"] = origin_hash
    return await _select(client, where, keys, _AT_ONE_POSITION)


async def mark_resolved(client: ClickHouse, dead_letters: Sequence[DeadLetter]) -> None:
    """Writes a newer version of each dead letter, with `resolved`. Raises `Unavailable`, `SetupError`."""
    if not dead_letters:
        return
    names = [column.name for column in DEAD_LETTERS.columns]
    changed = {"resolved": "true", "version": f"bitOr(version, {RESOLVED_BIT})"}
    keys = [tuple(getattr(one, name) for name in _IDENTITY.split(", ")) for one in dead_letters]
    # The server copies its own rows: the bytes are not sent, and no dead letter gets those of another.
    await client.command(
        f"INSERT INTO {client.database}.{DEAD_LETTERS.name} ({', '.join(names)}) "  # noqa: S608 - our own names
        f"SELECT {', '.join(changed.get(name, name) for name in names)} FROM {client.database}.dead_letters "
        f"WHERE NOT resolved AND ({_IDENTITY}) IN {{keys:{_KEYS}}}",
        {"keys": keys},
    )


async def replay(dead_letters: Sequence[DeadLetter], producer: AIOKafkaProducer) -> int:
    """Sends each body once to its topic and partition; returns their number when all are acknowledged.

    The producer's `acks` must be "all". A dead letter of the sink goes to the public topic that it came from. Raises
    `NoBytes`, `Unavailable`.
    """
    bodies: dict[tuple[Position, str], DeadLetter] = {}
    for one in dead_letters:
        record = Position(one.topic, one.partition, one.offset), one.origin_hash
        if record not in bodies or len(one.original) > len(bodies[record].original):
            bodies[record] = one
    missing = [str(position) for (position, _), one in bodies.items() if not one.original and one.code != "empty"]
    if missing:
        raise NoBytes(f"the bytes stand only at their origin, nothing was sent: {', '.join(missing[:5])}")
    try:
        for acknowledged in [await _send(producer, position, one) for (position, _), one in bodies.items()]:
            await acknowledged
    except KafkaError as exc:
        raise Unavailable(f"Kafka did not take every body: {type(exc).__name__}") from exc
    return len(bodies)


async def _send(producer: AIOKafkaProducer, position: Position, dead_letter: DeadLetter) -> Any:
    headers = {name: value for name, value in dead_letter.headers.items() if name not in (KEY_HEADER, _REPLAY_OF)}
    key = dead_letter.headers.get(KEY_HEADER)
    return await producer.send(
        position.topic,
        dead_letter.original,
        key=key.encode() if key is not None else None,
        partition=position.partition,
        headers=[(name, value.encode()) for name, value in {**headers, _REPLAY_OF: str(position)}.items()],
    )


async def _select(client: ClickHouse, where: str, values: dict[str, Any], limit: int) -> list[StoredDeadLetter]:
    sql = _SELECT.format(database=client.database, where=where, limit=int(limit), columns=_COLUMNS, identity=_IDENTITY)
    names = [*_COLUMNS.split(", "), "original"]
    found = []
    for *fields, resolved, has_namesake in await client.query(sql, values, as_bytes=("body",)):
        dead_letter = DeadLetter(**dict(zip(names, fields, strict=True)))
        found.append(
            StoredDeadLetter(dead_letter=dead_letter, resolved=bool(resolved), has_namesake=bool(has_namesake))
        )
    return found
