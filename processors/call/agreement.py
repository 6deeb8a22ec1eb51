"""Agreement of two contents of one record, and the kinds of disagreement.

Contents agree when one can be a completed form of the other. In a final record None means "did not happen" where the
record says how the call ended, so an answer against no answer is a contradiction, not a gap. Pure; this module knows
neither calls nor the order of arrival.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from processors.call.contents import place_of
from schemas.call_fields import CERTAIN, differing
from schemas.facts import Disposition, Fact, FactType, Leg
from schemas.reading.field_readers import reader

CONFLICTS: Final = differing("conflict")
"""Two final contents that differ here, or on whether the call was answered, are a conflict: somebody has to look before
the call is billed."""
DISAGREEMENTS: Final = differing("flag")
"""Two final contents that differ here are flagged, and bill alike."""
_conflicts: Final = reader(CONFLICTS)
_disagreements: Final = reader(DISAGREEMENTS)
_certain: Final = reader(CERTAIN)
_party: Final = reader(("hangup_party",))
_LEG_OUTCOME: Final = ("answer_at", "end_at")
_OPEN: Final = (Disposition.UNKNOWN, Disposition.IN_PROGRESS)
WORDS: Final = 2
"""Level at which a cause is known in the vendor's own words; 1 is derived from something else, 0 is unknown."""


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """The points on which contents do not agree."""

    final: bool = False
    """Final contents differ on the answer, on times or on what is billed."""
    reason: bool = False
    """They differ on how the call ended otherwise: the reason, the party that hung up, a leg's times, or an answer that
    only an unfinished content claims."""
    minor: bool = False
    """They differ on something that changes neither."""


NONE: Final = Disagreement()
_BLANK: Final = frozenset({None, "", "unknown"})


def blank(value: object) -> bool:
    """True when a value carries no information."""
    return value in _BLANK


def answered(fact: Fact) -> bool | None:
    """True when the call was answered, False when it was not; None where the content does not say."""
    if fact.answer_at is not None or fact.disposition is Disposition.ANSWERED:
        return True
    return None if fact.disposition in _OPEN else False


def cause_known(read: Callable[[str], Any]) -> int:
    """Return the level (0 to `WORDS`) at which a cause is known; `read` gives its fields."""
    if read("hangup_cause"):
        return WORDS
    return int(bool(read("hangup_reason")) or read("q850") is not None)


def compatible(best: Fact, other: Fact) -> bool:
    """True when `other` can fill what `best` leaves open; `best` is final if one of them is."""
    if best.fact_type is not FactType.RECORD:
        return True
    if answered(best) is not answered(other) and None not in (answered(best), answered(other)):
        return False
    both = best.is_final and other.is_final
    if _several((best, other), _conflicts if both else _certain):
        return False
    return not both or _reason(best)[0] != _reason(other)[0] or _reason(best) == _reason(other)


def conflicting(one: Fact, other: Fact) -> bool:
    """True when two final records contradict each other in what is billed; two readings of one raw element never do."""
    again = place_of(one) == place_of(other) and one.adapter_version != other.adapter_version
    return one.is_final and other.is_final and not again and _conflict((one, other))


def disagreement(facts: Sequence[Fact]) -> Disagreement:
    """Compare the contents of one record, each read by one mapping; linear in their number."""
    if len(facts) < 2:
        return NONE
    refs = len({fact.custom_ref for fact in facts if fact.custom_ref}) > 1
    if facts[0].fact_type is not FactType.RECORD:
        return Disagreement(minor=refs)
    final = [fact for fact in facts if fact.is_final]
    conflict = _conflict(final)
    claimed = _answers(final) == {False} and any(answered(fact) for fact in facts)
    reason = claimed or _several(final, _party) or _several_reasons(final) or _several_legs(final)
    return Disagreement(final=conflict, reason=reason and not conflict, minor=refs or _several(final, _disagreements))


def _answers(facts: Sequence[Fact]) -> set[bool]:
    return {known for fact in facts if (known := answered(fact)) is not None}


def _conflict(final: Sequence[Fact]) -> bool:
    """True when final contents differ on the answer, on times or on what is billed."""
    return (
        bool(final)
        and final[0].fact_type is FactType.RECORD
        and (len(_answers(final)) > 1 or _several(final, _conflicts))
    )


def _several(facts: Sequence[Fact], read: Callable[[Fact], tuple[Any, ...]]) -> bool:
    """True when any of the fields that are read has several values that say something."""
    rows = [*map(read, facts)]
    if not rows or rows.count(rows[0]) == len(rows):  # as mostly
        return False
    return any(len({*values} - _BLANK) > 1 for values in zip(*rows, strict=True))


def _reason(fact: Fact) -> tuple[int, str]:
    """The level at which the reason is known, and the reason; a derived one cannot contradict the vendor's words."""
    known = cause_known(lambda name: getattr(fact, name))
    if known == WORDS:
        return known, fact.hangup_cause
    if known:
        return known, fact.hangup_reason or str(fact.q850)
    return (known, fact.disposition) if answered(fact) is False else (-1, "")


def _several_reasons(facts: Iterable[Fact]) -> bool:
    by_level: defaultdict[int, set[str]] = defaultdict(set)
    for fact in facts:
        level, reason = _reason(fact)
        by_level[level].add(reason)
    return any(len(reasons) > 1 for reasons in by_level.values())


def _several_legs(facts: Iterable[Fact]) -> bool:
    outcomes: defaultdict[tuple[str, str, str], set[Any]] = defaultdict(set)
    for fact in facts:
        for leg in _distinct_legs(fact.legs):
            for name in _LEG_OUTCOME:
                outcomes[leg.role, leg.number or leg.number_raw, name].add(getattr(leg, name))
    return any(len(values - {None}) > 1 for values in outcomes.values())


def _distinct_legs(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """The legs, unless two of one content could be taken for each other."""
    return legs if len({(leg.role, leg.number or leg.number_raw) for leg in legs}) == len(legs) else ()
