"""The record clock's heartbeat: a tick (an empty record) on every owned partition of `calls.facts`, now and then.

A call's timeouts follow the log's own append times; without ticks nothing would time out where nothing is appended.
"""

import asyncio
import logging
from typing import Any, Final

from faust.exceptions import ConsumerNotStarted

from processors.engine.faust_app import consumer_of
from processors.outbox import Message, Outbox
from schemas.errors import Unavailable
from schemas.topics import FACTS

log: Final = logging.getLogger(__name__)

HEADER: Final = (("tick", b"1"),)


async def tick(app: Any, outbox: Outbox, every_s: float) -> None:
    """Append one tick to each assigned partition of `calls.facts` every `every_s` seconds, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        try:
            owned = sorted(tp.partition for tp in consumer_of(app).assignment() if tp.topic == FACTS.name)
        except ConsumerNotStarted:  # not yet, or at a stop not any more
            continue
        ticks = [Message(topic=FACTS.name, key=None, value=None, headers=HEADER, partition=number) for number in owned]
        try:
            if ticks:
                await outbox.publish(ticks)
        except Unavailable as exc:
            # The next tick does the same; the stages notice by themselves when Kafka stays away.
            log.warning("no tick: %s", exc)
