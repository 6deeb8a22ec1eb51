"""How the states alone tell that a call ended: only what was seen, and nothing that is concluded from pushes that are missing."""

from collections.abc import Sequence
from typing import Final

from processors.timeline.legs import ObservedLeg, rung_disposition
from schemas.facts import Disposition, Fact, Leg, Role

Pair = tuple[Leg, ObservedLeg | None]
"""A leg, and what states say of it."""
_TELLING: Final = {Disposition.NO_ANSWER: 1, Disposition.UNKNOWN: 2}
"""Of several legs the one that tells most, the lowest first: a release that names its reason (0) tells more than silence."""


def last_release(pairs: Sequence[Pair]) -> Fact | None:
    """The release that tells most: the called party's, else the last one in the list that has one."""
    for leg, rung in sorted(pairs, key=lambda pair: pair[0].role is not Role.B):
        if rung and rung.last:
            return rung.last if leg.role in {Role.B, Role.A} or len(pairs) == 1 else None
    return None


def by_states(pairs: Sequence[Pair]) -> Disposition:
    """How the states alone end a call: it was answered only if the called party answered.

    Nobody's failure to answer is concluded from pushes that are missing.
    """
    called = [rung for leg, rung in pairs if leg.role is Role.B and rung]
    known = [rung for _, rung in pairs if rung]
    if any(rung.answered for rung in called):
        return Disposition.ANSWERED
    if not known or not all(rung.released for rung in known):
        return Disposition.IN_PROGRESS
    asked = called or known
    unanswered = [rung_disposition(rung) for rung in asked if not rung.answered]
    if len(asked) - len(unanswered) > 1:
        return Disposition.UNKNOWN  # two parties answered, and which is the called one cannot be told
    # One party may have answered and hung up while of the other nothing was heard: then nothing is known of the call.
    return min(unanswered, key=lambda said: _TELLING.get(said, 0), default=Disposition.UNKNOWN)
