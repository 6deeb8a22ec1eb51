"""Our pure functions, as another framework hosts them: one record in, bytes out; no batches, timeouts or quarantine.

Both peers call these two and nothing else of ours, so that what differs between them is the framework.
"""

from collections.abc import Iterable, Iterator

from processors.join import step
from processors.normalise import Directory, normalise
from processors.store.state_codec import decode_state, encode_state
from schemas.codec import FACT, STAGE_FACT, TIMELINE
from schemas.config.limits import DEFAULT
from schemas.config.settings import JoinSettings
from schemas.raw import Position, raw_from_kafka

_ACCOUNTS = Directory()
_SETTINGS = JoinSettings()


def facts_of(
    value: bytes, headers: Iterable[tuple[str, bytes | None]], timestamp_ms: int, position: Position
) -> Iterator[tuple[str, bytes]]:
    """Yields the key and the bytes of each fact of a record of `calls.raw`."""
    for fact in normalise(raw_from_kafka(value, headers, timestamp_ms), position, _ACCOUNTS, DEFAULT).facts:
        yield fact.call_key, STAGE_FACT.encode(fact)


def joined(
    state: bytes | None, value: bytes, now_ms: int
) -> tuple[bytes | None, list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """Joins a fact; returns the call's new state, and the keys and bytes of the canonical record and the timelines."""
    done = step(decode_state(state) if state else None, STAGE_FACT.decode(value), now_ms, _SETTINGS)
    record = done.normalized
    return (
        encode_state(done.state) if done.state else None,
        [(record.call_key, FACT.encode(record))] if record else [],
        [(timeline.timeline_id, TIMELINE.encode(timeline)) for timeline in done.timelines],
    )
