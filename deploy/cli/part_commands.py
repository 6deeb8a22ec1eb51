"""The commands that run one part: ingress, poll, process, sink."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import click

from deploy.admin.schema_registry import codecs_from
from deploy.cli.options import Options, open_option, pass_options, plainly
from deploy.process.reloading import Rereading, block_hangups
from deploy.runtime import BLOCKED_S, Part, log_to_stderr, require_good, resolved, run_part
from schemas.codec import Codecs
from schemas.config.live import LiveSettings
from schemas.config.settings import Settings
from schemas.config.taking_effect import Plan, Reader
from schemas.enums import AuditEvent
from schemas.metrics import Registry


def _run(
    read: Callable[[], Settings],
    name: str,
    part: Callable[[LiveSettings], Part],
    *,
    metrics_port: Callable[[Settings], int] = lambda _settings: 0,
    blocked_s: Callable[[Settings], float] = lambda _settings: BLOCKED_S,
    reader: Callable[[Settings], Reader],
    anew: Callable[[Sequence[str]], tuple[str, ...]] = tuple,
    may_be_open: bool = True,
) -> None:
    """Runs a part with the settings that `read` returns, and returns again at each SIGHUP.

    `anew` makes the arguments of a new process from those of this one: none if the part needs none.
    """
    block_hangups()  # until the part has its handler: a SIGHUP must not end it
    settings = resolved(read())
    live = LiveSettings(settings)
    rereading = Rereading(
        live=live,
        reader=reader(settings),
        reread=lambda: resolved(read()),
        require_good=partial(require_good, may_be_open=may_be_open),
        report=partial(_noted, live, name),
        anew=anew(sys.orig_argv[1:]),
    )
    port, blocked = metrics_port(settings), blocked_s(settings)
    sys.exit(run_part(part(live), settings, metrics_port=port, name=name, blocked_s=blocked, rereading=rereading))


async def _noted(live: LiveSettings, name: str, found: Plan) -> None:
    """Writes into the audit trail which settings of a running part were changed: their paths, never a value."""
    from deploy.admin.audit import note  # noqa: PLC0415 - few processes read their settings again

    paths = {"applied": found.applied, "renewed": found.renewed, "restart": found.restart}
    details = {what: " ".join(which) for what, which in paths.items()}
    await note(live.current.kafka, AuditEvent.SETTINGS_RELOADED, part=name, details=details)


def with_codecs(run: Callable[[Settings, asyncio.Event, Registry, Codecs], Awaitable[None]]) -> Part:
    """Returns a part that reads and writes Avro, with the versions and ids that the settings say."""

    async def part(settings: Settings, stop: asyncio.Event, metrics: Registry) -> None:
        await run(settings, stop, metrics, await codecs_from(settings))

    return part


def without_resume(arguments: Sequence[str]) -> tuple[str, ...]:
    """Returns the arguments without `--resume`: it was for the stops before this start, and not for later ones."""
    kept: list[str] = []
    left_out = 0
    for argument in arguments:
        if left_out or argument == "--resume" or argument.startswith("--resume="):
            left_out = 1 if argument == "--resume" and not left_out else 0
        else:
            kept.append(argument)
    return tuple(kept)


@click.command()
@open_option
@pass_options
@plainly
def ingress(options: Options, to_all: bool) -> None:  # noqa: FBT001 - click passes it so
    """Receive vendors' pushes and publish them to calls.raw.

    A vendor gets its success answer only when the body is on all in-sync replicas of Kafka, or on this machine's disk
    (see `callweave spool`). SIGTERM drains; SIGHUP reads the settings again, and replaces the workers of
    `ingress.workers` one after the other.
    """
    from ingress.workers.pool import run_workers  # noqa: PLC0415 - each command loads only its own part

    _run(
        partial(options.listening, to_all=to_all),
        "ingress",
        lambda live: partial(run_workers, prepare=_log_of_worker, live=live),
        may_be_open=to_all,
        reader=lambda settings: "ingress" if settings.ingress.workers == 1 else "ingress workers",
        anew=lambda _: (),
    )


def _log_of_worker(settings: Settings) -> None:
    log_to_stderr(settings.log, "ingress")


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
    _run(
        options.settings,
        "poll",
        lambda _: part,
        metrics_port=lambda settings: settings.poll.metrics_port,
        reader=lambda _: "poll",
        anew=(lambda _: ()) if calls else without_resume,  # a single call is pulled once
    )


@click.command()
@pass_options
@plainly
def process(options: Options) -> None:
    """Normalise and join: calls.raw to calls.facts to calls.normalized and calls.timelines.

    Run as many as there are cores or machines, up to the number of partitions.
    """
    from processors.main import run  # noqa: PLC0415

    _run(
        options.settings,
        "process",
        lambda live: with_codecs(partial(run, live=live)),
        metrics_port=lambda settings: settings.process.metrics_port,
        blocked_s=lambda settings: settings.process.blocked_s,
        reader=lambda _: "process",
    )


@click.command()
@pass_options
@plainly
def sink(options: Options) -> None:
    """Batch calls.normalized, calls.timelines and calls.dead into ClickHouse.

    While ClickHouse is away it waits; offsets move only after the inserts are acknowledged.
    """
    from sinks.main import run  # noqa: PLC0415

    _run(
        options.settings,
        "sink",
        lambda _: with_codecs(run),
        metrics_port=lambda settings: settings.sink.metrics_port,
        reader=lambda _: "sink",
    )
