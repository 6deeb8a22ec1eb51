"""The commands on the accounts of the embedded ClickHouse."""

import sys

import click

from deploy.cli.options import Options, pass_options, plainly
from deploy.output.printable import printable
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
