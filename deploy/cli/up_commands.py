"""The commands around the running system: up, simulate, doctor."""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from deploy.cli.options import Options, open_option, pass_options, plainly
from deploy.output.printable import printable
from deploy.process.part_process import EXIT_FAILED

_poison = click.option(
    "--poison",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of calls beside which the simulator sends what once stopped, hid or falsified a call.",
)


@click.command()
@click.option(
    "--simulator/--no-simulator",
    default=True,
    show_default=True,
    help="Send traffic of all vendors, or wait for real ones.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Requests a second that the simulator sends.",
)
@click.option("--seed", type=int, help="Seed of the simulator's random choices; default: another one each time.")
@_poison
@click.option("--plain", is_flag=True, help="A line every few seconds instead of the live view.")
@open_option
@pass_options
@plainly
def up(options: Options, plain: bool, to_all: bool, **traffic: Any) -> None:  # noqa: FBT001 - click passes it so
    """Run everything on this machine: Kafka, ClickHouse, ingress, processors, sink, poller.

    A server that has an address in the settings is used, not started. Data stays in embedded.data_dir (.callweave), and
    the next start continues with it. Ctrl-C stops everything in order; SIGHUP makes every part read the settings again.
    """
    from deploy.local.up import UpOptions, run_up  # noqa: PLC0415 - each command loads only its own part

    wanted = UpOptions(plain=plain or not sys.stdout.isatty(), **traffic)
    run_up(partial(options.listening, to_all=to_all), wanted)


@click.command()
@click.option("--url", default="", help="Where to send to; else the ingress of the settings (http://127.0.0.1:8080).")
@click.option("--vendors", default="", help="Comma separated; all by default.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Requests a second; 0: as fast as they are answered.",
)
@click.option(
    "--calls", type=click.IntRange(min=0), default=1000, show_default=True, help="How many calls; 0: until Ctrl-C."
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    help="Seed of the random choices; ids and times follow the clock at the start.",
)
@click.option(
    "--getcdr-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Serve the pull API here and wait for a poller; 0: no calls of vendors that are pulled.",
)
@_poison
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, writable=True),
    help="Append what was sent and the expected outcome to this file, as JSON lines.",
)
@pass_options
@plainly
def simulate(options: Options, url: str, **asked: Any) -> None:
    """Send realistic traffic of any vendor to any address, with repeats, disorder and broken bodies.

    Each vendor repeats what was not acknowledged, with its own retries (minutes); exit code 1 when one gave up.
    """
    from deploy.process.ports import ingress_url  # noqa: PLC0415
    from deploy.simulator.main import run_simulator  # noqa: PLC0415

    ingress = options.settings().ingress
    sys.exit(run_simulator(url=url or ingress_url(ingress), **asked))


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False),
    default=".bi",
    show_default=True,
    help="Folder for Superset's environment and its own database.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8088, show_default=True, help="Where Superset answers.")
@click.option("--install-only", is_flag=True, help="Install Superset's environment, and start nothing.")
@pass_options
@plainly
def bi(options: Options, home: str, **asked: Any) -> None:
    """Show the dashboards in a Superset of its own, beside a running `callweave up`.

    The first start installs Superset there and takes up to three minutes. It prints the address, and a login that may
    look at the dashboards and do nothing else. Ctrl-C ends it.
    """
    from deploy.bi.start import BiOptions, run_bi  # noqa: PLC0415

    run_bi(options.settings(), BiOptions(home=Path(home).absolute(), **asked))


@click.command()
@pass_options
@plainly
def doctor(options: Options) -> None:
    """Check what is needed (Python, Java, ports, disk, Kafka, ClickHouse, registry, clock), and that the work moves.

    The progress comes from Kafka, in two looks some seconds apart. Each finding says what to do. Exit code 1 when one
    is bad.
    """
    from deploy.doctor.doctor import examine  # noqa: PLC0415

    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    found = asyncio.run(examine(options.settings()))
    for finding in found:
        click.echo(printable(f"{marks[finding.state]}  {finding.what}: {finding.detail}", keep="\n"))
        if finding.advice:
            click.echo(printable(f"      {finding.advice}", keep="\n"))
    sys.exit(EXIT_FAILED if any(finding.state == "bad" for finding in found) else 0)
