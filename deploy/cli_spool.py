"""The commands on the ingress's spool: what is on this machine's disk because Kafka did not take it in time."""

from pathlib import Path

import click

from deploy.command import Options, pass_options, plainly
from deploy.runtime import resolved


@click.group()
def spool() -> None:
    """Look at what waits on this machine's disk for Kafka."""


@spool.command()
@pass_options
@plainly
def status(options: Options) -> None:
    """Depth, bytes and age of each worker's spool, and whose bodies they are; also while the ingress runs."""
    from deploy.spooled import now, statuses  # noqa: PLC0415 - each command loads only its own part

    found = statuses(resolved(options.settings()))
    for one in found:
        click.echo("\n".join(one.lines(now())))
    if not found:
        click.echo("no ingress ever had a spool here")


@spool.command()
@pass_options
@plainly
def drain(options: Options) -> None:
    """Send everything to Kafka while the ingress is stopped; a running one does that by itself."""
    from deploy.spooled import drained_now  # noqa: PLC0415

    click.echo(f"{drained_now(resolved(options.settings()))} bodies went to Kafka")


@spool.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--aside", is_flag=True, help="What can be read of the files that were set aside, too.")
@pass_options
@plainly
def export(options: Options, target: Path, aside: bool) -> None:  # noqa: FBT001 - click passes it so
    """Write every body to TARGET, a line of JSON each; nothing is removed from the spool.

    The file holds what vendors sent, phone numbers and all: it is made readable by you alone.
    """
    from deploy.spooled import exported  # noqa: PLC0415

    target.touch()
    target.chmod(0o600)
    with target.open("wb") as file:
        count = exported(resolved(options.settings()), file, aside=aside)
    click.echo(f"{count} bodies written to {target}")
