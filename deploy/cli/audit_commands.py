"""The command that lists the audit trail."""

import asyncio
from datetime import datetime

import click

from deploy.cli.options import UTC_TIME, Options, pass_options, plainly
from deploy.runtime import resolved
from schemas.enums import AuditEvent


@click.group()
def audit() -> None:
    """Look at the audit trail: who was refused, and who changed what by hand."""


@audit.command("list")
@click.option("--since", type=UTC_TIME, help="UTC time of the first entry; else all.")
@click.option(
    "--event",
    type=click.Choice([one.value for one in AuditEvent], case_sensitive=False),
    help="Only entries of this kind.",
)
@pass_options
@plainly
def list_(options: Options, since: datetime | None, event: str | None) -> None:
    """List entries of calls.audit, the oldest first, one a line."""
    from deploy.admin.audit import entries, line  # noqa: PLC0415 - each command loads only its own part

    kafka = resolved(options.settings()).kafka
    found = asyncio.run(entries(kafka, since=since, event=AuditEvent(event) if event else None))
    for entry in found:
        click.echo(line(entry))
    if not found:
        click.echo("no such entries", err=True)
