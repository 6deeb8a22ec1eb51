"""The commands on stored data: tables, topics, replays, dead letters."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from deploy.cli.options import UTC_TIME, Options, pass_options, plainly
from deploy.output.printable import printable
from deploy.runtime import resolved
from schemas.enums import AuditEvent
from schemas.errors import DEAD_CODES, SetupError
from schemas.vendors import VENDORS

_STAGES = ("normalise", "join", "sink")
_CODES = f"Only with this code: {', '.join(sorted(DEAD_CODES))}."
_STAGE = f"Only of this stage: {', '.join(_STAGES)}."


@click.command()
@click.option("--grants", is_flag=True, help="Only print the rights that each account needs, as SQL.")
@pass_options
@plainly
def migrate(options: Options, grants: bool) -> None:  # noqa: FBT001 - click passes it so
    """Create or update the tables and views in ClickHouse.

    --grants prints statements for an administrator of a ClickHouse of yours, for the configured database, cluster and
    accounts; it changes nothing and asks no server.
    """
    from sinks.grants import document  # noqa: PLC0415 - each command loads only its own part
    from sinks.migrate import migrate_tables  # noqa: PLC0415

    if grants:
        click.echo(document(options.settings().clickhouse), nl=False)
        return
    applied = asyncio.run(migrate_tables(resolved(options.settings())))
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do: all migrations are applied")


@click.group(invoke_without_command=True)
@click.option("--create", is_flag=True, help="Create the missing ones.")
@click.pass_context
@plainly
def topics(context: click.Context, create: bool) -> None:  # noqa: FBT001 - click passes it so
    """Show the topics and how they differ from their contract; exit code 1 when they do."""
    if context.invoked_subcommand:
        return
    options: Options = context.obj
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
        click.echo(printable(sentence), err=True)
    if found:
        raise SystemExit(1)


@topics.command()
@click.option("--part", "parts", multiple=True, metavar="PART", help="Only of this part or command; several times.")
@click.option(
    "--user", "users", multiple=True, metavar="PART=NAME", help="The user of a part; User:CN=... is possible."
)
@click.option("--table", is_flag=True, help="A table for people instead of commands.")
@click.option("--command-config", default="admin.properties", show_default=True, help="The administrator's login.")
@pass_options
@plainly
def acls(options: Options, parts: tuple[str, ...], users: tuple[str, ...], table: bool, command_config: str) -> None:  # noqa: FBT001 - click passes it so
    """Print the commands that grant each part and command its rights on Kafka, and no more; nothing is changed.

    The users are callweave-ingress, callweave-poll, callweave-process and callweave-sink, and callweave-admin for the
    commands of people, unless --user names others.
    """
    from deploy.kafka.acl_commands import acl_commands  # noqa: PLC0415
    from schemas.kafka.rights import ROLE  # noqa: PLC0415
    from schemas.kafka.rights import table as as_table  # noqa: PLC0415

    named = dict(pair.split("=", 1) for pair in users if "=" in pair)
    if len(named) < len(users) or not all(named.values()):
        raise click.BadParameter("PART=NAME is wanted, each part once", param_hint="--user")
    for hint, given in (("--part", parts), ("--user", named)):
        if unknown := [name for name in given if name not in ROLE]:
            raise click.BadParameter(f"{unknown[0]!r} is none of: {', '.join(ROLE)}", param_hint=hint)
    roles = [ROLE[name] for name in parts or ROLE]
    if table:
        click.echo(as_table(roles))
        return
    bootstrap = resolved(options.settings()).kafka.bootstrap
    click.echo("\n".join(acl_commands(roles, named, bootstrap=bootstrap, command_config=command_config)))


@click.command()
@click.option("--since", type=UTC_TIME, required=True, help="UTC time of the first raw record.")
@click.option("--until", type=UTC_TIME, help="UTC time after the last one; else now.")
@click.option("--vendor", type=click.Choice([*VENDORS]), help="Only this vendor's.")
@click.option("--reason", default="", help="Why, for the audit trail.")
@pass_options
@plainly
def replay(options: Options, since: datetime, until: datetime | None, vendor: str | None, reason: str) -> None:
    """Normalise a part of calls.raw again, with this release's vendor modules.

    An item that comes out the same is published again in its current version; one that a corrected vendor module reads
    better becomes a new version. Nothing is counted twice: the identity and the position of an item are those of its
    raw record.
    """
    from deploy.admin.audit import note  # noqa: PLC0415
    from deploy.admin.schema_registry import codecs_from  # noqa: PLC0415
    from processors.replay import Replayed  # noqa: PLC0415
    from processors.replay import replay as run  # noqa: PLC0415

    settings = resolved(options.settings())
    last = until or datetime.now(UTC)
    if since >= last:
        raise click.BadParameter(f"{since} is not before {last}", param_hint="--since")

    async def replayed() -> Replayed:
        codecs = await codecs_from(settings)
        stretch = {"since": since.isoformat(), "until": last.isoformat(), "vendor": vendor or ""}
        await note(settings.kafka, AuditEvent.REPLAYED, part="replay", reason=reason, details=stretch)
        return await run(settings, since, last, vendor or "", codecs)

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
@click.option("--reason", default="", help="Why, for the audit trail.")
@pass_options
@plainly
def replay_(options: Options, letter_ids: tuple[str, ...], reason: str, **filters: object) -> None:
    """Send the bodies of dead letters to the topics they came from, each once, and mark the dead letters resolved.

    Name dead letters, or choose them by options; without either, the newest ones that are not resolved. A body that is
    still unreadable becomes a new dead letter.
    """
    from deploy.admin.dead_letters import replayed  # noqa: PLC0415

    sent, count = asyncio.run(replayed(resolved(options.settings()), letter_ids, reason=reason, **filters))
    click.echo(f"{sent} bodies sent again for {count} dead letters")
    if not letter_ids and count == filters["limit"]:
        click.echo(f"the newest {count}: there may be more, say it again for them", err=True)
