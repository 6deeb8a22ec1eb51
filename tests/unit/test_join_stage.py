"""The joining step around its pure parts: what its gauges say when partitions come and go."""

from collections.abc import AsyncIterator, Sequence

from processors.join_stage import JoinStage
from processors.publish import Message
from processors.slices import Record, Slice
from schemas.codec import Codecs
from schemas.metrics import Registry
from schemas.settings import JoinSettings
from schemas.topics import FACTS
from tests.strategies import BOTH_LEGS, callback, in_a_row


class Nowhere:
    """An outbox that takes everything."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take them."""


async def nothing(_topic: str, _partition: int) -> AsyncIterator[tuple[bytes, bytes | None]]:
    """A state topic without a record."""
    for pair in ():
        yield pair


async def test_a_worker_does_not_count_what_it_no_longer_holds() -> None:
    """Its partitions went to another worker, which counts them: the sum over all workers stays exact."""
    codecs, metrics = Codecs(), Registry()
    stage = JoinStage(Nowhere(), codecs, JoinSettings(), nothing, metrics)  # type: ignore[arg-type]  # as much of an outbox as it uses
    facts = in_a_row([*BOTH_LEGS, callback()])
    records = tuple(
        Record(offset=n, timestamp_ms=0, key=fact.call_key.encode(), value=codecs.fact.encode(fact))
        for n, fact in enumerate(facts)
    )
    await stage.step(Slice(topic=FACTS.name, partition=1, records=records, first_offset=0, next_offset=len(records)))
    metrics.text()
    held = metrics.get("callweave_join_items", facts[0].vendor, "fact")

    stage.drop([(FACTS.name, 1)])
    metrics.text()

    assert held == len(facts)
    assert metrics.get("callweave_join_items", facts[0].vendor, "fact") == 0
    assert sum(metrics.get("callweave_join_calls", phase) for phase in ("open", "provisional", "final", "closed")) == 0
