"""Reads the settings of a running `callweave up` again, and hands them to its parts.

Settings that the embedded servers or the list of parts were started with stay until the next start. A new password of
the embedded ClickHouse is valid from now on, beside the old one.
"""

import asyncio
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from deploy.clickhouse import passwords
from deploy.local.stack import Stack, part_specs
from deploy.runtime import clickhouse_dir, require_good, resolved
from schemas.config.changes import combined, differing
from schemas.config.listening import needs_account, who_reaches
from schemas.config.settings import ClickHouseSettings, PollAccount, Settings
from schemas.config.taking_effect import Effect, effect
from schemas.errors import CallweaveError


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one reading."""

    settings: Settings
    """The settings that are in effect from now on."""
    handed_on: tuple[str, ...]
    restart: tuple[str, ...]

    def sentence(self) -> str:
        """Returns one line with the paths, never a value."""
        said = [
            f"{what}: {', '.join(paths)}"
            for what, paths in (("handed to the parts", self.handed_on), (Effect.RESTART, self.restart))
            if paths
        ]
        return f"the settings were read again: {'; '.join(said) or 'nothing differs'}"


async def reload_parts(stack: Stack, reread: Callable[[], Settings], *, poll_also: tuple[PollAccount, ...] = ()) -> str:
    """Makes every part read the settings again; returns what became of them, in one line.

    Settings that are wrong change nothing, and the line says which are.
    """
    try:
        reading = await asyncio.to_thread(_read, stack, reread, poll_also)
        _change_passwords(stack.settings, reading.settings)
    except CallweaveError as exc:
        return f"the settings stay as they are: {exc}"
    except OSError as exc:
        return f"the settings stay as they are: the passwords cannot be written: {exc.strerror}"
    stack.settings = reading.settings
    specs = {spec.name: spec for spec in part_specs(reading.settings)[0]}
    for part in stack.parts:
        part.process.change(specs[part.name], reading.settings.log)
    return reading.sentence()


def _read(stack: Stack, reread: Callable[[], Settings], poll_also: tuple[PollAccount, ...]) -> _Reading:
    old, new = stack.settings, reread()
    new = resolved(replace(new, poll=replace(new.poll, accounts=(*new.poll.accounts, *poll_also))))
    polls = any(part.name == "poll" for part in stack.parts)

    def waits(path: str) -> bool:
        """True for what takes effect at the next start, as a poller where there was none."""
        return effect(path, "up") is Effect.RESTART or (path == "poll.accounts" and not polls)

    mixed = combined(old, new, lambda path: not waits(path))
    # What was started with --open stays so.
    ingress = old.ingress
    require_good(mixed, may_be_open=bool(who_reaches(ingress)) and not needs_account(ingress))
    paths = differing(old, new)
    return _Reading(
        settings=mixed,
        handed_on=tuple(path for path in paths if not waits(path)),
        restart=tuple(path for path in paths if waits(path)),
    )


def _change_passwords(old: Settings, new: Settings) -> None:
    """Makes new passwords of the embedded engine valid beside the old ones; raises SetupError and OSError."""
    directory = clickhouse_dir(new.embedded)
    kept = passwords.read(directory)
    for name, before, now in _logins(old.clickhouse, new.clickhouse):
        if name in kept and now != before:
            passwords.change(directory, name, now, keep_old=True)


def _logins(old: ClickHouseSettings, new: ClickHouseSettings) -> tuple[tuple[str, str, str], ...]:
    return (
        (new.user, old.password.value, new.password.value),
        (new.migrator, old.migrator_password.value, new.migrator_password.value),
    )
