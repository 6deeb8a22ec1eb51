"""Which failpoint a part dies at next, in an order that a seed repeats. Pure."""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from tests.chaos.kills.failpoints import Failpoint

_RIPE: Final = 0.3
"""How many of the lives that may end at any time have done some work by then."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A life with a set end."""

    point: Failpoint
    passage: int
    ripe: bool
    """Passages count from the first commit on."""


def plan(points: Sequence[Failpoint], kills: int, seed: int, only: Collection[str] = ()) -> Iterator[Planned]:
    """So many lives, each point as often as any other; the first round goes through the table at its first passages."""
    rng = random.Random(seed)
    chosen = [point for point in points if not only or point.name in only]
    made = 0
    while made < kills:
        first = made == 0
        for point in chosen if first else rng.sample(chosen, len(chosen)):
            if made == kills:
                return
            made += 1
            yield Planned(
                point=point,
                passage=1 if first else rng.randint(1, point.passages),
                # What has to be brought about comes when the part is at work; before that nobody knows where it stands.
                ripe=not point.once and (bool(point.needs) or (not first and rng.random() < _RIPE)),
            )
