"""The composition root of `callweave poll`: one poller an account, over one HTTP client and one publisher."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from ingress.kafka.producer import KafkaPublisher
from ingress.poll import planner
from ingress.poll.checkpoints import read_checkpoints
from ingress.poll.client import client
from ingress.poll.planner import Checkpoint
from ingress.poll.poller import Poller, checkpoint_key, name_of
from schemas.config.settings import KafkaSettings, PollAccount, Settings
from schemas.errors import SettingsError, Unavailable
from schemas.metrics import Registry
from schemas.topics import MAX_MESSAGE_BYTES, POLLS, RAW
from schemas.vendor_kit.contract import Poll
from schemas.vendors import VENDORS

_log: Final = logging.getLogger("callweave.ingress.poll")
_KAFKA_RETRY_S: Final = 1.0

PollerFactory = Callable[[PollAccount, Checkpoint], Poller]


async def run(
    settings: Settings, stop: asyncio.Event, metrics: Registry, *, resume: frozenset[str] = frozenset()
) -> None:
    """Polls all configured accounts until `stop`; `resume` names those that a person lets continue after a stop."""
    accounts = settings.poll.accounts
    if len({checkpoint_key(account) for account in accounts}) < len(accounts):
        raise SettingsError("two entries name the same account - at `$.poll.accounts`")
    names = [name_of(account) for account in accounts]
    if unknown := sorted(resume.difference(names)):
        raise SettingsError(_not_polled(unknown[0], names))
    if not accounts:
        _log.warning("there is nothing to poll: no [[poll.accounts]] in the settings")
    async with _poller_factory(settings, metrics) as make:
        known = await _checkpoints(settings.kafka, stop)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for account in accounts:
                checkpoint = known.get(checkpoint_key(account)) or first_checkpoint(account, time.time())
                if name_of(account) in resume:
                    checkpoint = planner.resumed(checkpoint)
                poller = make(account, checkpoint)
                tasks.append(group.create_task(poller.run(), name=f"poll-{account.vendor}-{name_of(account)}"))
            await stop.wait()
            for task in tasks:
                task.cancel()


async def fetch(
    settings: Settings, stop: asyncio.Event, metrics: Registry, *, calls: tuple[tuple[str, str], ...]
) -> None:
    """Pulls single calls, given as account and call id, and publishes them.

    Raises `Unavailable` `not_found` for a call that is not found, and SettingsError for an account that is not polled.
    """
    accounts = {name_of(account): account for account in settings.poll.accounts}
    for name, _ in calls:
        if name not in accounts:
            raise SettingsError(_not_polled(name, accounts))
    async with _poller_factory(settings, metrics) as make:
        for name, call_id in calls:
            poller = make(accounts[name], Checkpoint(settled_s=0))
            found = asyncio.create_task(poller.fetch_call(call_id))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({found, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not found.done():
                found.cancel()
                return
            if not found.result():
                raise Unavailable(f"{accounts[name].vendor} has no such call", code="not_found")
            _log.info("fetched one call vendor=%s account=%s", accounts[name].vendor, name)


async def fetch_known(
    settings: Settings, metrics: Registry, name: str, call_ids: Iterable[str]
) -> AsyncIterator[tuple[str, str]]:
    """Pulls calls of an account that ended long ago, each asked for once, and publishes them.

    Yields each id with "" or the reason why the vendor does not give the call. Raises `SettingsError` for an account
    that is not polled, and `Unavailable` for Kafka.
    """
    accounts = {name_of(account): account for account in settings.poll.accounts}
    if name not in accounts:
        raise SettingsError(_not_polled(name, accounts))
    async with _poller_factory(settings, metrics) as make:
        poller = make(accounts[name], Checkpoint(settled_s=0))
        for call_id in call_ids:
            try:
                found = await poller.fetch_call(call_id, once=True)
            except Unavailable as exc:
                yield call_id, exc.code
            else:
                yield call_id, "" if found else "not_found"
            await asyncio.sleep(accounts[name].min_gap_s)


@contextlib.asynccontextmanager
async def _poller_factory(settings: Settings, metrics: Registry) -> AsyncIterator[PollerFactory]:
    """Yields a function that makes pollers, over the client and publisher that all of them share."""
    async with (
        client(settings.poll.timeout_s) as session,
        KafkaPublisher(
            settings.kafka,
            deadline_s=settings.ingress.publish_timeout_s,
            max_buffer_bytes=settings.ingress.max_buffer_bytes,
            max_value_bytes=MAX_MESSAGE_BYTES,
            topics=(RAW.name, POLLS.name),
            role="poll",
        ) as publisher,
    ):

        def make(account: PollAccount, checkpoint: Checkpoint) -> Poller:
            return Poller(
                account,
                poll=_poll_of(account),
                publisher=publisher,
                session=session,
                settings=settings.poll,
                metrics=metrics,
                checkpoint=checkpoint,
            )

        yield make


def first_checkpoint(account: PollAccount, now_s: float) -> Checkpoint:
    """Returns the start of an account without a checkpoint; raises `SettingsError` for a time that cannot be read."""
    if not account.start_at:
        return planner.fresh(account, now_s)
    try:
        at = datetime.fromisoformat(account.start_at)
    except ValueError as exc:
        raise SettingsError(f"{exc} - at `$.poll.accounts[{account.vendor} {name_of(account)}].start_at`") from exc
    return planner.fresh(account, now_s, int(at.replace(tzinfo=at.tzinfo or UTC).timestamp()))


def _poll_of(account: PollAccount) -> Poll:
    poll = VENDORS[account.vendor].poll
    if poll is None:
        raise SettingsError(f"{account.vendor} has no pull API - at `$.poll.accounts`")
    return poll


def _not_polled(name: str, polled: Iterable[str]) -> str:
    return f"no account {name!r} is polled, but {', '.join(polled) or 'none at all'} - at `$.poll.accounts`"


async def _checkpoints(kafka: KafkaSettings, stop: asyncio.Event) -> dict[bytes, Checkpoint]:
    """Returns the checkpoints as soon as Kafka is there; none when `stop` came first."""
    said = ""
    while not stop.is_set():
        try:
            return await read_checkpoints(kafka)
        except Unavailable as exc:
            if str(exc) != said:
                said = str(exc)
                _log.warning("%s: %s", exc.code, said)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _KAFKA_RETRY_S)
    return {}
