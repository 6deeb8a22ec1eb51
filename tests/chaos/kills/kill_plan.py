"""The order of the failpoints at which a part is killed, which a seed repeats. Pure."""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from tests.chaos.kills.failpoints import Failpoint

_AFTER_COMMIT_SHARE: Final = 0.3
"""The share of processes, of those that may end at any time, that have committed some work by then."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A process with a planned end."""

    point: Failpoint
    passage: int
    after_commit: bool
    """True when passages count from the first commit on."""


def plan(points: Sequence[Failpoint], kills: int, seed: int, only: Collection[str] = ()) -> Iterator[Planned]:
    """Yields `kills` processes, each point equally often; the first round is the table at its first passages."""
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
                # A needed event is triggered when the part is at work; before that its position is not known.
                after_commit=not point.once
                and (bool(point.needs) or (not first and rng.random() < _AFTER_COMMIT_SHARE)),
            )
