"""The commands on stored data: tables, topics, replays, dead letters."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from deploy.admin.printable import printable
from deploy.cli.options import UTC_TIME, Options, pass_options, plainly
from deploy.runtime import resolved
from schemas.errors import DEAD_CODES, SetupError
from schemas.vendors import VENDORS

_STAGES = ("normalise", "join", "sink")
_CODES = f"Only with this code: {', '.join(sorted(DEAD_CODES))}."
_STAGE = f"Only of this stage: {', '.join(_STAGES)}."


@click.command()
@pass_options
@plainly
def migrate(options: Options) -> None:
    """Create or update the tables and views in ClickHouse."""
    from sinks.migrate import migrate_tables  # noqa: PLC0415 - each command loads only its own part

    applied = asyncio.run(migrate_tables(resolved(options.settings())))
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do: all migrations are applied")


@click.command()
@click.option("--create", is_flag=True, help="Create the missing ones.")
@pass_options
@plainly
def topics(options: Options, create: bool) -> None:  # noqa: FBT001 - click passes it so
    """Show the topics and how they differ from their contract; exit code 1 when they do."""
    from deploy.admin.topic_setup import create_topics, differences  # noqa: PLC0415
    from schemas.topics import TOPICS  # noqa: PLC0415

    kafka = resolved(options.settings()).kafka
    if create:
        made = asyncio.run(create_topics(kafka))
        click.echo("\n".join(f"created {name}" for name in made) or "nothing to create")
    for topic in TOPICS:
        click.echo(f"{topic.name:24} {topic.cleanup:8} {topic.value}  (key: {topic.key})")
    found = asyncio.run(differences(kafka))
    for sentence in found:
        click.echo(sentence, err=True)
    if found:
        raise SystemExit(1)


@click.command()
@click.option("--since", type=UTC_TIME, required=True, help="UTC time of the first raw record.")
@click.option("--until", type=UTC_TIME, help="UTC time after the last one; else now.")
@click.option("--vendor", type=click.Choice([*VENDORS]), help="Only this vendor's.")
@pass_options
@plainly
def replay(options: Options, since: datetime, until: datetime | None, vendor: str | None) -> None:
    """Normalise a part of calls.raw again, with this release's vendor modules.

    An item that comes out the same is published again in its current version; one that a corrected vendor module reads
    better becomes a new version. Nothing is counted twice: the identity and the position of an item are those of its
    raw record.
    """
    from deploy.admin.schema_registry import codecs_from  # noqa: PLC0415
    from processors.replay import Replayed  # noqa: PLC0415
    from processors.replay import replay as run  # noqa: PLC0415

    settings = resolved(options.settings())
    first, last = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    if first >= last:
        raise click.BadParameter(f"{first} is not before {last}", param_hint="--since")

    async def replayed() -> Replayed:
        codecs = await codecs_from(settings.schema_registry)
        return await run(settings, first, last, vendor or "", codecs)

    done = asyncio.run(replayed())
    click.echo(f"{done.bodies} bodies, {done.facts} facts, {done.dead} dead letters")


@click.group()
def dead() -> None:
    """List dead letters, show them, and send their bodies again after a fix."""


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--vendor", help="Only this vendor's."),
        click.option("--code", type=click.Choice(sorted(DEAD_CODES)), metavar="CODE", help=_CODES),
        click.option("--stage", type=click.Choice(_STAGES), metavar="STAGE", help=_STAGE),
        click.option("--since", type=UTC_TIME, help="UTC time from which on the bodies were received."),
        click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many."),
        click.option("--all", "resolved_too", is_flag=True, help="The resolved ones too."),
    ):
        command = option(command)
    return command


@dead.command("list")
@_filters
@pass_options
@plainly
def list_(options: Options, **filters: object) -> None:
    """List dead letters, the newest first, one a line: id, time, stage, code, vendor, what is wrong."""
    from deploy.admin.dead_letters import listed  # noqa: PLC0415

    found = asyncio.run(listed(resolved(options.settings()), **filters))
    for dead_letter in found:
        click.echo(dead_letter.line())
    if not found:
        click.echo("no such dead letters", err=True)
    elif len(found) == filters["limit"]:
        click.echo(f"the newest {len(found)}: there may be more (--limit)", err=True)


@dead.command()
@click.argument("letter_id")
@click.option("--raw", is_flag=True, help="Only the original bytes, to stdout.")
@pass_options
@plainly
def show(options: Options, letter_id: str, raw: bool) -> None:  # noqa: FBT001 - click passes it so
    """Show one dead letter; LETTER_ID as `dead list` prints it."""
    from deploy.admin.dead_letters import named  # noqa: PLC0415

    found = asyncio.run(named(resolved(options.settings()), letter_id))
    if raw:
        if sys.stdout.isatty():
            raise SetupError(
                "the bytes come from outside, and may control this terminal",
                code="terminal",
                advice="Send them to a file or a pipe: callweave dead show ... --raw > FILE",
            )
        click.get_binary_stream("stdout").write(found[0].original)
        return
    for dead_letter in found:
        click.echo(printable(json.dumps(dead_letter.plain(), indent=2, ensure_ascii=False, default=str), keep="\n"))


@dead.command("replay")
@click.argument("letter_ids", nargs=-1)
@_filters
@pass_options
@plainly
def replay_(options: Options, letter_ids: tuple[str, ...], **filters: object) -> None:
    """Send the bodies of dead letters to the topics they came from, each once, and mark the dead letters resolved.

    Name dead letters, or choose them by options; without either, the newest ones that are not resolved. A body that is
    still unreadable becomes a new dead letter.
    """
    from deploy.admin.dead_letters import replayed  # noqa: PLC0415

    sent, count = asyncio.run(replayed(resolved(options.settings()), letter_ids, **filters))
    click.echo(f"{sent} bodies sent again for {count} dead letters")
    if not letter_ids and count == filters["limit"]:
        click.echo(f"the newest {count}: there may be more, say it again for them", err=True)
