"""The command line. It only reads options; each command's work is in a module of its own."""

import json
import logging
from pathlib import Path
from typing import Final

import click

from deploy.cli.audit_commands import audit
from deploy.cli.clickhouse_commands import clickhouse, prefixes, query
from deploy.cli.conflict_commands import conflicts
from deploy.cli.data_commands import dead, migrate, replay, topics
from deploy.cli.file_commands import import_, raw, reconcile
from deploy.cli.options import Options, plainly
from deploy.cli.part_commands import ingress, poll, process, sink
from deploy.cli.privacy_commands import erase, export
from deploy.cli.spool_commands import spool
from deploy.cli.token_commands import token
from deploy.cli.up_commands import bi, doctor, simulate, up
from deploy.cli.vendor_commands import try_, vendor
from deploy.output.logging_setup import hide_tracebacks
from deploy.output.printable import printable
from schemas.config.loader import shown

_EPILOG: Final = "Exit codes: 0 done, 1 failed (the sentence says why), 2 wrong usage, 70 crashed, 78 wrong settings, 130 stopped twice."


@click.group(invoke_without_command=True, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else $CALLWEAVE_CONFIG, else ./callweave.toml if there is one.",
)
@click.option(
    "--check-config", is_flag=True, help="Show the effective settings (secrets masked) and exit: 0 good, 78 wrong."
)
@click.version_option(package_name="callweave")
@click.pass_context
@plainly
def main(context: click.Context, config: Path | None, check_config: bool) -> None:  # noqa: FBT001 - click passes it so
    """Take in vendors' call callbacks, join them into one timeline per call, serve them from Kafka and ClickHouse.

    Start with `callweave up`: it runs everything on this machine. The other commands run one part each, against the
    addresses in callweave.toml or CALLWEAVE_* (CALLWEAVE_KAFKA__BOOTSTRAP=host:9092).
    """
    # Log lines of libraries are not for the user of a command: an expected failure is one sentence. Parts set up their
    # own log.
    logging.getLogger().addHandler(logging.NullHandler())
    hide_tracebacks()
    context.obj = Options(config)
    if check_config:
        text = json.dumps(shown(context.obj.listening(to_all=False)), indent=2, ensure_ascii=False, default=str)
        click.echo(printable(text, keep="\n"))
        context.exit(0)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(0)


for _command in (
    *(up, ingress, poll, process, sink, migrate, topics, simulate),
    *(replay, dead, conflicts, reconcile, import_, raw, erase, export, audit, spool, token, clickhouse),
    *(prefixes, query, bi, doctor, vendor, try_),
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
