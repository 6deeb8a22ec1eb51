"""The commands on records whose final contents contradict each other."""

import asyncio
from datetime import UTC, datetime

import click

from deploy.cli.options import UTC_TIME, Options, pass_options, plainly
from deploy.output.printable import printable
from deploy.runtime import resolved
from schemas.vendors import VENDORS


@click.group()
def conflicts() -> None:
    """List records whose final contents contradict each other, and decide which content counts."""


@conflicts.command("list")
@click.option("--vendor", type=click.Choice([*VENDORS]), help="Only this vendor's.")
@click.option("--since", type=UTC_TIME, help="UTC time from which on one of the contents was received.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many records.")
@click.option("--all", "resolved_too", is_flag=True, help="The resolved ones too.")
@pass_options
@plainly
def list_(options: Options, **filters: object) -> None:
    """List records with their contents, the last received first; a star marks the content that the views show."""
    from deploy.admin.conflicts import lines, listed  # noqa: PLC0415 - each command loads only its own part

    found = asyncio.run(listed(resolved(options.settings()), **filters))
    for conflict in found:
        click.echo("\n".join(lines(conflict)))
    if not found:
        click.echo("no record is in conflict", err=True)
    elif len(found) == filters["limit"]:
        click.echo(f"the last {len(found)}: there may be more (--limit)", err=True)


@conflicts.command()
@click.argument("record_id")
@click.option("--keep", required=True, metavar="DIGEST", help="The content that counts; its first digits are enough.")
@click.option("--note", default="", help="Why, for whoever reads the raw log.")
@click.option("--forgotten-too", is_flag=True, help="Also a record that is older than join.horizon_s and was replayed.")
@pass_options
@plainly
def resolve(options: Options, record_id: str, keep: str, note: str, forgotten_too: bool) -> None:  # noqa: FBT001 - click passes it so
    """Decide which content of a record counts; RECORD_ID and DIGEST as `conflicts list` prints them.

    The decision is a record on calls.raw and is processed like all others.
    """
    from deploy.admin.conflicts import resolved as decided  # noqa: PLC0415

    settings = resolved(options.settings())
    report = asyncio.run(decided(settings, record_id, keep, note, datetime.now(UTC), forgotten_too=forgotten_too))
    click.echo(printable(report, keep="\n"))
