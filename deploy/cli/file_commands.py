"""The commands on files of records and on raw bodies: reconcile, import, raw."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from deploy.cli.options import UTC_TIME, Options, pass_options
from deploy.output.printable import printable
from deploy.process.command_end import could_not, run
from deploy.runtime import resolved
from schemas.enums import Kind
from schemas.errors import SetupError
from schemas.vendors import VENDORS

if TYPE_CHECKING:
    from deploy.reconcile.plan import Plan, Stage
    from schemas.config.settings import Settings

EXIT_DIFFERENCES: Final = 1
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)
_OUT = click.Path(path_type=Path, dir_okay=False, writable=True)


class _Amount(click.ParamType):
    """A decimal number that is not negative."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Returns the number."""
        try:
            read = Decimal(str(value))
        except ArithmeticError:
            read = Decimal(-1)
        if not (read.is_finite() and 0 <= read < 10**9):
            self.fail(f"{value!r} is no number of 0 or more", param, ctx)
        return read


def _text_of(path: Path) -> str:
    """Returns the text of a map; raises `UnreadableFile`."""
    from deploy.reconcile.rows.bounds import UnreadableFile  # noqa: PLC0415 - each command loads only its own part

    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise UnreadableFile(f"the map {path.name} is no UTF-8 text, or cannot be read") from exc


def _of_a_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument and the options that say how a file is read."""
    for option in (
        click.argument("file", type=_FILE),
        click.option(
            "--vendor", type=click.Choice([*VENDORS]), required=True, help="The vendor whose records they are."
        ),
        click.option("--account", required=True, help="Our name of the account, or the vendor's id of it."),
        click.option(
            "--map", "map_file", type=_FILE, help="What the columns are, as --show-map prints it; else guessed."
        ),
        click.option(
            "--show-map", is_flag=True, help="Only print the guess as a map, to be edited and given to --map."
        ),
        click.option("--yes", is_flag=True, help="Do not ask if the guess is right."),
        click.option("--zone", default="", help="Zone of times that name none, as Asia/Shanghai; else the vendor's."),
        click.option("--encoding", default="", help="Encoding of a text; else guessed."),
        click.option("--delimiter", default="", help="Character between the cells of a text; else guessed."),
        click.option("--sheet", default="", help="Sheet of a workbook; else the first one."),
    ):
        command = option(command)
    return command


@click.command()
@_of_a_file
@click.option("--tolerance-s", type=_Amount(), default="1", show_default=True, help="Seconds by which times and billed seconds may differ.")  # fmt: skip
@click.option("--tolerance-cost", type=_Amount(), default="0.01", show_default=True, help="Money by which costs may differ.")  # fmt: skip
@click.option("--match-s", type=_Amount(), default="5", show_default=True, help="Without ids: seconds between the starts of two records of the same numbers.")  # fmt: skip
@click.option(
    "--from", "begin", type=UTC_TIME, help="UTC time from which on the file has all records; else by its own."
)
@click.option("--to", "end", type=UTC_TIME, help="UTC time until which it has them.")
@click.option("--kind", "kinds", type=click.Choice([one.value for one in Kind], case_sensitive=False), multiple=True, metavar="KIND", help="Only our records of this kind; else of those in the file.")  # fmt: skip
@click.option("--html", "report", type=_OUT, help="Write a report that can be printed and sent.")
@click.option("--clear-numbers", is_flag=True, help="Phone numbers stand in the report as they are, not masked.")
@click.option("--backfill", is_flag=True, help="Pull the calls that only they have from the vendor, one by one.")
@pass_options
@could_not
def reconcile(options: Options, report: Path | None, **given: Any) -> None:
    """Compare the carrier's FILE (CSV, TSV, XLSX, each also gzip) with the records that are held.

    Every record of the file, and of ours in its period, gets one class: equal, within_tolerance, differs, only_theirs,
    only_ours, doubled_theirs, unreadable. They stand in v_reconciled_records, and the same file again takes the place
    of its own result. Exit codes: 0 all records agree, 1 they do not, 2 it could not run.
    """
    from deploy.reconcile.report import page  # noqa: PLC0415 - each command loads only its own part
    from deploy.reconcile.run import Choice, reconciled  # noqa: PLC0415
    from deploy.reconcile.totals import lines  # noqa: PLC0415

    settings = resolved(options.settings())
    begin, end = given["begin"], given["end"]
    _check_period(begin, end)
    if given["backfill"]:
        from deploy.reconcile.taking_in.backfill import polled  # noqa: PLC0415 - as above

        polled(settings, given["vendor"], given["account"])
    with _progress() as stage:
        plan = _plan(given, stage)
    if plan is None:
        return
    choice = Choice(
        tolerance_s=given["tolerance_s"],
        tolerance_cost=given["tolerance_cost"],
        match_s=given["match_s"],
        begin=begin,
        end=end,
        kinds=given["kinds"],
    )
    with _progress() as stage:
        done = run(reconciled(settings, plan, choice, stage))
    for line in lines(done.result):
        click.echo(printable(line))
    if not done.older_dropped:
        click.echo("the records of earlier runs of this file stay in the table: nobody here may delete them", err=True)
    if report is not None:
        _write(report, page(done.result, clear_numbers=given["clear_numbers"]))
        click.echo(printable(f"report: {report}"))
    if given["backfill"]:
        _backfill(settings, plan, done.missing)
    if not done.result.totals.agrees:
        sys.exit(EXIT_DIFFERENCES)


def _check_period(begin: datetime | None, end: datetime | None) -> None:
    if begin is not None and end is not None and begin >= end:
        raise click.BadParameter(f"{begin} is not before {end}", param_hint="--from")


def _plan(given: dict[str, Any], stage: "Stage") -> "Plan | None":
    """Returns the way to read the file, after a person agreed to it; None where only the map is wanted."""
    from deploy.reconcile.plan import FileChoice, planned  # noqa: PLC0415 - as above

    map_file: Path | None = given["map_file"]
    choice: FileChoice = FileChoice(
        path=given["file"],
        vendor=given["vendor"],
        account=given["account"],
        map_text=_text_of(map_file) if map_file else "",
        **{name: given[name] for name in ("zone", "encoding", "delimiter", "sheet")},
    )
    plan = planned(choice, stage, may_be_empty=given["show_map"])
    if given["show_map"]:
        click.echo(printable(plan.map_text(), keep="\n"), nl=False)
        return None
    for line in plan.lines():
        click.echo(printable(line), err=True)
    if given["yes"] or map_file:
        return plan
    if not sys.stdin.isatty():
        raise click.UsageError("--yes is wanted where nobody can be asked if this is right")
    click.confirm("Is that right?", default=True, abort=True, err=True)
    return plan


@contextmanager
def _progress() -> "Iterator[Stage]":
    """Yields what begins a stage with a bar on a terminal, and says its name elsewhere."""
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )

    def begin(name: str, total: int) -> Callable[[int], None]:
        if not console.is_terminal:
            click.echo(f"{name} ...", err=True)
        task = bar.add_task(name, total=total or None)
        return lambda done: bar.advance(task, done)

    with bar:
        yield begin


def _write(path: Path, text: str) -> None:
    from deploy.admin.erasing.erasure_proof import private_file  # noqa: PLC0415 - as above

    with private_file(path) as file:
        file.write(text.encode("utf-8", "replace"))


def _backfill(settings: "Settings", plan: "Plan", missing: tuple[str, ...]) -> None:
    """Pulls calls by their ids, and says what came of it."""
    from deploy.reconcile.taking_in.backfill import backfilled  # noqa: PLC0415 - as above

    for line in run(backfilled(settings, plan.choice.vendor, plan.choice.account, missing)):
        click.echo(printable(line))


@click.command("import")
@_of_a_file
@click.option(
    "--all", "anew", is_flag=True, help="Send the rows that are held already, too; they stay one record each."
)
@click.option("--reason", default="", help="Why, for the audit trail.")
@pass_options
@could_not
def import_(options: Options, *, anew: bool, reason: str, **given: Any) -> None:
    """Take the records of the carrier's FILE as those of a push: they go the same way and have the same identity.

    A call that came by both is one call, and importing twice changes nothing. The columns must be the vendor's own
    fields, by their names or by a map. Exit codes: 0 done, 1 some rows cannot be read, 2 it could not run.
    """
    from deploy.reconcile.taking_in.importing import imported  # noqa: PLC0415 - as above

    settings = resolved(options.settings())
    with _progress() as stage:
        plan = _plan(given, stage)
    if plan is None:
        return
    with _progress() as stage:
        done = run(imported(settings, plan, stage, anew=anew, reason=reason))
    for line in done.lines():
        click.echo(printable(line))
    if done.unreadable:
        sys.exit(EXIT_DIFFERENCES)


@click.group()
def raw() -> None:
    """Show the bodies that records came from, byte for byte."""


@raw.command()
@click.argument("record_id")
@click.option("--hex", "as_hex", is_flag=True, help="As hexadecimal digits, for people.")
@click.option("--output", type=_OUT, help="File for the bytes, which only you can read; else standard output.")
@pass_options
@could_not
def show(options: Options, record_id: str, as_hex: bool, output: Path | None) -> None:  # noqa: FBT001 - click passes it so
    """Print the very bytes of the body that a record came from; RECORD_ID as the views have it.

    Place and headers go to standard error. Exit code 2 where the body is gone.
    """
    from deploy.admin.erasing.erasure_proof import private_file  # noqa: PLC0415 - as above
    from deploy.reconcile.raw_bodies import hex_lines, shown  # noqa: PLC0415

    if not as_hex and output is None and sys.stdout.isatty():
        raise SetupError(
            "the bytes come from outside, and may control this terminal",
            code="terminal",
            advice="Say --hex, or send them to a file: --output FILE",
        )
    found = run(shown(resolved(options.settings()), record_id))
    at = found.place
    click.echo(f"{at.position}, element {at.element}, {len(found.body)} bytes, by {at.table}", err=True)
    for name, value in found.headers:
        click.echo(printable(f"{name}: {value.decode('utf-8', 'replace')}"), err=True)
    body = "".join(f"{line}\n" for line in hex_lines(found.body)).encode() if as_hex else found.body
    if output is not None:
        with private_file(output) as file:
            file.write(body)
    else:
        click.get_binary_stream("stdout").write(body)
