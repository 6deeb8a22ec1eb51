"""The seeded world: which vendor carries what next. The same seed and the same clock make the same calls."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from deploy.simulator.calls import people, scenes
from deploy.simulator.calls.privacy import Bindings
from deploy.simulator.calls.truth import Happening, Scenario, TrueBinding, TrueCall

VENDORS: Final = ("nxcloud", "ytx", "huawei", "tencent")

WEIGHTS: Final[Mapping[str, Mapping[Scenario, int]]] = {
    "nxcloud": {
        Scenario.ANSWERED: 54,
        Scenario.TIMER_EXPIRED: 2,
        Scenario.NO_ANSWER: 14,
        Scenario.CANCELLED: 8,
        Scenario.BUSY: 6,
        Scenario.REJECTED: 5,
        Scenario.SWITCHED_OFF: 5,
        Scenario.INVALID_NUMBER: 3,
        Scenario.CONGESTION: 3,
    },
    "ytx": {
        Scenario.ANSWERED: 38,
        Scenario.NO_ANSWER: 10,
        Scenario.OTP: 14,
        Scenario.CONFERENCE: 7,
        Scenario.A_NO_ANSWER: 6,
        Scenario.BUSY: 4,
        Scenario.REJECTED: 4,
        Scenario.SWITCHED_OFF: 4,
        Scenario.A_UNREACHABLE: 3,
        Scenario.OTP_NO_ANSWER: 3,
        Scenario.INVALID_NUMBER: 2,
        Scenario.SUSPENDED: 2,
        Scenario.CONGESTION: 2,
        Scenario.STATES_ONLY: 1,
    },
    "huawei": {Scenario.PRIVACY: 50, Scenario.PRIVACY_NO_ANSWER: 20, Scenario.BOUND: 20, Scenario.UNBOUND: 10},
    "tencent": {
        Scenario.ANSWERED: 60,
        Scenario.NO_ANSWER: 15,
        Scenario.A_NO_ANSWER: 12,
        Scenario.A_UNREACHABLE: 6,
        Scenario.SWITCHED_OFF: 7,
    },
}


class World:
    """Makes one happening after the other; its calls ended a few seconds before the clock's now."""

    def __init__(self, *, seed: int, vendors: Mapping[str, float], clock: Callable[[], datetime]) -> None:
        self._clock = clock
        # The start is in the seed: a second run with the same number makes other calls, not old ids with new times.
        self._rng: random.Random = people.seeded(f"{seed}/{clock().isoformat()}")
        self._vendors = tuple(vendors)
        self._shares = tuple(vendors.values())
        self._bindings = Bindings(self._rng)

    @property
    def vendors(self) -> tuple[str, ...]:
        """Those of whom calls are made."""
        return self._vendors

    def call(self, vendor: str, scenario: Scenario) -> TrueCall:
        """A call of that course."""
        made = self.make(vendor, scenario)
        assert isinstance(made, tuple), "a binding is no call"
        return made[0]

    def happen(self) -> Happening:
        """The next call, conference or change of a binding."""
        rng = self._rng
        vendor = rng.choices(self._vendors, self._shares)[0]
        scenario = rng.choices(tuple(WEIGHTS[vendor]), tuple(WEIGHTS[vendor].values()))[0]
        return self.make(vendor, scenario)

    def make(self, vendor: str, scenario: Scenario) -> Happening:
        """A call or a binding of that course."""
        rng = self._rng
        ended_at = self._clock().replace(microsecond=0) - timedelta(seconds=rng.randint(2, 20))
        if vendor == "nxcloud":
            return (scenes.nxcloud(rng, scenario, ended_at),)
        if vendor == "ytx":
            return scenes.ytx(rng, scenario, ended_at)
        if vendor == "tencent":
            return (scenes.tencent(rng, scenario, ended_at),)
        made = self._bindings.happen(scenario, ended_at + timedelta(milliseconds=rng.randrange(1000)))
        return made if isinstance(made, TrueBinding) else (made,)
