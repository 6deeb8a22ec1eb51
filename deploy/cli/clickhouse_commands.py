"""The commands on the accounts of the embedded ClickHouse."""

import sys

import click

from deploy.admin.printable import printable
from deploy.cli.options import Options, pass_options, plainly
from schemas.errors import SetupError


@click.group()
def clickhouse() -> None:
    """Show who can log in to the embedded ClickHouse, and their passwords; change them without a restart."""


@clickhouse.command()
@pass_options
@plainly
def accounts(options: Options) -> None:
    """The accounts with what each is for, and the addresses."""
    from deploy.admin.clickhouse_accounts import account_lines  # noqa: PLC0415 - each command loads only its own part

    click.echo(printable("\n".join(account_lines(options.settings())), keep="\n"))


@clickhouse.command()
@click.argument("name", default="reader")
@click.option("--set", "asked", is_flag=True, help="Change it: asks for the new one, or reads it from a pipe.")
@click.option("--new", "by_lot", is_flag=True, help="Change it to one made by lot, and show that.")
@click.option(
    "--at-once", is_flag=True, help="End the old one of the writer or the migrator now, not at the next start."
)
@pass_options
@plainly
def password(options: Options, name: str, asked: bool, by_lot: bool, at_once: bool) -> None:  # noqa: FBT001 - click passes it so
    """Show the password of an account, alone on stdout, also while nothing runs; or change it, also while everything runs.

    NAME is an account's name or reader, writer or migrator; without one it is the reader, callweave_reader, whom people and BI
    tools log in as. A changed password is taken from the next login on, without a restart. The old one of the reader ends at
    once. The parts that run know the old one of the writer and the migrator, so it is taken until the next start; --at-once
    ends it now, and stops the parts until they are started again. Who is logged in stays so.
    """
    from deploy.admin.clickhouse_accounts import change, changeable, password_of  # noqa: PLC0415
    from deploy.clickhouse.passwords import generated  # noqa: PLC0415 - each command loads only its own part

    if asked and by_lot:
        raise click.UsageError("--set takes the password that you give, --new makes one: say one of them.")
    if at_once and not (asked or by_lot):
        raise click.UsageError("--at-once goes with --set or --new.")
    settings = options.settings()
    if not (asked or by_lot):
        click.echo(password_of(settings, name))
        return
    changeable(settings, name)  # who has typed a password twice is not told only then that it cannot be changed
    wanted = _asked() if asked else generated()
    done = change(settings, name, wanted, at_once=at_once)
    click.echo(f"{done.account.name} has a new password; the old one {done.old}", err=True)
    if by_lot:
        click.echo(wanted)


def is_terminal() -> bool:
    """Says whether somebody types at a terminal."""
    return sys.stdin.isatty()


def _asked() -> str:
    """The password that somebody types, twice and unseen, or that a pipe gives, without the end of its line."""
    if is_terminal():
        return str(click.prompt("New password", hide_input=True, confirmation_prompt="Once more", err=True))
    try:
        return click.get_binary_stream("stdin").read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise SetupError("the password on stdin is not UTF-8", code="password", advice="Give it as UTF-8.") from exc
