"""The command that prints the token of a phone number, by which rows are found without the number."""

import re
from collections.abc import Iterable
from typing import Final

import click

from deploy.cli.options import Options, pass_options, plainly
from deploy.output.printable import printable
from deploy.runtime import resolved
from schemas.config.settings import Settings
from schemas.errors import SetupError
from schemas.privacy.tokens import NumberTokens

_SPACING: Final = re.compile(r"[\s().-]+")


@click.command()
@click.argument("number")
@click.option("--account", default="", help="The name of the account; without one, rows that no account let in.")
@pass_options
@plainly
def token(options: Options, number: str, account: str) -> None:
    """Print the token of a phone number, as the columns *_token of its account have it.

    NUMBER as in from_number: E.164 with its +, or the digits as they were sent; spaces, dots, dashes and brackets do
    not count. `-` reads numbers from stdin, one a line, so that none stands in the process list or in the shell's
    history.
    """
    settings = resolved(options.settings())
    tokens = NumberTokens(settings.privacy.key.value)
    if not tokens:
        raise SetupError(
            "there are no tokens, because there is no key of them",
            code="key",
            advice="Set privacy.key as it is set for the sink; `callweave up` makes one at its first start here.",
        )
    if account not in ("", *_accounts(settings)):
        click.echo(printable(f"note: no account of the settings is called {account!r}"), err=True)
    for one in _given(number):
        if not one.startswith("+"):
            click.echo("note: without a + this is no E.164 number, but digits as they were sent", err=True)
        click.echo(tokens.of(account, one))


def _accounts(settings: Settings) -> Iterable[str]:
    return (
        *(account.name for account in settings.accounts),
        *(polled.account or polled.app_id for polled in settings.poll.accounts),
    )


def _given(number: str) -> list[str]:
    lines = click.get_text_stream("stdin").read().splitlines() if number == "-" else [number]
    found = [bare for line in lines if (bare := _SPACING.sub("", line))]
    if not found:
        raise SetupError("a phone number is wanted", code="usage", advice="Give one as +8613000001234, or - for stdin.")
    return found
