"""The timeline of one call from its records and states: the columns of `v_timelines` that the documents determine.

In a two-way call the record decides on answers and ends; setup and alerting come from the states alone.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from deploy.simulator.expectation import FLAG, Columns, Expectation
from schemas.facts import FactType, Kind, Role, State

_COPIED: Final = (
    "direction",
    "from_number",
    "to_number",
    "setup_at",
    "alerting_at",
    "answer_at",
    "end_at",
    "talk_ms",
    "pdd_ms",
    "billable_s",
    "disposition",
    "q850",
    "sip_code",
    "cost",
    "currency",
    "is_final",
)
_CONFERENCE: Final = frozenset({"direction", "conference_id"})
_MILESTONE: Final = {
    State.SETUP: "setup_at",
    State.ALERTING: "alerting_at",
    State.ANSWER: "answer_at",
    State.RELEASE: "end_at",
}


def timeline(facts: Sequence[Expectation]) -> tuple[Columns, tuple[Columns, ...]]:
    """Returns the row's columns and its legs; the facts are of one call, each identity once."""
    records = [fact for fact in facts if fact.fact_type == FactType.RECORD]
    states = [fact for fact in facts if fact.fact_type == FactType.STATE]
    columns: Columns = {"has_record": bool(records), "has_states": bool(states)}
    if not records:
        phones = _phones(states)
        ends = [phone["end_at"] for phone in phones.values()]
        columns |= {"is_final": False, "setup_at": _first(phone["setup_at"] for phone in phones.values())}
        return columns | {"end_at": _last(ends)}, ()
    record = records[0]
    columns |= {name: value for each in records for name, value in each.columns.items() if name.startswith(FLAG)}
    if record.kind == Kind.CONFERENCE_LEG:
        columns |= {name: record.columns[name] for name in _CONFERENCE}
        ends = [each.columns["end_at"] for each in records if "end_at" in each.columns]
        columns |= {"end_at": _last(ends)} if len(ends) == len(records) else {}
        columns |= _sum([each.columns.get("cost", "") for each in records])
        legs = tuple(leg for each in records for leg in each.legs)
        return columns, legs if len(legs) == len(records) else ()
    columns |= {name: record.columns[name] for name in _COPIED if name in record.columns}
    if record.kind != Kind.CALLBACK_CDR:
        return columns, record.legs
    if record.vendor == "tencent":
        return columns | {n: v for n, v in record.columns.items() if n == "ring_ms"}, record.legs
    shown = _two_way(columns, record, _phones(state for state in states if not state.misleads))
    return _misled(*shown) if any(state.misleads for state in states) else shown


def _sum(costs: Sequence[object]) -> Columns:
    """The cost of all participants together; not claimed where a cost is open or only some are known."""
    known = [Decimal(cost) for cost in costs if isinstance(cost, str) and cost]
    if len(known) == len(costs):
        return {"cost": str(sum(known))}
    return {"cost": None} if all(cost is None for cost in costs) else {}


def _misled(columns: Columns, _legs: tuple[Columns, ...]) -> tuple[Columns, tuple[Columns, ...]]:
    """The claims that are left when B's alerting has an absurd instant: nothing is measured from it."""
    claimed = {name: value for name, value in columns.items() if name not in ("setup_at", "alerting_at")}
    return claimed | {"pdd_ms": None, "ring_ms": None, f"{FLAG}range_error": True}, ()


def _two_way(columns: Columns, record: Expectation, phones: dict[str, Columns]) -> tuple[Columns, tuple[Columns, ...]]:
    legs: list[Columns] = []
    for leg in record.legs:
        observed = phones.get(str(leg["number"]), {})
        seen: Columns = {"setup_at": observed.get("setup_at"), "alerting_at": observed.get("alerting_at")}
        # The record's end of a leg wins over the state's.
        seen["end_at"] = observed.get("end_at") if leg["end_at"] is None else leg["end_at"]
        legs.append(leg | seen)
    b = next(leg for leg in legs if leg["role"] == Role.B)
    columns["setup_at"] = _first(leg["setup_at"] for leg in legs)
    columns["end_at"] = _last(leg["end_at"] for leg in legs)
    columns["talk_ms"] = _between(b["answer_at"], _first(leg["end_at"] for leg in legs))
    for name in ("alerting_at", "pdd_ms", "ring_ms"):
        columns.pop(name, None)
    if b["setup_at"] is not None or not phones:
        # When B was never called, it is open whether A's ringing counts for the call.
        columns["alerting_at"] = b["alerting_at"]
        columns["pdd_ms"] = _between(b["setup_at"], b["alerting_at"])
        columns["ring_ms"] = _between(b["alerting_at"], b["end_at"] if b["answer_at"] is None else b["answer_at"])
    return columns, tuple(legs)


def _phones(states: Iterable[Expectation]) -> dict[str, Columns]:
    phones: dict[str, Columns] = {}
    for state in states:
        phone = phones.setdefault(str(state.columns["leg"]), dict.fromkeys(_MILESTONE.values()))
        name = _MILESTONE[State(str(state.columns["state"]))]
        phone[name] = _first((phone[name], state.columns["event_at"]))
    return phones


def _first(instants: Iterable[object]) -> int | None:
    return min((at for at in instants if isinstance(at, int)), default=None)


def _last(instants: Iterable[object]) -> int | None:
    return max((at for at in instants if isinstance(at, int)), default=None)


def _between(start: object, end: object) -> int | None:
    return end - start if isinstance(start, int) and isinstance(end, int) else None
