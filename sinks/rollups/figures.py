"""The figures of calls, each as it is computed from calls, and from the rows of shorter intervals. Pure."""

from typing import Final

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """A column of figures: how it is computed from calls, and from the rows of shorter intervals."""

    name: str
    of_calls: str
    of_rows: str
    parts: tuple[str, ...] = ()
    """Names of the columns that hold the elements of the tuple that is computed; empty: it is one column itself."""


REVISION: Final = 1
"""Stands in every row that is computed; a row of another one is computed anew. Count it up when a figure changes."""
CONDITIONS: Final = {
    "disputed": "has(c.quality_flags, 'conflict_final') AND NOT has(c.quality_flags, 'conflict_resolved')",
    "counted": "c.is_final AND NOT disputed",
    "open": "NOT c.is_final AND NOT disputed",
    "is_answered": "c.disposition = 'answered'",
    "rang": "c.alerting_at IS NOT NULL OR ifNull(c.ring_ms > 0, false)",
    "given_up": "c.disposition = 'cancelled' AND (c.hangup_party = 'a' OR c.hangup_reason IN ('caller_cancel', 'caller_hangup'))",
    "served": "c.disposition IN ('answered', 'busy', 'no_answer', 'rejected') OR (given_up AND rang)",
    "without_circuit": "c.disposition IN ('congestion', 'barred') AND NOT rang",
    "started_s": "toUnixTimestamp(toDateTime(c.started_at, 'UTC'))",
    "amount": "assumeNotNull(toDecimal128(c.cost, 6))",
    "nothing": "toDecimal128(0, 6)",
}
"""Conditions on a call that figures count, and amounts of it, by name; each may use those before it."""


def _count(name: str, condition: str) -> Figure:
    return Figure(name, f"countIf({condition})", f"sum(g.{name})")


def _sum(name: str, amount: str, condition: str) -> Figure:
    return Figure(name, f"sumIf({amount}, {condition})", f"sum(g.{name})")


def _values(name: str) -> Figure:
    known = f"groupArrayIf(assumeNotNull(c.{name}), c.is_final AND c.{name} IS NOT NULL)"
    return Figure(name, f"arraySort({known})", f"arraySort(groupArrayArray(g.{name}))")


def _added(group: str, values: dict[str, str], condition: str) -> Figure:
    """Returns columns of arrays of one length: the first is a sorted key, by which the amounts of the others add up."""
    parts = tuple(f"{group}.{name}" for name in values)
    return Figure(
        group,
        f"sumMapIf({', '.join(f'[{value}]' for value in values.values())}, {condition})",
        f"sumMap({', '.join(f'g.`{part}`' for part in parts)})",
        parts,
    )


_TALK: Final = "ifNull(c.talk_ms, 0)"
_KNOWN_TALK: Final = "counted AND is_answered AND c.talk_ms IS NOT NULL"
FIGURES: Final = (
    Figure("calls", "count()", "sum(g.calls)"),
    _count("attempts", "c.is_final"),
    _count("seizures", "c.is_final AND NOT without_circuit"),
    _count("answered", "c.is_final AND is_answered"),
    _count("network_effective", "c.is_final AND served"),
    _count("provisional", "NOT c.is_final"),
    _count("in_conflict", "disputed"),
    _sum("talk_total_ms", _TALK, "counted AND is_answered"),
    _count("answered_without_talk", "counted AND is_answered AND c.talk_ms IS NULL"),
    _count("answered_with_talk", _KNOWN_TALK),
    _sum("talk_in_conflict_ms", _TALK, "disputed AND is_answered"),
    _count("short_calls", f"{_KNOWN_TALK} AND c.talk_ms < 6000"),
    _count("recorded", "c.is_final AND is_answered AND c.recording_state IN ('available', 'expired')"),
    _count("recording_unknown", "c.is_final AND is_answered AND c.recording_state = 'unknown'"),
    _values("pdd_ms"),
    _values("ring_ms"),
    # Of five minutes alone: a second is in one interval of these, so longer ones have the highest of their peaks.
    msgspec.structs.replace(
        _added("starts", {"second": "started_s", "calls": "toUInt32(1)"}, "c.is_final"), of_rows="tuple([], [])"
    ),
    _sum("billed_s", "c.billable_s", "counted"),
    _sum("billable_in_conflict_s", "c.billable_s", "disputed"),
    _sum("billable_provisional_s", "c.billable_s", "open"),
    Figure(
        "currencies",
        "arraySort(groupUniqArrayIf(toString(c.currency), c.cost IS NOT NULL))",
        "arraySort(groupUniqArrayArray(g.currencies))",
    ),
    _sum("cost", "c.cost", "counted"),
    _sum("cost_in_conflict", "c.cost", "disputed"),
    _sum("cost_provisional", "c.cost", "open"),
    _added(
        "costs",
        {
            "currency": "toString(c.currency)",
            "counted": "toUInt64(counted)",
            "cost": "if(counted, amount, nothing)",
            "in_conflict": "toUInt64(disputed)",
            "cost_in_conflict": "if(disputed, amount, nothing)",
            "provisional": "toUInt64(open)",
            "cost_provisional": "if(open, amount, nothing)",
        },
        "c.cost IS NOT NULL",
    ),
)
"""Every column of figures of `kpi_calls`."""
COLUMNS: Final = tuple(name for figure in FIGURES for name in figure.parts or (figure.name,))
"""The columns themselves."""
