"""The commands on ClickHouse: the accounts of the embedded one, prefixes of numbers, and questions about calls."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from deploy.cli.options import Options, pass_options, plainly
from deploy.output.printable import printable
from deploy.runtime import resolved
from schemas.errors import SetupError


@click.group()
def clickhouse() -> None:
    """Show the accounts of the embedded ClickHouse and their passwords; change a password without a restart."""


@clickhouse.command()
@pass_options
@plainly
def accounts(options: Options) -> None:
    """Show the accounts, the purpose of each, and the addresses."""
    from deploy.admin.clickhouse_accounts import account_lines  # noqa: PLC0415 - each command loads only its own part

    click.echo(printable("\n".join(account_lines(options.settings())), keep="\n"))


@clickhouse.command()
@click.argument("name", default="reader")
@click.option("--set", "typed", is_flag=True, help="Change it: asks for the new one, or reads it from a pipe.")
@click.option("--new", "random", is_flag=True, help="Change it to a random one, and show that.")
@click.option(
    "--at-once", is_flag=True, help="End the old one of the writer or the migrator now, not at the next start."
)
@pass_options
@plainly
def password(options: Options, name: str, typed: bool, random: bool, at_once: bool) -> None:  # noqa: FBT001 - click passes it so
    """Show the password of an account, alone on stdout, or change it; the server may run or not.

    NAME is an account's name, or reader, analyst, writer or migrator. The default is the reader, callweave_reader, the
    account for people and BI tools; the analyst, callweave_analyst, sees no clear phone number. A new password is valid
    from the next login on, without a restart. The old password of the reader and the analyst ends at once. The parts
    that run use the old password of the writer and the migrator, so it stays valid until the next start; --at-once ends
    it now, and the parts fail until they are started again. Open sessions stay open.
    """
    from deploy.admin.clickhouse_accounts import change, changeable, password_of  # noqa: PLC0415
    from deploy.clickhouse.passwords import generated  # noqa: PLC0415 - each command loads only its own part

    if typed and random:
        raise click.UsageError("--set takes the password that you give, --new makes one: say one of them.")
    if at_once and not (typed or random):
        raise click.UsageError("--at-once goes with --set or --new.")
    settings = options.settings()
    if not (typed or random):
        click.echo(password_of(settings, name))
        return
    changeable(settings, name)  # before the user has typed a password twice
    wanted = _read_password() if typed else generated()
    done = change(settings, name, wanted, at_once=at_once)
    click.echo(f"{done.account.name} has a new password; the old one {done.old}", err=True)
    if random:
        click.echo(wanted)


@click.group()
def prefixes() -> None:
    """Give names, countries and kinds to the first digits of phone numbers."""


@prefixes.command("load")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Read the file and say what is wrong with it; change nothing.")
@pass_options
@plainly
def load_prefixes(options: Options, file: Path, check: bool) -> None:  # noqa: FBT001 - click passes it so
    """Make the prefixes of FILE those of v_prefixes, in the place of all that were loaded before.

    FILE is CSV in UTF-8, with commas, semicolons or tabs, and begins with the names of its columns: prefix (+8613, 8613
    or 008613), name, and, where you have them, country (two letters; else that of the calling code) and kind (mobile,
    premium, satellite ...). The longest prefix that a number begins with decides.
    """
    from deploy.analysis.prefixes import load, read_file  # noqa: PLC0415 - each command loads only its own part

    found = read_file(file)
    if check:
        click.echo(f"{len(found)} prefixes, and nothing wrong with them")
        return
    click.echo(asyncio.run(load(resolved(options.settings()).clickhouse, found)).sentence)


@click.command()
@click.argument("name", default="")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Give a parameter of the question.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option(
    "--sql", "shows_sql", is_flag=True, help="Print the query with its parameters' examples, and ask nothing."
)
@pass_options
@plainly
def query(options: Options, name: str, params: tuple[str, ...], form: str, shows_sql: bool) -> None:  # noqa: FBT001 - click passes it so
    """Ask a question about calls by its NAME; without one, list the questions.

    The questions stand in deploy/queries.sql, with the parameters of each. Times are UTC; without from and to it is the
    last day.
    """
    from deploy.analysis.asking import FORMATS, answer, listing, question_named  # noqa: PLC0415

    if not name:
        click.echo(listing())
        return
    question = question_named(name)
    if shows_sql:
        examples = "".join(f"-- {one}: {value}\n" for one, value in question.examples.items())
        click.echo(f"-- {question.asked}\n{examples}{question.sql};")
        return
    wrong = [one for one in params if "=" not in one]
    if wrong:
        raise click.UsageError(f"--param {wrong[0]}: NAME=VALUE is wanted.")
    sent = dict(one.split("=", 1) for one in params)
    names, rows = asyncio.run(answer(resolved(options.settings()).clickhouse, question, sent, datetime.now(UTC)))
    if rows:
        click.echo(FORMATS[form](names, rows))
    else:
        click.echo("nothing found", err=True)


def is_terminal() -> bool:
    """Returns True when stdin is a terminal."""
    return sys.stdin.isatty()


def _read_password() -> str:
    """Returns the password that is typed, twice and unseen, or read from a pipe, without the end of its line."""
    if is_terminal():
        return str(click.prompt("New password", hide_input=True, confirmation_prompt="Once more", err=True))
    try:
        return click.get_binary_stream("stdin").read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise SetupError("the password on stdin is not UTF-8", code="password", advice="Give it as UTF-8.") from exc
