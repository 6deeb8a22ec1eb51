"""The facts topic of a history: calls over an hour's border, forgotten and heard of again, replayed and sent again."""

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from processors.call.precedence import normalized
from processors.call.state import new_item
from schemas.config.settings import JoinSettings
from schemas.facts import Fact, FactType
from schemas.slot_hours import slot_of
from tests.support.strategies import DECISIONS, RECORDS, STATES, T0, binding, placed, privacy

_DAY_S: Final = 86_400
_HORIZON_S: Final = JoinSettings().horizon_s
_GAPS_S: Final = (0, 0, 1, 30, 400)
_LULLS_S: Final = (
    *(40 * 60, 26 * 3600) * 3, 6.5 * _DAY_S, _HORIZON_S - 1, _HORIZON_S + 1, _HORIZON_S + 3600, 20 * _DAY_S,
)  # fmt: skip
"""Times between two parts of a history: calls time out, are nearly forgotten, or are forgotten."""
_DELAYS_S: Final = (0, 0, 0, 5, 7200, 2 * _DAY_S)
"""Times that a body waits between its receipt and its fact, as in a spool."""
_SHIFTS: Final = (
    *(timedelta(),) * 4, *(timedelta(seconds=-12),) * 3, -timedelta(hours=1), -timedelta(days=1),
    -timedelta(days=3), timedelta(hours=20), -timedelta(days=30), None,
)  # fmt: skip
"""Distances of a fact's instants from the beginning of hour; None for a fact that names none."""
_INSTANTS: Final = ("setup_at", "alerting_at", "answer_at", "end_at", "event_at", "bound_at")
_OF_LEGS: Final = ("setup_at", "alerting_at", "answer_at", "end_at")
_ALL: Final = (*RECORDS, *STATES, *DECISIONS[:2], privacy(), binding(), binding(100, "unbound"))


class Appended(msgspec.Struct, frozen=True):
    """One record of the facts topic."""

    at_ms: int
    fact: Fact | None
    """None in a tick."""


def news(rng: random.Random, happened: Counter[str]) -> list[Appended]:
    """Make the facts topic of one history."""
    pool = [
        _of_call(_shifted(fact, rng.choice(_SHIFTS)), call)
        for call in range(rng.choice((1, 2, 3, 5)))
        for fact in rng.sample(_ALL, rng.randint(1, 4))
    ]
    log, raw, now_s = list[Appended](), list[Fact](), 1000.0
    parts = rng.choice((1, 2, 3, 4))
    for part in range(parts):
        begun = pool[: 2 + len(pool) * (part + 1) // parts]  # other calls begin later
        lull_s = rng.choice(_LULLS_S) if part else 0
        now_s += lull_s
        for _ in range(rng.randint(3, 8)):
            now_s += rng.choice(_GAPS_S)
            chance = rng.random()
            if raw and chance < 0.25:
                fact = rng.choice(raw)
                happened["raw records are replayed"] += 1
                happened["raw records are replayed after the horizon"] += lull_s > _HORIZON_S
            elif chance < 0.3:
                log.append(Appended(_ms(now_s), None))
                continue
            else:
                received_s = max(0.0, now_s - rng.choice(_DELAYS_S))
                fact = _normalised(placed(rng.choice(begun), len(raw) + 1, received=received_s))
                raw.append(fact)
                happened["news comes after the horizon"] += lull_s > _HORIZON_S
            log.append(Appended(_ms(now_s), fact))
    return log


def together(log: Sequence[Appended], first: int, most: int) -> int:
    """Return how many records a batch may have: none spans a horizon, or its worker would be a week behind."""
    size = 1
    while size < most and first + size < len(log) and log[first + size].at_ms < log[first].at_ms + _HORIZON_S * 1000:
        size += 1
    return size


def clock_at(at_ms: int) -> datetime:
    """Return the instant of an append."""
    return datetime.fromtimestamp(at_ms / 1000, tz=T0.tzinfo)


def _ms(seconds: float) -> int:
    return int((T0.timestamp() + seconds) * 1000)


def _normalised(fact: Fact) -> Fact:
    """Return the fact as the normaliser of this release writes it; a decision has no row, and no slot."""
    if fact.fact_type is FactType.RESOLUTION:
        return fact
    return msgspec.structs.replace(normalized(new_item(fact)), slot_at=slot_of(fact), slot_certain=True)


def _shifted(fact: Fact, by: timedelta | None) -> Fact:
    legs = tuple(msgspec.structs.replace(leg, **_moved(leg, _OF_LEGS, by)) for leg in fact.legs)
    return msgspec.structs.replace(fact, legs=legs, **_moved(fact, _INSTANTS, by))


def _moved(one: Any, names: tuple[str, ...], by: timedelta | None) -> dict[str, datetime | None]:
    instants = {name: getattr(one, name) for name in names}
    return {name: at + by if at and by is not None else None for name, at in instants.items()}


def _of_call(fact: Fact, number: int) -> Fact:
    """Return the same of one of several calls, which no two accounts share; a decision stays one on the same record.

    Where accounts share a key, the key's own timeline may pass from one to the other, and to the other's slot.
    """
    name = str(uuid.uuid5(uuid.UUID(int=number), fact.fact_id))
    return msgspec.structs.replace(fact, fact_id=name, call_key=f"{fact.call_key}-{number}{fact.account}")
