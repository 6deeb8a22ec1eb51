"""All poisons by vendor and name, and the order in which they are sent: each of them once in every round."""

import random
from typing import Final

import msgspec

from deploy.simulator.poison import contradictions, encodings, extreme_values, spellings
from deploy.simulator.poison.ingredients import Poison, PoisonTable
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.vendors import SIMULATED_VENDORS
from deploy.simulator.world import World

_TABLES: Final[tuple[PoisonTable, ...]] = (
    extreme_values.TABLE,
    contradictions.TABLE,
    spellings.TABLE,
    encodings.TABLE,
)
POISONS: Final[PoisonTable] = {
    vendor: {name: poison for table in _TABLES for name, poison in table.get(vendor, {}).items()}
    for vendor in SIMULATED_VENDORS
}


class PoisonCycle:
    """All poisons of the world's vendors, each once a round, in an order that changes from round to round."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._left: list[tuple[str, Poison]] = []

    def advance(self) -> tuple[PushRequest | Offer, ...]:
        """Returns the requests of the next poison."""
        if not self._left:
            self._left = [entry for vendor in self._world.vendors for entry in POISONS[vendor].items()]
            self._rng.shuffle(self._left)
        name, poison = self._left.pop()
        return tuple(
            msgspec.structs.replace(made, label=f"poison: {name}") if isinstance(made, PushRequest) else made
            for made in poison(self._world, self._rng)
        )
