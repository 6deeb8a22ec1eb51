"""The commands that run one part: ingress, poll, process, sink."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import click

from deploy.admin.schema_registry import codecs_from
from deploy.cli.options import Options, pass_options, plainly
from deploy.runtime import BLOCKED_S, Part, log_to_stderr, resolved, run_part
from schemas.codec import Codecs
from schemas.config.settings import Settings
from schemas.metrics import Registry


def _run(
    options: Options,
    name: str,
    part: Part,
    *,
    metrics_port: Callable[[Settings], int] = lambda _settings: 0,
    blocked_s: Callable[[Settings], float] = lambda _settings: BLOCKED_S,
) -> None:
    settings = resolved(options.settings())
    port, blocked = metrics_port(settings), blocked_s(settings)
    sys.exit(run_part(part, settings, metrics_port=port, name=name, blocked_s=blocked))


def with_codecs(run: Callable[[Settings, asyncio.Event, Registry, Codecs], Awaitable[None]]) -> Part:
    """Returns a part that writes or reads Avro with the ids of the configured schema registry."""

    async def part(settings: Settings, stop: asyncio.Event, metrics: Registry) -> None:
        await run(settings, stop, metrics, await codecs_from(settings.schema_registry))

    return part


@click.command()
@pass_options
@plainly
def ingress(options: Options) -> None:
    """Receive vendors' pushes and publish them to calls.raw.

    A vendor gets its success answer only when the body is on all in-sync replicas of Kafka, or on this machine's disk
    (see `callweave spool`). SIGTERM drains; SIGHUP replaces the workers of `ingress.workers`, one after the other.
    """
    from ingress.workers.pool import run_workers  # noqa: PLC0415 - each command loads only its own part

    _run(options, "ingress", partial(run_workers, prepare=log_to_stderr))


@click.command()
@click.option("--resume", multiple=True, metavar="ACCOUNT", help="Let a stopped account go on, its parked windows too.")
@click.option("--call", "calls", multiple=True, nargs=2, metavar="ACCOUNT ID", help="Pull this one call, then end.")
@pass_options
@plainly
def poll(options: Options, resume: tuple[str, ...], calls: tuple[tuple[str, str], ...]) -> None:
    """Pull records from vendors that do not push, and publish their pages to calls.raw.

    The accounts are those of [[poll.accounts]]. The checkpoint is kept on Kafka and moves only after a page is
    acknowledged.
    """
    from ingress.poll.main import fetch, run  # noqa: PLC0415

    part = partial(fetch, calls=calls) if calls else partial(run, resume=frozenset(resume))
    _run(options, "poll", part, metrics_port=lambda settings: settings.poll.metrics_port)


@click.command()
@pass_options
@plainly
def process(options: Options) -> None:
    """Normalise and join: calls.raw to calls.facts to calls.normalized and calls.timelines.

    Run as many as there are cores or machines, up to the number of partitions.
    """
    from processors.main import run  # noqa: PLC0415

    _run(
        options,
        "process",
        with_codecs(run),
        metrics_port=lambda settings: settings.process.metrics_port,
        blocked_s=lambda settings: settings.process.blocked_s,
    )


@click.command()
@pass_options
@plainly
def sink(options: Options) -> None:
    """Batch calls.normalized, calls.timelines and calls.dead into ClickHouse.

    While ClickHouse is away it waits; offsets move only after the inserts are acknowledged.
    """
    from sinks.main import run  # noqa: PLC0415

    _run(options, "sink", with_codecs(run), metrics_port=lambda settings: settings.sink.metrics_port)
