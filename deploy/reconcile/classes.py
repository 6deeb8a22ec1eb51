"""Decides what each record of the carrier's file and each of ours is to the other: exactly one class each. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

import msgspec

from deploy.reconcile.records import FIELDS, INSTANTS, NUMBERS, CallRecord
from schemas.enums import Kind

_SECOND_US: Final = 1_000_000
_TOLERATED: Final = INSTANTS | {"billed_s"}
_MOST_PAIRS: Final = 250_000
"""The most pairs of one call's records that are weighed; beyond them records are paired in their order."""


class Match(StrEnum):
    """The class of a record."""

    EQUAL = "equal"
    """Both sides have the record, with the same values."""
    WITHIN_TOLERANCE = "within_tolerance"
    """Both have it, and nothing differs by more than the tolerance."""
    DIFFERS = "differs"
    """Both have it, with different values."""
    ONLY_THEIRS = "only_theirs"
    """The file has it, and we do not."""
    ONLY_OURS = "only_ours"
    """We have it, and the file, which covers its time, does not; the second record of ours of its call is one, too."""
    DOUBLED_THEIRS = "doubled_theirs"
    """The file has the record once more."""
    UNREADABLE = "unreadable"
    """A row of the file that cannot be read, with our record of its call if the row tells which that is."""


SECOND_OURS: Final = "we have this call more than once, and the file once"
"""The note at a record of ours whose call the file has, and pairs with another record of ours."""
PROVISIONAL: Final = "ours is provisional: the vendor may still change it"
AGREED: Final = frozenset({Match.EQUAL, Match.WITHIN_TOLERANCE})
_values: Final = attrgetter(*FIELDS, "currency")
_RANK: Final = {Match.EQUAL: 0, Match.WITHIN_TOLERANCE: 1, Match.DIFFERS: 2}


class Difference(msgspec.Struct, frozen=True):
    """One field in which two records differ, with both values."""

    field: str
    theirs: Any
    ours: Any
    is_tolerated: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The class of one record, or of a pair."""

    match: Match
    theirs: CallRecord | None = None
    ours: CallRecord | None = None
    differences: tuple[Difference, ...] = ()
    note: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule by which two records are compared."""

    tolerance_s: Decimal = Decimal(1)
    """The most seconds by which times and billed seconds may differ."""
    tolerance_cost: Decimal = Decimal("0.01")
    match_s: Decimal = Decimal(5)
    """The most seconds between the starts of two records of the same numbers, where no id pairs them."""
    by_id: bool = True
    fields: frozenset[str] = frozenset(FIELDS)
    """The fields that are compared: those of which both sides know anything at all."""


def compared(theirs: CallRecord, ours: CallRecord, rule: Rule) -> tuple[Match, tuple[Difference, ...]]:
    """Returns the class of two records of one call, and the fields in which they differ."""
    if _values(theirs) == _values(ours):  # as nearly all are
        return Match.EQUAL, ()
    found = tuple(
        difference
        for name in FIELDS
        if name in rule.fields and (difference := _difference(name, theirs, ours, rule)) is not None
    )
    if not found:
        return Match.EQUAL, ()
    if all(difference.is_tolerated for difference in found):
        return Match.WITHIN_TOLERANCE, found
    return Match.DIFFERS, found


def _difference(name: str, theirs: CallRecord, ours: CallRecord, rule: Rule) -> Difference | None:
    one, other = getattr(theirs, name), getattr(ours, name)
    if name == "cost":
        return _of_cost(theirs, ours, rule)
    if one == other or (name in NUMBERS and _same_masked(one, other)):
        return None
    if one in (None, "") or other in (None, "") or name not in _TOLERATED:
        return Difference(name, one, other)
    # Many files write whole seconds of what was pushed with milliseconds.
    if name in INSTANTS and one % _SECOND_US == 0 and other - other % _SECOND_US == one:
        return None
    unit = _SECOND_US if name in INSTANTS else 1
    return Difference(name, one, other, abs(one - other) <= rule.tolerance_s * unit)


def _of_cost(theirs: CallRecord, ours: CallRecord, rule: Rule) -> Difference | None:
    one, other = theirs.cost, ours.cost
    foreign = bool(theirs.currency and ours.currency and theirs.currency != ours.currency)
    if one == other and not foreign:
        return None
    if one is None or other is None or foreign:
        return Difference("cost", _price(theirs), _price(ours))
    return Difference("cost", _price(theirs), _price(ours), abs(one - other) <= rule.tolerance_cost)


def _price(record: CallRecord) -> str | None:
    return None if record.cost is None else f"{record.cost.normalize():f} {record.currency}".rstrip()


def _same_masked(one: str | None, other: str | None) -> bool:
    """True for two numbers of which one has stars where the other has digits."""
    if not one or not other or "*" not in one + other:
        return False
    short, long = sorted((one.lstrip("+"), other.lstrip("+")), key=len)
    return all("*" in pair or pair[0] == pair[1] for pair in zip(reversed(short), reversed(long), strict=False))


def outcomes(theirs: Iterable[CallRecord], ours: Iterable[CallRecord], rule: Rule) -> Iterator[Outcome]:
    """Yields the class of every record; all records of a call, or of two numbers, are among them on both sides."""
    groups: dict[Any, tuple[list[CallRecord], list[CallRecord]]] = defaultdict(lambda: ([], []))
    for side, records in enumerate((theirs, ours)):
        for record in records:
            groups[key_of(record, by_id=rule.by_id)][side].append(record)
    for theirs_of, ours_of in groups.values():
        good = [one for one in theirs_of if not one.trouble]
        bad = [one for one in theirs_of if one.trouble]
        found = _by_id(good, ours_of, rule) if rule.by_id else _by_numbers(good, ours_of, rule)
        yield from (_noted(one) for one in (_with_unreadable(found, bad, rule) if bad else found))


def _with_unreadable(found: Iterable[Outcome], bad: list[CallRecord], rule: Rule) -> Iterator[Outcome]:
    """Gives the rows that cannot be read those records of ours that are left: the file has them, after all."""
    left = sorted(bad, key=_begun)
    for outcome in found:
        ours = outcome.ours
        if outcome.match is Match.ONLY_OURS and ours is not None:
            at = 0 if rule.by_id else bisect_left(left, _begun(ours) - int(rule.match_s * _SECOND_US), key=_begun)
            if at < len(left) and (rule.by_id or _is_near(left[at], ours, rule)):
                one = left.pop(at)
                yield Outcome(match=Match.UNREADABLE, theirs=one, ours=ours, note=one.trouble)
                continue
        yield outcome
    for one in left:
        yield Outcome(match=Match.UNREADABLE, theirs=one, note=one.trouble)


def _is_near(one: CallRecord, other: CallRecord, rule: Rule) -> bool:
    return abs(_begun(one) - _begun(other)) <= rule.match_s * _SECOND_US


def _noted(outcome: Outcome) -> Outcome:
    """Returns an outcome with a note where our record may still change."""
    if outcome.note or outcome.ours is None or outcome.ours.is_final or outcome.match in AGREED:
        return outcome
    return msgspec.structs.replace(outcome, note=PROVISIONAL)


def key_of(record: CallRecord, *, by_id: bool) -> str:
    """Returns what two records that may be one have in common."""
    return record.call_id if by_id else f"{record.from_number or ''}|{record.to_number or ''}"


def _by_id(theirs: list[CallRecord], ours: list[CallRecord], rule: Rule) -> Iterator[Outcome]:
    if len(theirs) == 1 and len(ours) == 1:
        yield _pair(theirs[0], ours[0], rule)
        return
    # Participants of a conference share the call's id.
    shared = len(ours) > 1 or any(one.kind == Kind.CONFERENCE_LEG for one in ours)
    copies: dict[Any, list[CallRecord]] = defaultdict(list)
    for one in theirs:
        copies[one.record_id or ((one.from_number, one.to_number) if shared else "")].append(one)
    chosen, doubled = [], []
    for group in copies.values():
        best = min(group, key=lambda one: _nearest(one, ours, rule)) if len(group) > 1 else group[0]
        chosen.append(best)
        doubled += [one for one in group if one is not best]
    paired = _paired(chosen, ours, rule)
    yield from _told(chosen, ours, paired, rule, lambda other: _is_second(other, chosen, ours, paired))
    yield from (_doubled(one, ours, rule) for one in doubled)


def _is_second(
    other: CallRecord, theirs: Sequence[CallRecord], ours: Sequence[CallRecord], paired: dict[int, int]
) -> bool:
    """True for a record of ours beside another one of its call that has a pair; a conference has one for each phone."""
    return any(_may_pair(theirs[at], other) and _may_pair(other, ours[place]) for at, place in paired.items())


def _nearest(one: CallRecord, ours: list[CallRecord], rule: Rule) -> tuple[int, int]:
    """Returns how well a record fits the best of ours, smaller for better; the first of the file is the original."""
    ranks = [_RANK[compared(one, other, rule)[0]] for other in ours[:100]]
    return min(ranks, default=3), one.line


def _paired(theirs: list[CallRecord], ours: list[CallRecord], rule: Rule) -> dict[int, int]:
    """Returns the place of our record for each of theirs that has one, the most alike first."""
    paired: dict[int, int] = {}
    by_record = {one.record_id: at for at, one in enumerate(ours)}
    for at, one in enumerate(theirs):
        if one.record_id and one.record_id in by_record:
            paired[at] = by_record.pop(one.record_id)
    left = [at for at in range(len(theirs)) if at not in paired]
    taken = set(paired.values())
    free = [at for at in range(len(ours)) if at not in taken]
    if len(left) * len(free) > _MOST_PAIRS:
        return paired | dict(zip(left, free, strict=False))
    weighed = sorted(
        (_unlikeness(theirs[at], ours[other], rule), at, other)
        for at in left
        for other in free
        if _may_pair(theirs[at], ours[other])
    )
    for _, at, other in weighed:
        if at not in paired and other not in taken:
            paired[at] = other
            taken.add(other)
    return paired


def _may_pair(one: CallRecord, other: CallRecord) -> bool:
    """False for two participants of one conference: the phone tells whose record it is."""
    return other.kind != Kind.CONFERENCE_LEG or one.to_number == other.to_number


def _unlikeness(one: CallRecord, other: CallRecord, rule: Rule) -> tuple[bool, bool, int, int]:
    apart = abs((one.start_at or 0) - (other.start_at or 0))
    numbers = (one.from_number, one.to_number) != (other.from_number, other.to_number)
    return bool(one.kind and one.kind != other.kind), numbers, _RANK[compared(one, other, rule)[0]], apart


def _by_numbers(theirs: list[CallRecord], ours: list[CallRecord], rule: Rule) -> Iterator[Outcome]:
    """Pairs the records of two numbers whose starts are nearest to each other."""
    theirs.sort(key=_begun)
    ours.sort(key=_begun)
    paired = _nearest_pairs(theirs, ours, rule)
    # A record of which there is a twin that has its pair came twice.
    with_pair = {_begun(theirs[at]) for at in paired}
    doubled = [at for at, one in enumerate(theirs) if at not in paired and _begun(one) in with_pair]
    seen: set[int] = set()
    for at, one in enumerate(theirs):
        if at not in paired and _begun(one) not in with_pair:
            if _begun(one) in seen:
                doubled.append(at)
            seen.add(_begun(one))
    left = set(doubled)
    chosen = [one for at, one in enumerate(theirs) if at not in left]
    places = {at: place for place, at in enumerate(at for at in range(len(theirs)) if at not in left)}
    starts = sorted({_begun(theirs[at]) for at in paired})
    reach = int(rule.match_s * _SECOND_US)

    def has_twin(other: CallRecord) -> bool:
        near = bisect_left(starts, _begun(other) - reach)
        return near < len(starts) and starts[near] <= _begun(other) + reach

    yield from _told(chosen, ours, {places[at]: other for at, other in paired.items()}, rule, has_twin)
    yield from (_doubled(theirs[at], ours, rule) for at in doubled)


def _nearest_pairs(theirs: list[CallRecord], ours: list[CallRecord], rule: Rule) -> dict[int, int]:
    """Returns the place of our record for each of theirs that has one within reach; both are in the order of starts."""
    starts = [_begun(one) for one in ours]
    reach = int(rule.match_s * _SECOND_US)
    within = [(bisect_left(starts, _begun(one) - reach), bisect_right(starts, _begun(one) + reach)) for one in theirs]
    paired: dict[int, int] = {}
    if sum(end - first for first, end in within) > _MOST_PAIRS:
        # So many calls of two numbers in so short a time are told apart by nothing: in their order.
        free = 0
        for at, (first, end) in enumerate(within):
            free = max(free, first)
            if free < end:
                paired[at] = free
                free += 1
        return paired
    weighed = sorted(
        (_RANK[compared(theirs[at], ours[other], rule)[0]], abs(starts[other] - _begun(theirs[at])), at, other)
        for at, (first, end) in enumerate(within)
        for other in range(first, end)
    )
    taken: set[int] = set()
    for _, _, at, other in weighed:
        if at not in paired and other not in taken:
            paired[at] = other
            taken.add(other)
    return paired


def _begun(record: CallRecord) -> int:
    return record.start_at or 0


def _told(
    theirs: Sequence[CallRecord],
    ours: Sequence[CallRecord],
    paired: dict[int, int],
    rule: Rule,
    has_twin: Callable[[CallRecord], bool],
) -> Iterator[Outcome]:
    for at, one in enumerate(theirs):
        if at in paired:
            yield _pair(one, ours[paired[at]], rule)
        else:
            yield Outcome(match=Match.ONLY_THEIRS, theirs=one)
    taken = set(paired.values())
    for at, other in enumerate(ours):
        if at not in taken:
            yield Outcome(match=Match.ONLY_OURS, ours=other, note=SECOND_OURS if has_twin(other) else "")


def _pair(one: CallRecord, other: CallRecord, rule: Rule) -> Outcome:
    match, found = compared(one, other, rule)
    return Outcome(match=match, theirs=one, ours=other, differences=found)


def _doubled(one: CallRecord, ours: list[CallRecord], rule: Rule) -> Outcome:
    found = compared(one, ours[0], rule)[1] if len(ours) == 1 else ()
    return Outcome(match=Match.DOUBLED_THEIRS, theirs=one, differences=found)
