"""The spools, for people at a terminal: shows them, sends them while the ingress is stopped, exports them."""

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from ingress.durable.drainer import Drainer
from ingress.kafka.producer import KafkaPublisher
from ingress.spool.folder import FILE, of_worker, root, set_aside, workers
from ingress.spool.spool import Spool
from ingress.spool.store import Body, Totals, look, salvage
from ingress.spool.too_large import folder_of
from schemas.config.settings import Settings
from schemas.errors import SetupError, Unavailable
from schemas.metrics import Registry

_PER_S: Final = 100_000
"""While the ingress is stopped, draining slows nothing else down."""
_ROUNDS_WITHOUT_ANY: Final = 3


class SpoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's spool."""

    folder: Path
    totals: Totals
    vendors: dict[str, int]
    set_aside: tuple[Path, ...]
    too_large: int = 0
    """Bodies put aside because the broker refused them as too large."""
    trouble: str = ""

    def lines(self, now: datetime) -> list[str]:
        """Returns the status as lines of text."""
        if self.trouble:
            return [f"{self.folder}: {self.trouble}", *self._asides()]
        age_s = now.timestamp() - self.totals.oldest_ms / 1000
        oldest = f", the oldest {age_s:.0f} s old" if self.totals.bodies else ""
        head = f"{self.folder}: {self.totals.bodies} bodies, {self.totals.size_bytes} bytes{oldest}"
        return [
            head,
            *(f"  {vendor or '?'}: {count}" for vendor, count in sorted(self.vendors.items())),
            *self._asides(),
        ]

    def _asides(self) -> list[str]:
        lines = [f"  set aside, because it could not be read: {path}" for path in self.set_aside]
        if self.too_large:
            lines.append(f"  kept apart, because the broker finds them too large: {self.too_large} bodies")
        return lines


def statuses(settings: Settings) -> list[SpoolStatus]:
    """Returns the status of every worker's spool on this machine; an ingress may be running."""
    return [_status(of_worker(root(settings), number)) for number in workers(root(settings))]


async def drained(settings: Settings) -> int:
    """Sends all bodies to Kafka and returns their number.

    Raises SetupError while an ingress runs, and Unavailable when Kafka does not take all of them.
    """
    limits, metrics, sent = settings.ingress, Registry(), 0
    async with KafkaPublisher(
        settings.kafka,
        deadline_s=limits.publish_timeout_s,
        max_buffer_bytes=limits.max_buffer_bytes,
        max_value_bytes=limits.max_body_bytes,
        role="spool drain",
    ) as kafka:
        if trouble := kafka.why_not():
            raise Unavailable(trouble)
        for number in workers(root(settings)):
            async with Spool(of_worker(root(settings), number), limits, metrics) as spool:
                if spool.trouble() and not spool.bodies:
                    raise SetupError(spool.trouble(), code="spool")
                await spool.take_too_large_back()
                sent += await _emptied(spool, Drainer(spool, kafka, metrics, per_s=_PER_S))
    return sent


def exported(settings: Settings, target: IO[bytes], *, aside: bool) -> int:
    """Writes every body as a line of JSON, with body and headers in base64; with `aside` also from files set aside."""
    count = 0
    for number in workers(root(settings)):
        folder = of_worker(root(settings), number)
        files = [folder / FILE, folder_of(folder) / FILE, *(set_aside(folder) if aside else [])]
        for path in files:
            for body in _bodies(path):
                target.write(msgspec.json.encode(_plain(body)) + b"\n")
                count += 1
    return count


async def _emptied(spool: Spool, drain: Drainer) -> int:
    sent, idle = 0, 0
    while spool.bodies and idle < _ROUNDS_WITHOUT_ANY:
        went = await drain.once()
        sent, idle = sent + went, 0 if went else idle + 1
    if spool.bodies:
        raise Unavailable(f"{sent} bodies went, but Kafka did not take {spool.bodies}: they stay in the spool")
    await spool.shrink()
    if spool.too_large.bodies:
        raise Unavailable(
            f"{sent} bodies went, but the broker finds {spool.too_large.bodies} too large: they are kept apart."
            " Raise the topic's max.message.bytes and drain again, or export them"
        )
    return sent


def _status(folder: Path) -> SpoolStatus:
    asides = tuple(set_aside(folder))
    if not (folder / FILE).exists():
        return SpoolStatus(folder=folder, totals=Totals(), vendors={}, set_aside=asides)
    apart = folder_of(folder) / FILE
    try:
        totals, vendors = look(folder / FILE)
        too_large = look(apart)[0].bodies if apart.exists() else 0
    except Exception as exc:  # noqa: BLE001  # a fault of one file must not hide the others
        return SpoolStatus(
            folder=folder, totals=Totals(), vendors={}, set_aside=asides, trouble=f"cannot be read: {exc}"
        )
    return SpoolStatus(folder=folder, totals=totals, vendors=vendors, set_aside=asides, too_large=too_large)


def _bodies(path: Path) -> Iterator[Body]:
    return salvage(path) if path.exists() else iter(())


def _plain(body: Body) -> dict[str, object]:
    return {
        "topic": body.topic,
        "key_base64": base64.b64encode(body.key).decode(),
        "headers_base64": [[name, base64.b64encode(text).decode()] for name, text in body.headers],
        "body_base64": base64.b64encode(body.value).decode(),
    }
