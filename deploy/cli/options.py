"""The options that all commands share, and the report of an expected failure."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from deploy.admin.printable import printable
from deploy.process.part_process import EXIT_FAILED, EXIT_SETTINGS
from deploy.runtime import read_settings
from schemas.config.settings import Settings
from schemas.errors import CallweaveError, SettingsError

UTC_TIME: Final = click.DateTime(formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"])


class Options:
    """The options before the name of the command."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    def settings(self) -> Settings:
        """Returns the effective settings; raises `SettingsError`."""
        return read_settings(self.config)


pass_options = click.make_pass_decorator(Options)


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Reports an expected failure of a command as one sentence, without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except SettingsError as exc:
            click.echo(printable(f"callweave: settings: {exc}", keep="\n"), err=True)
            sys.exit(EXIT_SETTINGS)
        except CallweaveError as exc:
            click.echo(printable(f"callweave: {exc}", keep="\n"), err=True)
            sys.exit(EXIT_FAILED)

    return wrapped
