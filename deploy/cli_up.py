"""The commands around the running system: up, simulate, doctor."""

import asyncio
import sys

import click

from deploy.command import Options, pass_options, plainly
from deploy.runtime import EXIT_FAILED, resolved


@click.command()
@click.option(
    "--simulator/--no-simulator",
    default=True,
    show_default=True,
    help="Send traffic of all vendors, or wait for real ones.",
)
@click.option("--rate", default=5.0, show_default=True, help="Calls a second that the simulator makes.")
@click.option("--seed", type=int, help="Of the simulator; else another one each time.")
@click.option("--plain", is_flag=True, help="A line every few seconds instead of the live view.")
@pass_options
@plainly
def up(options: Options, simulator: bool, rate: float, seed: int | None, plain: bool) -> None:  # noqa: FBT001 - click passes it so
    """Run everything on this machine: Kafka, ClickHouse, ingress, processors, sink, poller.

    What has an address in the settings is used, not started. Data stays in embedded.data_dir (.callweave): starting again
    goes on from there. Ctrl-C stops all of it in order.
    """
    from deploy.up import UpOptions, run_up  # noqa: PLC0415 - each command loads only its own part

    wanted = UpOptions(
        simulator=simulator,
        rate=rate,
        seed=seed,
        plain=plain or not sys.stdout.isatty(),
    )
    sys.exit(run_up(options.settings(), wanted))


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where to send to.")
@click.option("--vendors", default="", help="Comma separated; all by default.")
@click.option("--rate", default=10.0, show_default=True, help="Calls a second.")
@click.option("--calls", default=1000, show_default=True, help="How many calls; 0: until Ctrl-C.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same calls.")
@click.option("--getcdr-port", default=0, help="Serve the pull API here for a poller; 0: not.")
@click.option(
    "--ledger", type=click.Path(dir_okay=False), help="Write what was sent and what must come of it to this file."
)
def simulate(url: str, vendors: str, rate: float, calls: int, seed: int, getcdr_port: int, ledger: str | None) -> None:
    """Send realistic traffic of any vendor to any address, with repeats, disorder and broken bodies."""
    from deploy.simulating import run_simulator  # noqa: PLC0415

    sys.exit(
        run_simulator(
            url=url, vendors=vendors, rate=rate, calls=calls, seed=seed, getcdr_port=getcdr_port, ledger=ledger
        )
    )


@click.command()
@pass_options
@plainly
def doctor(options: Options) -> None:
    """Check Python, Java, ports, disk, Kafka, ClickHouse and clock, and say what to do; exit code 1 when something is bad."""
    from deploy.doctor import examine  # noqa: PLC0415

    settings = options.settings()
    resolved(settings)
    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    found = asyncio.run(examine(settings))
    for finding in found:
        click.echo(f"{marks[finding.state]}  {finding.what}: {finding.detail}")
        if finding.advice:
            click.echo(f"      {finding.advice}")
    sys.exit(EXIT_FAILED if any(finding.state == "bad" for finding in found) else 0)
