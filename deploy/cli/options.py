"""The options that all commands share, and the report of an expected failure."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from msgspec.structs import replace

from deploy.output.printable import printable
from deploy.process.part_process import EXIT_FAILED, EXIT_SETTINGS
from deploy.runtime import read_settings
from schemas.config.settings import Settings
from schemas.errors import CallweaveError, SettingsError


class _UtcTime(click.DateTime):
    """A time in UTC."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Returns the time with its zone."""
        read: datetime = super().convert(value, param, ctx)
        return read.replace(tzinfo=UTC)


UTC_TIME: Final = _UtcTime(formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"])


class Options:
    """The options before the name of the command."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    def settings(self) -> Settings:
        """Returns the effective settings of a command that does not listen; raises `SettingsError`."""
        return read_settings(self.config, may_be_open=True)

    def listening(self, *, to_all: bool) -> Settings:
        """Returns the settings of a command that vendors reach; raises `SettingsError`, also where anybody may push.

        `to_all` is `--open`, with which that is what the operator wants.
        """
        settings = read_settings(self.config, may_be_open=to_all)
        if not to_all:
            return settings
        if settings.ingress.require_account is True:
            raise SettingsError("it contradicts --open, with which anybody may push - at `$.ingress.require_account`")
        return replace(settings, ingress=replace(settings.ingress, require_account=False))


open_option = click.option(
    "--open",
    "to_all",
    is_flag=True,
    help="Let anybody who reaches the ingress push, without an account; else that is refused beyond this machine.",
)
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
