"""The seeded world: which vendor carries what next. The same seed and the same clock make the same calls."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from deploy.simulator.calls import parties
from deploy.simulator.calls.truth import Occurrence, Scenario, TrueCall
from deploy.simulator.vendors import SIMULATED_VENDORS


class World:
    """Makes one call or binding after the other; its calls ended a few seconds before the clock's now."""

    def __init__(self, *, seed: int, vendors: Mapping[str, float], clock: Callable[[], datetime]) -> None:
        """`vendors` are names with their relative numbers of calls."""
        self._clock = clock
        # The start is in the seed: a second run with the same number makes other calls, not old ids with new times.
        self._rng: random.Random = parties.seeded(f"{seed}/{clock().isoformat()}")
        self._vendors = tuple(vendors)
        self._shares = tuple(vendors.values())
        self._makers = {name: vendor.maker(self._rng) for name, vendor in SIMULATED_VENDORS.items()}

    @property
    def vendors(self) -> tuple[str, ...]:
        """The names of the vendors of which calls are made."""
        return self._vendors

    def call(self, vendor: str, scenario: Scenario) -> TrueCall:
        """Makes a call of that vendor and scenario."""
        made = self.make(vendor, scenario)
        assert isinstance(made, tuple), "a binding is no call"
        return made[0]

    def advance(self) -> Occurrence:
        """Makes the next call, conference or change of a binding."""
        rng = self._rng
        vendor = rng.choices(self._vendors, self._shares)[0]
        weights = SIMULATED_VENDORS[vendor].weights
        return self.make(vendor, rng.choices(tuple(weights), tuple(weights.values()))[0])

    def make(self, vendor: str, scenario: Scenario) -> Occurrence:
        """Makes a call, a conference or the change of a binding of that vendor and scenario."""
        ended_at = self._clock().replace(microsecond=0) - timedelta(seconds=self._rng.randint(2, 20))
        return self._makers[vendor](scenario, ended_at)
