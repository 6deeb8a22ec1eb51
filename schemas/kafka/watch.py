"""Looks now and then, beside a running part, whether its user still gets in and has its rights, and says so once.

A client that has lost its way in repeats without end, in the words of its library; this gives the reason. Parts that
have a look of their own, as the ingress, need none.
"""

import asyncio
import logging
from typing import Final

from schemas.config.settings import KafkaSettings
from schemas.errors import CallweaveError
from schemas.kafka.away import require

EVERY_S: Final = 15.0

_log = logging.getLogger("callweave.kafka")


async def watch(kafka: KafkaSettings, role: str, every_s: float = EVERY_S) -> None:
    """Logs the reason when Kafka cannot be used, once, and when it can be used again; runs until it is cancelled."""
    said = ""
    while True:
        await asyncio.sleep(every_s)
        try:
            await require(kafka, role)
        except CallweaveError as exc:
            found = f"{exc.code}: {exc}"
        except Exception as exc:  # noqa: BLE001 - the look is no reason to end a part
            _log.debug("the look at Kafka failed: %r", exc)
            continue
        else:
            found = ""
        if found != said:
            _log.log(logging.ERROR if found else logging.INFO, "%s", found or "Kafka lets us in, with all rights")
            said = found
