"""Reads the list of erasures wholly before a part begins to work, and follows it while the part works."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import ERASURE
from schemas.config.settings import KafkaSettings
from schemas.errors import SetupError, Unavailable, Undecodable
from schemas.kafka import clients
from schemas.kafka.away import away
from schemas.kafka.places import places
from schemas.privacy.erasures import Erasures
from schemas.privacy.tokens import NumberTokens
from schemas.topics import ERASURES as TOPIC

_log: Final = logging.getLogger(__name__)

GiveUp = Callable[[str, BaseException], None]
"""Ends the process with a sentence and the failure behind it."""
READ_S: Final = 60.0
"""Longest time for the list: it has one entry for each number or account that was ever erased."""
_POLL_MS: Final = 500


@contextlib.asynccontextmanager
async def followed(
    kafka: KafkaSettings, tokens: NumberTokens, *, role: str, give_up: GiveUp | None = None
) -> AsyncIterator[Erasures]:
    """Yields the list, complete, and adds new entries as they come.

    Raises `Unavailable`, and `SetupError` where the topic is missing or the key is not that of the entries. Such an
    entry may come later, too, and then something would be stored that must not be: the body is cancelled and the
    failure raised, unless `give_up` ends the process.
    """
    erasures = Erasures(tokens)
    consumer = clients.consumer(kafka, "erasures")
    try:
        try:
            whole = await places(kafka, "erasures", TOPIC.name, without="nobody could say what was erased")
            await consumer.start()
            await _read(consumer, whole, erasures)
        except KafkaError as exc:
            raise await away(kafka, exc, role=role) from exc
        async with beside(_follow(consumer, erasures), give_up):
            yield erasures
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], give_up: GiveUp | None = None) -> AsyncIterator[None]:
    """Does `work` beside the body; when it fails, calls `give_up`, or else cancels the body and raises the failure."""
    here = asyncio.current_task()
    assert here is not None, "a context manager is entered by a task"
    ended = False

    def at_end(done: "asyncio.Task[None]") -> None:
        failure = None if ended or done.cancelled() else done.exception()
        if failure is not None and give_up is not None:
            give_up("the list of erasures cannot be followed", failure)
        elif failure is not None:
            here.cancel()

    task = asyncio.create_task(work)
    task.add_done_callback(at_end)
    try:
        yield
    except asyncio.CancelledError:
        if task.done() and not task.cancelled() and (failure := task.exception()) is not None:
            here.uncancel()
            raise failure from None
        raise
    finally:
        ended = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _read(consumer: Any, whole: list[TopicPartition], erasures: Erasures) -> None:
    consumer.assign(whole)
    ends = await consumer.end_offsets(whole)
    await consumer.seek_to_beginning(*whole)
    try:
        async with asyncio.timeout(READ_S):
            while any([await consumer.position(place) < ends[place] for place in whole]):
                _take(await consumer.getmany(timeout_ms=_POLL_MS), erasures)
    except TimeoutError as exc:
        raise Unavailable(f"{TOPIC.name} could not be read within {READ_S:g} s") from exc


async def _follow(consumer: Any, erasures: Erasures) -> None:
    while True:
        try:
            found = await consumer.getmany(timeout_ms=_POLL_MS)
        except KafkaError as exc:  # the part's other clients find out that Kafka is away
            _log.debug("the list of erasures cannot be read now: %r", exc)
            await asyncio.sleep(_POLL_MS / 1000)
            continue
        if found:
            _take(found, erasures)


def _take(found: dict[Any, list[Any]], erasures: Erasures) -> None:
    for records in found.values():
        for record in records:
            if record.value is None:
                continue
            try:
                erasures.take(ERASURE.decode(record.value))
            except Undecodable as exc:
                raise SetupError(
                    f"{TOPIC.name}/{record.partition}/{record.offset} is no erasure that this release knows: {exc}",
                    code="schema",
                    advice="A newer release wrote it: run that one.",
                ) from exc
