"""The words in which a dashboard is described: datasets, measures, charts. Pure data, the same for every tool."""

from enum import StrEnum
from typing import Final

import msgspec


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit of a figure, in the words of people and of each tool."""

    axis: str
    """The title of an axis."""
    d3: str
    """Superset's number format."""
    grafana: str
    """Grafana's unit."""
    decimals: int = 0
    top: float | None = None
    """The end of an axis; None: that of the values."""
    short: str = ""
    """The sign of the unit, for the head of a column whose figures do not say it."""


CALLS: Final = Unit(axis="calls", d3=",d", grafana="short")
RECORDS: Final = Unit(axis="records", d3=",d", grafana="short")
EVENTS: Final = Unit(axis="states", d3=",d", grafana="short")
PARTIES: Final = Unit(axis="participants", d3=",d", grafana="short")
SHARE: Final = Unit(axis="share of seizures (%)", d3=".0%", grafana="percentunit", decimals=1, top=1)
SHARE_OF_ANSWERED: Final = Unit(axis="share of answered calls (%)", d3=".1%", grafana="percentunit", decimals=1)
SHARE_OF_FINAL: Final = Unit(axis="share of final calls (%)", d3=".0%", grafana="percentunit", decimals=1, top=1)
SHARE_OF_RECORDS: Final = Unit(axis="share of records (%)", d3=".1%", grafana="percentunit", decimals=1, top=1)
SECONDS: Final = Unit(axis="seconds", d3=",.1f", grafana="s", decimals=1, short="s")
MILLISECONDS: Final = Unit(axis="milliseconds", d3=",d", grafana="ms", short="ms")
MINUTES: Final = Unit(axis="minutes", d3=",.1f", grafana="m", decimals=1, short="min")
MONEY: Final = Unit(axis="amount in the series' currency", d3=",.2f", grafana="none", decimals=2)
MONEY_PER_MINUTE: Final = Unit(axis="amount per minute of talk", d3=",.4f", grafana="none", decimals=4)
TEXT: Final = Unit(axis="", d3="", grafana="string")
LINES: Final = Unit(axis="calls at the same time", d3=",.1f", grafana="none", decimals=1)


class Kind(StrEnum):
    """The look of a chart."""

    NUMBER = "number"
    LINE = "line"
    STACK = "stack"
    """Bars over time, one upon the other."""
    BARS = "bars"
    """One horizontal bar for each value of the first dimension."""
    COLUMNS = "columns"
    """One upright bar for each value of the first dimension, in its order."""
    TABLE = "table"
    MAP = "map"
    """Countries by their two letters (ISO 3166-1), the darker the more."""


_UNITS: Final = ("ms", "s")


class Column(msgspec.Struct, frozen=True):
    """A column of a dataset that charts or filters use."""

    name: str
    type: str
    """ClickHouse's type, as it describes the column."""
    comment: str = ""

    @property
    def is_time(self) -> bool:
        """True where it holds instants or days."""
        return "Date" in self.type

    @property
    def label(self) -> str:
        """Its name for people, with its unit."""
        words = self.name.split("_")
        unit = f" ({words.pop()})" if words[-1] in _UNITS else ""
        return " ".join(words) + unit


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A source of charts: a view, or a query of views."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    time: str = ""
    """The column that a range of time limits; empty: none does."""
    sql: str = ""
    """The query; empty: the view of that name."""

    def column(self, name: str) -> Column:
        """Returns one of its columns; raises KeyError."""
        return {one.name: one for one in self.columns}[name]

    @property
    def source(self) -> str:
        """The text behind FROM."""
        return f"({self.sql})" if self.sql else self.name


class Measure(msgspec.Struct, frozen=True):
    """A figure: its name for people, its expression over the rows of a group, and its unit."""

    label: str
    sql: str
    unit: Unit


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart: a question, and how it is answered."""

    slug: str
    question: str
    kind: Kind
    dataset: Dataset
    measures: tuple[Measure, ...] = ()
    by: tuple[str, ...] = ()
    """Columns of which each value is a series, a bar or a row."""
    x: str = ""
    """The column of time along the axis; its name is said with its zone in `x_title`."""
    x_title: str = ""
    grain: str = ""
    """The length of a step along the axis (ISO 8601); empty: as the rows have it."""
    where: str = ""
    order: str = ""
    """The order of a table, as SQL over its labels; empty: the first measure, the largest first."""
    limit: int = 1000
    width: int = 6
    """Twelfths of the page."""
    height: int = 40
    """Units of 8 pixels."""
    note: str = ""
    """Words that a reader needs: definitions, and what is left out."""
    may_be_empty: bool = False
    """True where nothing to show is a good answer, as for faults."""

    @property
    def is_local(self) -> bool:
        """True where the times along its axis are as an account's clock shows them."""
        return self.x.startswith("local_")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A choice at the top of a dashboard."""

    name: str
    column: str
    dataset: Dataset
    note: str = ""
    is_typed: bool = False
    """True where its values are typed, since there are too many to choose from."""


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """One page of charts."""

    slug: str
    title: str
    about: str
    """The questions that it answers, for whom, and the zone of its times."""
    rows: tuple[tuple[Chart, ...], ...]
    filters: tuple[Filter, ...]
    last: str
    """The time that it looks back at first: "1 day", "30 days"."""
    until: str = "now"
    """The end of its time: now, or "tomorrow" where days are limited too, which Superset ends before the last one."""
    refresh_s: int = 0

    @property
    def has_local_times(self) -> bool:
        """True where an axis has times as an account's clock shows them, which may be hours ahead of UTC."""
        return any(chart.is_local for chart in self.charts)

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts in the order of the page."""
        return tuple(chart for row in self.rows for chart in row)
