"""The normalising stage: a long body is read in a thread, and the loop turns between many small ones."""

import asyncio
import gzip
import json
import threading
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from processors.normalise import Directory, Normalised, Reading
from processors.outbox import Message, Outbox
from processors.records import Record, RecordBatch
from processors.stages.normalise_stage import NormaliseStage
from schemas.codec import DEAD_LETTER, STAGE_FACT, Codecs
from schemas.config.limits import Limits
from schemas.metrics import Registry
from schemas.raw import Position, RawCallback, raw_from_kafka
from schemas.topics import DEAD, FACTS, LEDGER
from tests.golden.cases import HERE, load
from tests.support.kafka.ledger_rows import books, ledger_of
from tests.unit.processors.stages.quarantined import Guard

NX = load(HERE / "nxcloud" / "cdr-N01-document-example.json").raw.body
LARGE = b"[" + NX + b"," + b" " * 20_000 + NX.replace(b"bf1b9043", b"bf1b9044") + b"]"


class Published:
    """A stand-in for the producer."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ledger: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        self.messages += [message for message in messages if message.topic != LEDGER.name]
        self.ledger += [message for message in messages if message.topic == LEDGER.name]


class Watched(NormaliseStage):
    """The stage with a note of where it read each body."""

    threads: list[bool]

    def _encoded(self, raw: RawCallback, position: Position, outcome: Normalised) -> tuple[Normalised, list[Message]]:
        self.threads.append(threading.current_thread() is threading.main_thread())
        return super()._encoded(raw, position, outcome)


def stage(limits: Limits | None = None) -> tuple[Watched, Published]:
    out = Published()
    made = Watched(cast("Outbox", out), Codecs(), Directory(), limits or Limits(), Registry())
    made.threads = []
    return made, out


def batch_of(*bodies: bytes, **headers: str) -> RecordBatch:
    all_headers = {"vendor": "nxcloud", "callback": "cdr", "received_at": "1555484100000", **headers}
    pairs = tuple((name, value.encode()) for name, value in all_headers.items())
    records = tuple(
        Record(offset=n, timestamp_ms=0, key=b"", value=body, headers=pairs) for n, body in enumerate(bodies)
    )
    return batch_of_records(*records)


def batch_of_records(*records: Record) -> RecordBatch:
    first, after = records[0].offset, records[-1].offset + 1
    return RecordBatch(topic="calls.raw", partition=0, records=records, first_offset=first, next_offset=after)


@pytest.mark.parametrize(
    ("body", "headers", "on_the_loop"),
    [
        pytest.param(NX, {}, True, id="a small body"),
        pytest.param(LARGE, {}, False, id="a large one"),
        pytest.param(gzip.compress(NX), {"content_encoding": "gzip"}, False, id="a compressed one"),
        pytest.param(gzip.compress(NX), {}, False, id="a compressed one that does not say so"),
    ],
)
async def test_what_may_take_long_is_read_in_a_thread(
    body: bytes, headers: dict[str, str], *, on_the_loop: bool
) -> None:
    normalising, out = stage()
    await normalising.step(batch_of(body, **headers))
    assert normalising.threads == [on_the_loop]
    assert {message.topic for message in out.messages} == {FACTS.name}


async def test_facts_come_in_the_order_of_their_bodies_wherever_they_were_read() -> None:
    normalising, out = stage()
    await normalising.step(batch_of(NX, LARGE, NX, b"{", LARGE))
    facts = [STAGE_FACT.decode(message.value) for message in out.messages if message.topic == FACTS.name]
    assert [(fact.raw_offset, fact.raw_element) for fact in facts] == [(0, 0), (1, 0), (1, 1), (2, 0), (4, 0), (4, 1)]
    (dead_letter,) = [DEAD_LETTER.decode(message.value) for message in out.messages if message.topic == DEAD.name]
    assert (dead_letter.offset, dead_letter.code) == (3, "json")
    assert (normalising.facts, normalising.dead) == (6, 1)


async def test_bodies_read_together_give_what_each_gives_alone() -> None:
    """Bodies of all vendors, good ones, broken ones and ones that may take long, in one batch and in batches of one."""
    raws = [load(path).raw for path in sorted(HERE.glob("*/*.json")) if not path.name.endswith(".expected.json")]
    raws += [msgspec.structs.replace(raw, body=raw.body[:-9]) for raw in raws]
    raws += [msgspec.structs.replace(raw, callback="no such") for raw in raws[:3]]
    records = [
        Record(offset=n, timestamp_ms=0, key=b"", value=raw.body, headers=tuple(raw.headers()))
        for n, raw in enumerate(raws)
    ]
    together, out = stage()
    await together.step(batch_of_records(*records))
    alone, each = stage()
    for record in records:
        await alone.step(batch_of_records(record))

    assert out.messages == each.messages
    entries = ledger_of(out.ledger)
    assert entries == ledger_of(each.ledger)
    counts = books(entries)
    assert (counts["waiting"], counts["dead"], counts["unaccounted"]) == (together.facts, together.dead, 0)
    assert {row.key[1] for row in entries} == set(range(len(raws)))
    assert len(out.messages) > len(raws) > 200
    assert (together.facts, together.dead) == (alone.facts, alone.dead)


@pytest.mark.parametrize("part", ["__init__", "decode", "map", "finish"])
async def test_a_body_at_which_workers_die_is_found_by_two_deaths_whatever_step_kills(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies are read step by step together, and yet one alone is put aside for what it does."""
    guard, do = Guard(), getattr(Reading, part)

    def dies(reading: Reading, *given: Any) -> Any:
        done = do(reading, *given)
        if reading.position.offset == 33:
            raise MemoryError
        return done

    monkeypatch.setattr(Reading, part, dies)
    monkeypatch.setattr("processors.stages.normalise_stage._RUN_BODIES", 32)
    (survivor, out), *others = [stage() for _ in range(3)]
    steps = [survivor.step, *(normalising.step for normalising, _ in others)]
    bodies = [NX + b" " * number for number in range(70)]  # the same bytes would be copies of the poison
    died = await guard.deaths("normalise", steps.pop, batch_of(*bodies))

    assert died == [(32, 64), (33, 34)]
    assert [DEAD_LETTER.decode(each.value).offset for each in guard.sent.messages] == [33]
    done = [STAGE_FACT.decode(message.value).raw_offset for message in out.messages]
    assert done == [offset for offset in range(70) if offset != 33]
    assert guard.crashes.book.suspects == ()


async def test_headers_at_which_a_worker_dies_accuse_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read before it is known which bodies are read together, and behind others that were."""
    guard, (normalising, _) = Guard(), stage()

    def dies(value: bytes | None, headers: tuple[tuple[str, bytes], ...], timestamp_ms: int) -> RawCallback:
        if value == b"kills":
            raise MemoryError
        return raw_from_kafka(value, headers, timestamp_ms)

    monkeypatch.setattr("processors.stages.normalise_stage.raw_from_kafka", dies)
    with pytest.raises(MemoryError):
        await guard.guarding(normalising.step)(batch_of(*[NX] * 40, b"kills", *[NX] * 29))

    assert guard.at == (0, 70)


async def test_the_loop_turns_while_many_bodies_are_read() -> None:
    normalising, _ = stage()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await normalising.step(batch_of(*[NX] * 3_000))  # some 100 ms on a quick machine
    counting.cancel()
    assert turns > 2


async def test_the_limits_are_the_settings() -> None:
    normalising, out = stage(Limits(elements=1))
    element: dict[str, Any] = json.loads(NX)
    await normalising.step(batch_of(json.dumps([element, element]).encode()))
    (dead_letter,) = [DEAD_LETTER.decode(message.value) for message in out.messages]
    assert (dead_letter.code, dead_letter.element) == ("limit", -1)
