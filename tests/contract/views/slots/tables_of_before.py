"""The tables before slots, as a release of then wrote them; with them tests fill an older database."""

from operator import attrgetter
from typing import Any, Final

from sinks.columns import PHONE, TEXT, TIME, Column, Table, nested_stand_ins, of_leg
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, SHOWN_AS, TIMELINES

_OTHER: Final[dict[str, tuple[Column[Any], ...]]] = {
    "slot_at": (),
    "key_account": (Column("call_key", TEXT, attrgetter("call_key")),),
    "key_suffix": (Column("timeline_id", TEXT, attrgetter("timeline_id")),),
    "legs.party": (of_leg("number", PHONE), *nested_stand_ins("legs", "number", "number")),
    **{f"legs.{name}_us": (of_leg(f"{name}_at", TIME),) for name in ("setup", "alerting", "answer", "end")},
}


def of_before(table: Table[Any]) -> Table[Any]:
    """Returns the table with the columns that it had before it was stored by slots."""
    columns: list[Column[Any]] = []
    for column in table.columns:
        if column.name in _OTHER:
            columns += _OTHER[column.name]
        elif column.name == "started_at":
            columns.append(Column("started_at", TIME, column.value))
        elif column.name not in SHOWN_AS:
            columns.append(column)
    return Table(table.name.replace("_by_slot", "_versions"), tuple(columns))


CDR_BEFORE: Final = of_before(CDR)
CALL_EVENTS_BEFORE: Final = of_before(CALL_EVENTS)
TIMELINES_BEFORE: Final = of_before(TIMELINES)
BINDINGS_BEFORE: Final = of_before(BINDINGS)
