"""Faster forms of pure functions: encoding and normalising the same again takes most of a world's time."""

from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from processors.normalise import Directory, Normalised, normalise
from processors.records import Record, RecordBatch
from processors.stages.normalise_stage import NormaliseStage, Rules
from schemas.codec import Codec, Codecs
from schemas.config.limits import DEFAULT
from schemas.dead_letter import DeadLetter
from schemas.facts import Fact
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.timeline import Timeline

_MOST: Final = 1000
T = TypeVar("T", bound=msgspec.Struct)


@lru_cache(_MOST)
def outcome_of(place: Position, record: Record) -> Normalised:
    """Normalise a record of the raw topic; the same record stays the same object."""
    raw = raw_from_kafka(record.value, record.headers, record.timestamp_ms)
    return normalise(raw, place, Directory(), DEFAULT)


class Normalising(NormaliseStage):
    """The stage, with remembered results of its records."""

    def _normalise(self, batch: RecordBatch, record: Record, raw: RawCallback, rules: Rules) -> Normalised:
        return outcome_of(Position(batch.topic, batch.partition, record.offset), record)


class _Quick(Codec[T]):
    """MessagePack in the place of Avro, in an eighth of the time; `tests/unit/schemas/test_codec.py` tests Avro."""

    def __init__(self, name: str, record: type[T]) -> None:
        super().__init__(name, record)
        self._decoder = msgspec.msgpack.Decoder(record)

    def encode(self, value: T) -> bytes:
        return msgspec.msgpack.encode(value)

    def decode(self, data: bytes | None) -> T:
        assert data is not None
        return self._decoder.decode(data)


CODECS: Final = Codecs(
    fact=_Quick("fact", Fact), timeline=_Quick("timeline", Timeline), dead_letter=_Quick("dead_letter", DeadLetter)
)
