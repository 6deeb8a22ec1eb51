"""A file of records with the way to read it: looked at once, shown to a person, then read row by row."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from deploy.output.printable import printable
from deploy.reconcile.columns import FileMap, empty, guessed, read_map, written
from deploy.reconcile.records import columns_read
from deploy.reconcile.rows.bounds import Numbered, Tell, UnreadableFile
from deploy.reconcile.rows.opening import Survey, bytes_of, survey, workbook_of
from deploy.reconcile.rows.texts import rows_of_text
from deploy.reconcile.rows.workbooks import rows_of_workbook, sheets_of
from processors.normalise import directory
from schemas.config.settings import Settings
from schemas.vendor_kit.contract import Context, Vendor
from schemas.vendors import VENDORS

_FIRST_ROWS: Final = 200
_NAMESPACE: Final = uuid.UUID("3d1c0a4e-8f3b-5d53-9b0a-6f3f1f6f8b57")
Stage = Callable[[str, int], Tell]
"""Begins a stage of the work, of so many bytes or records, and returns what is told of its progress."""


class FileChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The wishes of a person about a file; "" is guessed."""

    path: Path
    vendor: str
    account: str
    map_text: str = ""
    zone: str = ""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The way in which a file is read."""

    choice: FileChoice
    survey: Survey
    map: FileMap
    delimiter: str
    first: tuple[Numbered, ...]
    sheets: tuple[str, ...] = ()
    """The visible sheets of a workbook, of which one is read."""

    @property
    def vendor(self) -> Vendor:
        """The vendor whose file it is."""
        return VENDORS[self.choice.vendor]

    @property
    def file_name(self) -> str:
        """The file's name as text; a name may have bytes that are none."""
        return printable(self.survey.path.name)

    @property
    def zone(self) -> str:
        """The zone of times that name none, for people."""
        return self.choice.zone or self.vendor.locale.zone or "UTC"

    def rows(self, tell: Tell = lambda _: None) -> Iterator[Numbered]:
        """Yields the rows behind the headings; raises `UnreadableFile`, also when the file changed meanwhile."""
        # In a workbook each cell says its column, and notes may stand beside the table.
        width = len(self.map.columns) if self.survey.kind == "xlsx" else None
        for number, row in _rows(self.choice, self.survey, tell):
            if number > self.map.header and any(row[:width]):
                yield number, row[:width]
        self.survey.require_unchanged()

    def lines(self) -> list[str]:
        """Returns the guess as lines for a person."""
        found, kind = self.survey, self.survey.kind
        form = "a workbook" if kind == "xlsx" else f"text, {self.choice.encoding or found.encoding}"
        how = (
            f"the fields of {self.vendor.name}, read by its own mapping"
            if self.map.reads == "fields"
            else "meanings, enough to compare"
        )
        width = max((len(column.heading) for column in columns_read(self.map)), default=0)
        unread = [column.heading for column in self.map.columns if not column.meaning]
        return [
            f"{self.file_name}: {form}{', gzip' if found.gzipped else ''}, {found.size_bytes:,} bytes",
            *self._sheet_lines(),
            f"headings in row {self.map.header}; columns are {how}:",
            *(f"  {column.heading:{width}}  {column.meaning}" for column in columns_read(self.map)),
            *((f"not read: {', '.join(unread)}",) if unread else ()),
            f"times without a zone are in {self.zone.rstrip('?')}"
            + (" (not documented)" if self.zone.endswith("?") else ""),
        ]

    def _sheet_lines(self) -> list[str]:
        if not self.sheets:
            return []
        read = self.choice.sheet or self.sheets[0]
        others = [name for name in self.sheets if name != read]
        return [f"sheet {read}" + (f"; NOT read, say --sheet for each: {', '.join(others)}" if others else "")]

    def map_text(self) -> str:
        """Returns the map for people to edit."""
        return written(self.map, self.vendor)

    def run_id(self, settings: str) -> uuid.UUID:
        """Returns the id of a run over this file with these settings."""
        return uuid.uuid5(_NAMESPACE, f"{self.survey.sha256}\n{settings}")


def planned(choice: FileChoice, stage: Stage, *, may_be_empty: bool = False) -> Plan:
    """Returns the way to read a file, guessed where nothing is said; raises `UnreadableFile`.

    With `may_be_empty` a file whose headings are unknown has an empty map.
    """
    if choice.zone:
        _require_zone(choice.zone)
    size = choice.path.stat().st_size if choice.path.is_file() else 0
    found = survey(choice.path, stage("looking at the file", size))
    first = tuple(islice(_rows(choice, found, lambda _: None), _FIRST_ROWS))
    if not first:
        raise UnreadableFile("the file has no rows")
    vendor = VENDORS[choice.vendor]
    if choice.map_text:
        mapped = read_map(choice.map_text, first, vendor)
    else:
        try:
            mapped = guessed(first, vendor)
        except UnreadableFile:
            if not may_be_empty:
                raise
            mapped = empty(first)
    return Plan(choice=choice, survey=found, map=mapped, delimiter=choice.delimiter, first=first, sheets=_sheets(found))


def _sheets(found: Survey) -> tuple[str, ...]:
    if found.kind != "xlsx":
        return ()
    with workbook_of(found) as archive:
        return sheets_of(archive)


def _rows(choice: FileChoice, found: Survey, tell: Tell) -> Iterator[Numbered]:
    if found.kind == "xlsx":
        with workbook_of(found) as archive:
            yield from rows_of_workbook(archive, choice.sheet, tell)
        return
    with bytes_of(found, tell) as stream:
        try:
            yield from rows_of_text(stream, choice.encoding or found.encoding, choice.delimiter)
        except LookupError as exc:
            raise UnreadableFile(f"there is no encoding {choice.encoding!r}") from exc


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as exc:
        raise UnreadableFile(f"there is no time zone {name!r}") from exc


def context_of(settings: Settings, choice: FileChoice, now: datetime) -> Context:
    """Returns the facts around the rows: the configured account, by our name of it or by the vendor's id."""
    named = next(
        (
            one.name
            for one in settings.accounts
            if one.vendor == choice.vendor and choice.account in (one.name, *one.external_ids)
        ),
        "",
    )
    known = directory(settings.accounts)
    address = known.address(choice.vendor, named)
    return Context(
        received_at=now,
        account=named,
        external_ids=address.external_ids
        or (frozenset({choice.account}) if choice.account and not named else frozenset()),
        known_ids=known.known_ids.get(choice.vendor, frozenset()),
        foreign_ids=address.foreign_ids,
        cost_limits=address.cost_limits,
        source="backfill",
    )
