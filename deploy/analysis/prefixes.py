"""Loads prefixes of phone numbers into ClickHouse, in the place of those that were loaded before.

Only what differs is written, in one insert, so the same file again changes nothing, and no query sees half of a file.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.analysis.prefix_file import Prefix, PrefixFileError, read_prefixes
from schemas.config.settings import ClickHouseSettings
from sinks.clickhouse import ClickHouse

_COLUMNS: Final = ("prefix", "name", "country", "kind", "is_removed", "version")
_TYPES: Final = ("String", "String", "LowCardinality(String)", "LowCardinality(String)", "Bool", "UInt64")
_MOST_DIGITS: Final = 16
"""The longest calling code has fewer, and its plus."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a load."""

    prefixes: int
    new: int
    changed: int
    removed: int

    @property
    def sentence(self) -> str:
        """The outcome for people."""
        same = self.prefixes - self.new - self.changed
        return f"{self.prefixes} prefixes: {self.new} new, {self.changed} changed, {same} as before; {self.removed} removed"


def read_file(path: Path) -> tuple[Prefix, ...]:
    """Returns the prefixes of a file; raises `PrefixFileError`, also for a file that cannot be read."""
    try:
        return read_prefixes(path.read_bytes())
    except OSError as exc:
        raise PrefixFileError(f"{path} cannot be read: {exc.strerror}") from exc


async def load(settings: ClickHouseSettings, prefixes: Iterable[Prefix]) -> Loaded:
    """Makes these the loaded prefixes. Raises `Unavailable`, `SetupError`."""
    async with ClickHouse(settings) as client:
        database = client.database
        codes = dict(await client.query(f"SELECT prefix, country FROM {database}.v_calling_codes"))  # noqa: S608 - a checked name
        wanted = {one.prefix: with_country(one, codes) for one in prefixes}
        had = {
            row[0]: Prefix(prefix=row[0], name=row[1], country=row[2], kind=row[3])
            for row in await client.query(
                f"SELECT prefix, name, country, kind FROM {database}.prefixes FINAL WHERE NOT is_removed"  # noqa: S608
            )
        }
        changed = [one for prefix, one in wanted.items() if had.get(prefix) != one]
        removed = [one for prefix, one in had.items() if prefix not in wanted]
        if changed or removed:
            ((newest,),) = await client.query(f"SELECT max(version) FROM {database}.prefixes")  # noqa: S608
            version = max(int(newest) + 1, time.time_ns() // 1_000_000)
            rows = [
                _row(one, removed=gone, version=version) for gone in (False, True) for one in (changed, removed)[gone]
            ]
            await client.insert_rows(f"{database}.prefixes", _COLUMNS, rows, _TYPES)
    new = sum(one.prefix not in had for one in changed)
    return Loaded(prefixes=len(wanted), new=new, changed=len(changed) - new, removed=len(removed))


def with_country(one: Prefix, codes: Mapping[str, str]) -> Prefix:
    """Returns the prefix with the country of the longest calling code that it begins with, where it has none."""
    if one.country:
        return one
    starts = (one.prefix[:length] for length in range(_MOST_DIGITS, 1, -1))
    return msgspec.structs.replace(one, country=next((codes[start] for start in starts if start in codes), ""))


def _row(one: Prefix, *, removed: bool, version: int) -> tuple[object, ...]:
    return (one.prefix, one.name, one.country, one.kind, removed, version)
