"""The end of a call by its states alone: only from pushes that came, never from pushes that are missing."""

from collections.abc import Sequence
from typing import Final

from processors.timeline.legs import ObservedLeg, observed_disposition
from schemas.facts import Disposition, Fact, Leg, Role

# An enum looks a member up each time it is named.
_B: Final = Role.B
_A: Final = Role.A
_ANSWERED: Final = Disposition.ANSWERED
_IN_PROGRESS: Final = Disposition.IN_PROGRESS
_UNKNOWN: Final = Disposition.UNKNOWN
_PARTIES: Final = (_A, _B)

Pair = tuple[Leg, ObservedLeg | None]
"""A leg, and its observation by states."""
_RANKS: Final = {Disposition.NO_ANSWER: 1, Disposition.UNKNOWN: 2}
"""Ranks of dispositions, the most informative (0) is a release that names its reason."""


def last_release(pairs: Sequence[Pair]) -> Fact | None:
    """Return the release that names the call's reason: the called party's, else the caller's, else the only leg's."""
    for leg, observed in sorted(pairs, key=lambda pair: pair[0].role is not _B):
        if observed and observed.last:
            return observed.last if leg.role in _PARTIES or len(pairs) == 1 else None
    return None


def by_states(pairs: Sequence[Pair]) -> Disposition:
    """Disposition of a call by its states alone: it was answered only if the called party answered.

    Missing pushes are no proof that somebody did not answer.
    """
    called = [observed for leg, observed in pairs if leg.role is _B and observed]
    known = [observed for _, observed in pairs if observed]
    if any(observed.answered for observed in called):
        return _ANSWERED
    if not known or not all(observed.released for observed in known):
        return _IN_PROGRESS
    asked = called or known
    unanswered = [observed_disposition(observed) for observed in asked if not observed.answered]
    if len(asked) - len(unanswered) > 1:
        return _UNKNOWN  # two parties answered, and which of them was called is not known
    # One party may have answered and hung up while no push of the other came: then nothing is known of the call.
    return min(unanswered, key=lambda disposition: _RANKS.get(disposition, 0), default=_UNKNOWN)
