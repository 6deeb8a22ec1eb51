"""The queries of the provisioned dashboards as Grafana sends them: macros of its plugin and variables expanded.

After the plugin's version 4.20: `applyConditionalAll` of its front end, then the variables, then `pkg/macros`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

DASHBOARDS: Final = Path(__file__).parents[3] / "deploy/grafana/dashboards"
_CONDITIONAL: Final = "$__conditionalAll("
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SIMPLE: Final = re.compile(r"\$__(\w+)(?:\((\w+)\))?")


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A panel, or a variable, with its query as it stands in the file."""

    dashboard: str
    title: str
    sql: str
    interval_s: int
    variables: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name among all panels."""
        return f"{self.dashboard}: {self.title}"


def panels() -> Iterator[Panel]:
    """Yields every panel with a query, and every variable with one."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(file.read_text("utf-8"))
        variables = tuple(one["name"] for one in board["templating"]["list"])
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield _panel(file.stem, panel["title"], target["rawSql"], panel.get("interval", ""), variables)
        for one in board["templating"]["list"]:
            if one["type"] == "query":
                yield _panel(file.stem, f"choices of {one['label']}", one["query"], "", variables)


def _panel(dashboard: str, title: str, sql: str, interval: str, variables: tuple[str, ...]) -> Panel:
    seconds = int(interval[:-1]) * _SECONDS[interval[-1]] if interval else 60
    return Panel(dashboard=dashboard, title=title, sql=sql, interval_s=seconds, variables=variables)


def expanded(panel: Panel, start: datetime, end: datetime, chosen: Mapping[str, tuple[str, ...]]) -> str:
    """Returns the query of a panel for a range of time; a variable that is not among `chosen` stands for all values."""
    sql = _with_variables(_with_conditions(panel.sql, chosen), chosen)

    def macro(found: re.Match[str]) -> str:
        return _MACROS[found[1]](found[2], int(start.timestamp()), int(end.timestamp()), panel.interval_s)

    return _SIMPLE.sub(macro, sql)


def _with_conditions(sql: str, chosen: Mapping[str, tuple[str, ...]]) -> str:
    while (at := sql.rfind(_CONDITIONAL)) >= 0:
        begin = at + len(_CONDITIONAL)
        condition, variable, end = _arguments(sql, begin)
        said = chosen.get(variable.strip().removeprefix("$"), ())
        sql = sql[:at] + (condition if said else "1=1") + sql[end:]
    return sql


def _arguments(sql: str, begin: int) -> tuple[str, str, int]:
    """Returns the two arguments of a macro, and where its closing parenthesis ends."""
    depth, comma = 1, 0
    for at in range(begin, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        if sql[at] == "," and depth == 1:
            comma = at
        if depth == 0:
            return sql[begin:comma], sql[comma + 1 : at], at + 1
    raise AssertionError(f"a macro without an end: {sql[begin:]}")


def _with_variables(sql: str, chosen: Mapping[str, tuple[str, ...]]) -> str:
    def quoted(found: re.Match[str]) -> str:
        return ",".join("'" + one.replace("'", "\\'") + "'" for one in chosen[found[1]])

    return re.sub(r"\$\{(\w+):singlequote\}", quoted, sql)


_MACROS: Final[Mapping[str, Callable[[str, int, int, int], str]]] = {
    "timeFilter": lambda column, start, end, _s: f"{column} >= toDateTime({start}) AND {column} <= toDateTime({end})",
    "timeInterval": lambda column, _start, _end, s: f"toStartOfInterval(toDateTime({column}), INTERVAL {s} second)",
    "fromTime": lambda _column, start, _end, _s: f"toDateTime({start})",
    "toTime": lambda _column, _start, end, _s: f"toDateTime({end})",
    "interval_s": lambda _column, _start, _end, s: str(s),
}
