"""Encodes typed records as Avro in Confluent framing (0x00, four bytes of schema id, the Avro body), and decodes them.

The ids are pinned, so that nothing needs a registry to run. With a registry, `Codec.with_ids` takes the registry's ids.
A reader decodes by the id in the record; a published schema is never removed from `PUBLISHED`. Which version is written
is chosen (`kafka.avro_release`): while parts of the release before this one run, what is written must be read by them.
"""

import io
import json
import struct
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, Generic, TypeVar, cast

import fastavro
import msgspec

from schemas.audit.entry import AuditEntry
from schemas.dead_letter import DeadLetter
from schemas.errors import Undecodable
from schemas.facts import Fact
from schemas.privacy.erasures import Erasure
from schemas.reading.record_readers import Reader, made_reader
from schemas.timeline import Timeline
from schemas.writing.record_writers import Writer, made_writer

_MAGIC: Final = b"\x00"
_HEAD: Final = struct.Struct(">bI")
HEAD_BYTES: Final = _HEAD.size
T = TypeVar("T", bound=msgspec.Struct)


class PublishedSchema(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a schema, with its permanent id."""

    name: str
    version: int
    schema_id: int
    subjects: tuple[str, ...]
    """The names under which a registry knows it."""
    sha256: str
    """The hash of its file, which never changes."""

    @property
    def file(self) -> str:
        """The name of the schema's file in `schemas/avro`."""
        return f"{self.name}.v{self.version}.avsc"


PUBLISHED: Final = msgspec.json.decode(
    resources.files("schemas").joinpath("avro", "published.json").read_bytes(), type=tuple[PublishedSchema, ...]
)
"""Every version that was ever published; `python -m deploy.admin.publish_schemas` adds the next one."""

PREVIOUS: Final[Mapping[str, int]] = {"fact": 2, "timeline": 2}
"""The version that the release before this one writes, of each schema to which this release adds a version. A new field
may not be needed by the parts that would then not get it; after a release, the mapping is made anew."""

_SELDOM: Final[Mapping[str, tuple[str, ...]]] = {
    "fact": (
        "session_id", "conference_id", "binding_id", "from_number", "from_raw", "from_kind", "to_number", "to_raw",
        "to_kind", "privacy_number", "privacy_raw", "privacy_kind", "setup_at", "alerting_at", "answer_at", "end_at",
        "legs", "pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s", "cost", "recording_url",
        "recording_expires_at", "custom_ref", "agent_id", "agent_name", "extras", "binding_state", "bound_at",
        "unbound_at", "revised_at", "contents", "keeps",
    )
}  # fmt: skip
"""Fields that no state event has, by the schema: three facts of four are state events, which are written without."""


@cache
def schema_text(published: PublishedSchema) -> str:
    """Returns the text of the published schema."""
    return resources.files("schemas").joinpath("avro", published.file).read_text("utf-8")


@cache
def parsed_schema(published: PublishedSchema) -> dict[str, Any]:
    """Returns the published schema, parsed by fastavro."""
    return cast("dict[str, Any]", fastavro.parse_schema(json.loads(schema_text(published))))


@cache
def writer_of(published: PublishedSchema) -> Writer:
    """Returns the writer that is made from the published schema."""
    return made_writer(json.loads(schema_text(published)), _SELDOM.get(published.name, ()))


@cache
def reader_of(published: PublishedSchema, record: type[msgspec.Struct]) -> Reader:
    """Returns the reader that is made from the published schema of a record."""
    return made_reader(json.loads(schema_text(published)), record)


class Codec(Generic[T]):
    """Encodes and decodes one type; decoding raises `Undecodable` and nothing else."""

    def __init__(
        self, name: str, record: type[T], ids: Mapping[int, int] | None = None, writes: int | None = None
    ) -> None:
        """Takes in `ids` a registry's id for each pinned one; without it the pinned ids are on the wire.

        `writes` is the version that is written, None for the newest.
        """
        self._name = name
        self._record = record
        versions = sorted((p for p in PUBLISHED if p.name == name), key=lambda p: p.version)
        wire = {p.schema_id: (ids or {}).get(p.schema_id, p.schema_id) for p in versions}
        written = versions[-1] if writes is None else next(p for p in versions if p.version == writes)
        self.newest: Final = versions[-1]
        """The newest version of the schema."""
        self._newest, self._write = parsed_schema(versions[-1]), writer_of(written)
        self._fields = frozenset(field["name"] for field in parsed_schema(written)["fields"])
        self._head = _HEAD.pack(0, wire[written.schema_id])
        # The pinned ids stay: records written before a registry was set must stay readable. The registry's ids win.
        self._schemas = {of(p.schema_id): p for of in (int, wire.__getitem__) for p in versions}
        self.heads: Final = frozenset(_HEAD.pack(0, of) for of, p in self._schemas.items() if p is self.newest)
        """The first bytes of records of the newest version."""
        self._readers = {schema_id: reader_of(p, record) for schema_id, p in self._schemas.items()}

    def with_ids(self, ids: Mapping[int, int], versions: Mapping[str, int] | None = None) -> "Codec[T]":
        """Returns the same codec with a registry's ids on the wire, which writes its version of `versions`."""
        return Codec(self._name, self._record, ids, (versions or {}).get(self._name))

    def encode(self, value: T) -> bytes:
        """Returns the framed Avro bytes of `value`, without the fields that the written version does not have."""
        return self._head + self._write(value)

    def writes_field(self, name: str) -> bool:
        """True when the version that is written has this field."""
        return name in self._fields

    def decode(self, data: bytes | None) -> T:
        """Returns the typed record in `data`; raises `Undecodable` (code `schema`) when it is not one."""
        if not data or len(data) < _HEAD.size or data[:1] != _MAGIC:
            raise Undecodable(f"not a framed {self._name}", code="schema")
        schema_id = _HEAD.unpack_from(data)[1]
        read = self._readers.get(schema_id)
        if read is None:
            raise Undecodable(f"schema id {schema_id} is no {self._name} that this release knows", code="schema")
        try:
            values, end = read(data, _HEAD.size)
            if end <= len(data):
                return msgspec.convert(values, self._record)
        except Exception:  # noqa: BLE001 - the library reads what the reader does not, and says what is wrong
            return self._by_library(data, schema_id)
        return self._by_library(data, schema_id)

    def _by_library(self, data: bytes, schema_id: int) -> T:
        body = io.BytesIO(data)
        body.seek(_HEAD.size)
        writer = parsed_schema(self._schemas[schema_id])
        try:
            plain = fastavro.schemaless_reader(body, writer, self._newest if writer is not self._newest else None)
            return msgspec.convert(plain, self._record)
        except Exception as exc:
            # Bad bytes make fastavro raise EOFError, IndexError, OverflowError, UnicodeDecodeError and others.
            raise Undecodable(f"no {self._name} of schema id {schema_id}: {type(exc).__name__}", code="schema") from exc


FACT: Final = Codec("fact", Fact)
TIMELINE: Final = Codec("timeline", Timeline)
DEAD_LETTER: Final = Codec("dead_letter", DeadLetter)
AUDIT: Final = Codec("audit", AuditEntry)
ERASURE: Final = Codec("erasure", Erasure)


class StageCodec:
    """Facts on `calls.facts`, between the stages of our own workers: MessagePack, or Avro as long as older ones run.

    MessagePack takes a tenth of Avro's time to write and to read. Its first byte is never that of a framed record, so
    both are read, whatever is written.
    """

    def __init__(self, avro: Codec[Fact], *, writes_avro: bool = False) -> None:
        """Keeps the codec for records that are Avro."""
        self._avro = avro
        self.writes_avro = writes_avro
        """True as long as workers of the release before may run."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Fact).decode

    def encode(self, fact: Fact) -> bytes:
        """Returns the bytes of a fact."""
        return self._avro.encode(fact) if self.writes_avro else self._encode(fact)

    def decode(self, data: bytes | None) -> Fact:
        """Returns the fact in `data`; raises `Undecodable` (code `schema`) when it is not one."""
        if not data or data[:1] == _MAGIC:
            return self._avro.decode(data)
        try:
            return self._decode(data)
        except Exception as exc:
            raise Undecodable(f"no fact: {type(exc).__name__}", code="schema") from exc


STAGE_FACT: Final = StageCodec(FACT)


class Codecs(msgspec.Struct, frozen=True, kw_only=True):
    """The codecs of a process, all with the same ids and of the same release."""

    fact: Codec[Fact] = FACT
    stage_fact: StageCodec = STAGE_FACT
    timeline: Codec[Timeline] = TIMELINE
    dead_letter: Codec[DeadLetter] = DEAD_LETTER


def codecs_for(ids: Mapping[int, int], versions: Mapping[str, int] | None = None) -> Codecs:
    """Returns codecs with a registry's id for each pinned id of `PUBLISHED`; an empty mapping gives the pinned ones.

    `versions` are those that are written, by the names of schemas, as `PREVIOUS`; others are written in the newest.
    """
    fact = FACT.with_ids(ids, versions)
    return Codecs(
        fact=fact,
        stage_fact=StageCodec(fact, writes_avro=bool(versions)),
        timeline=TIMELINE.with_ids(ids, versions),
        dead_letter=DEAD_LETTER.with_ids(ids, versions),
    )
