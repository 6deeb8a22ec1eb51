"""What the commands share: their options, and how an expected failure is told."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from deploy.admin.printable import printable
from deploy.process.part_process import EXIT_FAILED, EXIT_SETTINGS
from deploy.runtime import read_settings
from schemas.config.settings import Settings
from schemas.errors import CallweaveError, SettingsError


class Options:
    """What stands before the command."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    def settings(self) -> Settings:
        """The effective settings."""
        return read_settings(self.config)


pass_options = click.make_pass_decorator(Options)


def plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say an expected failure in its own sentence, without a traceback."""

    @wraps(command)
    def said(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except SettingsError as exc:
            click.echo(printable(f"callweave: settings: {exc}", keep="\n"), err=True)
            sys.exit(EXIT_SETTINGS)
        except CallweaveError as exc:
            click.echo(printable(f"callweave: {exc}", keep="\n"), err=True)
            sys.exit(EXIT_FAILED)

    return said
