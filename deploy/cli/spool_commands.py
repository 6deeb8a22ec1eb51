"""The commands on the ingress's spool: the bodies on this machine's disk that Kafka did not acknowledge in time."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from deploy.cli.options import Options, pass_options, plainly
from deploy.output.printable import printable
from deploy.runtime import resolved
from schemas.errors import SetupError


@click.group()
def spool() -> None:
    """Show, send or export the bodies that wait on this machine's disk for Kafka."""


@spool.command()
@pass_options
@plainly
def status(options: Options) -> None:
    """Show the number, bytes, age and vendors of the bodies in each worker's spool; the ingress may run."""
    from deploy.admin.spools import statuses  # noqa: PLC0415 - each command loads only its own part
    from ingress.spool.folder import root  # noqa: PLC0415

    settings = resolved(options.settings())
    found = statuses(settings)
    for one in found:
        click.echo("\n".join(map(printable, one.lines(datetime.now(UTC)))))
    if not found:
        click.echo(f"no ingress ever had a spool in {root(settings)}")


@spool.command()
@pass_options
@plainly
def drain(options: Options) -> None:
    """Send all bodies to Kafka while the ingress is stopped; a running ingress does that itself.

    Bodies that the broker refused as too large are sent again only by this command: raise the topic's max.message.bytes
    first.
    """
    from deploy.admin.spools import drained  # noqa: PLC0415

    click.echo(f"{asyncio.run(drained(resolved(options.settings())))} bodies went to Kafka")


@spool.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--aside", is_flag=True, help="Also what can be read of the files that were set aside.")
@pass_options
@plainly
def export(options: Options, target: Path, aside: bool) -> None:  # noqa: FBT001 - click passes it so
    """Write every body to TARGET, a line of JSON each; nothing is removed from the spool.

    The file has phone numbers in it, as vendors sent them: only you can read it.
    """
    from deploy.admin.spools import exported  # noqa: PLC0415

    settings = resolved(options.settings())
    try:
        with _private(target) as file:
            target.chmod(0o600)  # an existing file may be readable by others
            count = exported(settings, file, aside=aside)
    except OSError as exc:
        raise SetupError(f"{target} cannot be written: {exc.strerror}", advice="Name another file.") from exc
    click.echo(f"{count} bodies written to {target}")


def _private(target: Path) -> BinaryIO:
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
