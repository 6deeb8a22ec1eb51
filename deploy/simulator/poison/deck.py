"""Traffic that once stopped, hid or falsified a call, each with what must come of it: dealt like cards, so that each comes in turn."""

import random
from typing import Final

import msgspec

from deploy.simulator.calls.world import VENDORS, World
from deploy.simulator.poison import contradictions, encodings, extreme_values, spellings
from deploy.simulator.poison.ingredients import Poison, PoisonTable
from deploy.simulator.requests import Offer, Send

_TABLES: Final[tuple[PoisonTable, ...]] = (
    extreme_values.TABLE,
    contradictions.TABLE,
    spellings.TABLE,
    encodings.TABLE,
)
POISONS: Final[PoisonTable] = {
    vendor: {name: poison for table in _TABLES for name, poison in table.get(vendor, {}).items()} for vendor in VENDORS
}


class Deck:
    """All poisons of the vendors that there are, in an order that changes from round to round."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._cards: list[tuple[str, Poison]] = []

    def deal(self) -> tuple[Send | Offer, ...]:
        """The requests of the next one."""
        if not self._cards:
            self._cards = [card for vendor in self._world.vendors for card in POISONS[vendor].items()]
            self._rng.shuffle(self._cards)
        name, poison = self._cards.pop()
        return tuple(
            msgspec.structs.replace(made, label=f"poison: {name}") if isinstance(made, Send) else made
            for made in poison(self._world, self._rng)
        )
