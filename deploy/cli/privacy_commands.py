"""The commands on the data of one person or of one account: erase, export."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from deploy.cli.options import Options, pass_options, plainly
from deploy.output.printable import printable
from deploy.runtime import resolved
from schemas.errors import CallweaveError

_NUMBER = click.option(
    "--number", metavar="NUMBER", help="The number, best with + and country code; - reads it from standard input."
)


@click.command()
@_NUMBER
@click.option("--account", metavar="NAME", help="A configured account, all of which is erased.")
@click.option("--scope-account", metavar="NAME", default="", help="With --number: only in this configured account.")
@click.option("--reason", required=True, help="Why, for the audit trail and the proof; never the number itself.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only count what would be erased.")
@click.option(
    "--proof",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the proof; else erasure-TIME.json in this directory.",
)
@click.option("--scan-limit", type=click.IntRange(min=0), default=1_000_000, show_default=True, help="Records that are counted at most on each topic that nobody can change.")  # fmt: skip
@click.option("--wait-s", type=click.FloatRange(min=0), default=3600.0, show_default=True, help="Give up after so many seconds.")  # fmt: skip
@pass_options
@plainly
def erase(
    options: Options,
    number: str | None,
    account: str | None,
    scope_account: str,
    reason: str,
    yes: bool,  # noqa: FBT001 - click passes it so
    dry_run: bool,  # noqa: FBT001 - click passes it so
    proof: Path | None,
    scan_limit: int,
    wait_s: float,
) -> None:
    """Erase a number, or all of an account, as far as it was received until now; write a proof.

    Tables, topics, spools and dead letters are gone through, and the number does not come back by a replay. What cannot
    be changed is named with the time at which it is gone. Run it again after an interruption. Exit code 1 where
    something is left that should not be.
    """
    from deploy.admin.erasing.erase import EraseRequest, erased  # noqa: PLC0415
    from deploy.admin.erasing.erasure_proof import encoded, write_private  # noqa: PLC0415 - each command loads its own part

    _check(number, account, scope_account)
    given = _read(number) if number is not None else ""
    settings = resolved(options.settings())
    if not (yes or dry_run):
        _ask(number, account)
    request = EraseRequest(
        number=given,
        account=account or scope_account,
        reason=reason,
        dry_run=dry_run,
        scan_limit=scan_limit,
        wait_s=wait_s,
    )
    done = asyncio.run(erased(settings, request, _tell))
    path = proof or (None if dry_run else Path(f"erasure-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"))
    if path is not None:
        write_private(path, encoded(done))
    for line in done.lines():
        click.echo(printable(line))
    if path is not None:
        click.echo(printable(f"proof: {path}"))
    if not done.complete:
        raise CallweaveError("something is still there: run it again, and see the proof", code="erasure")


@click.command()
@_NUMBER
@click.option("--account", metavar="NAME", default="", help="Only in this configured account.")
@click.option(
    "--output", required=True, metavar="FILE", help="The file, which only you can read; - is standard output."
)
@click.option("--reason", default="", help="Why, for the audit trail.")
@pass_options
@plainly
def export(options: Options, number: str | None, account: str, output: str, reason: str) -> None:
    """Write all rows about a number, for an access request: one row a line, as JSON with its table's name.

    Rows name the other party of a call, too, who is another person.
    """
    from deploy.admin.erasing.erasure_proof import private_file  # noqa: PLC0415
    from deploy.admin.erasing.number_export import exported  # noqa: PLC0415

    if number is None:
        raise click.UsageError("--number is wanted")
    given, settings = _read(number), resolved(options.settings())
    if output == "-":
        counted = asyncio.run(exported(settings, given, account, sys.stdout.buffer, reason))
    else:
        with private_file(Path(output)) as target:
            counted = asyncio.run(exported(settings, given, account, target, reason))
    told = ", ".join(f"{name}: {count}" for name, count in counted.items())
    click.echo(f"exported {counted.total()} rows{f' ({told})' if told else ''}", err=True)


def _check(number: str | None, account: str | None, scope_account: str) -> None:
    if (number is None) == (account is None):
        raise click.UsageError("one of --number and --account is wanted")
    if account is not None and (scope_account or not account):
        raise click.UsageError("--account wants a name, and --scope-account goes with --number")


def _ask(number: str | None, account: str | None) -> None:
    if number == "-":
        raise click.UsageError("--yes is wanted where the number comes from standard input")
    what = f"everything of the account {account}" if account else "this number"
    click.confirm(f"Erase {what} for good?", abort=True, err=True)


def _read(number: str) -> str:
    """Returns the number, from standard input for "-", so that it stands in no list of processes."""
    text = (sys.stdin.readline() if number == "-" else number).strip()
    if not text:
        raise click.BadParameter("a number is wanted", param_hint="--number")
    if not text.startswith(("+", "00")):
        _tell("taken as it is written: a number of a country is found in all its forms with + and country code")
    return text


def _tell(sentence: str) -> None:
    click.echo(printable(sentence), err=True)
