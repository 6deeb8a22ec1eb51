"""The commands for people who write a vendor's file."""

import sys
from datetime import UTC, datetime
from typing import BinaryIO

import click

from deploy.cli.options import plainly
from schemas.vendors import VENDORS

_CONTENT_TYPE = click.option(
    "--content-type", default="", help="Content type of the body, as the vendor sends it; else its look decides."
)


@click.group()
def vendor() -> None:
    """Begin a new vendor's file."""


@vendor.command()
@click.argument("name")
@click.option(
    "--from", "body", type=click.File("rb"), default="-", help="A captured body; - is standard input, the default."
)
@_CONTENT_TYPE
@plainly
def new(name: str, body: BinaryIO, content_type: str) -> None:
    """Write schemas/vendors/NAME.py and tests/golden/NAME from a captured body.

    The file lists every field of the body, is found, routed and keyed, and says what to decide. Nothing is overwritten.
    """
    from deploy.vendor_tools.vendor_skeleton import CASE, create, here  # noqa: PLC0415 - each command loads only its own part

    file, folder = create(here(), name, body.read(), content_type, datetime.now(UTC))
    click.echo(
        f"written {file}\nwritten {folder / CASE}.json\n"
        "Replace phone numbers, names and ids in the case by fictitious ones before you share it.\n"
        f"Then decide what the file's first lines list, try it (callweave try {name} FILE), and write the outcome with "
        "pytest tests/unit/schemas/vendors --update-golden."
    )


@click.command("try")
@click.argument("name", metavar="VENDOR", type=click.Choice([*VENDORS]))
@click.argument("body", type=click.File("rb"))
@click.option("--callback", help="The vendor's callback that the body came to; else its first.")
@_CONTENT_TYPE
@plainly
def try_(name: str, body: BinaryIO, callback: str | None, content_type: str) -> None:
    """Show what becomes of a body, field by field, with every flag and its reason; exit code 1 for dead letters.

    BODY is a file, - is standard input. It needs no Kafka, and keeps and logs nothing.
    """
    from deploy.vendor_tools.trial import lines, outcome_of  # noqa: PLC0415

    callbacks = [one.name for one in VENDORS[name].callbacks]
    if callback is not None and callback not in callbacks:
        raise click.BadParameter(f"{callback!r} is not one of {', '.join(callbacks)}", param_hint="--callback")
    outcome = outcome_of(name, callback or callbacks[0], body.read(), content_type, datetime.now(UTC))
    click.echo("\n".join(lines(outcome)))
    if outcome.dead:
        sys.exit(1)
