"""Huawei's world: bindings of a privacy number to a party, and calls over them.

The vendor's record is the binding's row with a call's columns appended, so that a call needs its binding.
"""

import random
from datetime import datetime, timedelta
from typing import Final

import msgspec

from deploy.simulator.calls import courses, endings, people
from deploy.simulator.calls.truth import Scenario, TrueBinding, TrueCall
from schemas.facts import Direction, Kind, Role

# From the vendor's own printed example.
HUAWEI_SYSTEM: Final = "AC5A23CF0E42435C9FF52E401EE897BC"
_SETTLED: Final = timedelta(seconds=2)
"""After its end a call's row is written for the last time."""
_DIRECTIONS: Final = {0: Direction.UNKNOWN, 1: Direction.OUTBOUND, 2: Direction.INBOUND}


class Bindings:
    """The bindings in force; the oldest are forgotten beyond `limit`."""

    def __init__(self, rng: random.Random, limit: int = 200) -> None:
        self._rng = rng
        self._limit = limit
        self._open: list[TrueBinding] = []

    def happen(self, scenario: Scenario, at: datetime) -> TrueCall | TrueBinding:
        """A binding made or dissolved, or a call over one, at that time."""
        if scenario is Scenario.BOUND or (scenario is Scenario.UNBOUND and not self._open):
            return self._bind(at)
        if scenario is Scenario.UNBOUND:
            return self._unbind(at)
        return self._call(scenario, at)

    def _bind(self, at: datetime) -> TrueBinding:
        rng = self._rng
        made = TrueBinding(
            vendor="huawei",
            scenario=Scenario.BOUND,
            row_id=rng.randrange(1, 2**31),
            account_id=HUAWEI_SYSTEM,
            number=people.cn_mobile(rng),
            privacy_number=people.privacy_number(rng),
            binding_id=people.call_uuid(rng),
            status=1,
            allowed_direction=rng.choice((0, 0, 0, 1, 2)),
            custom_ref=people.digits(rng, 19),
            recorded=rng.random() < 0.3,
            bound_at=at,
            revised_at=at,
        )
        self._open = [*self._open[-self._limit + 1 :], made]
        return made

    def _unbind(self, at: datetime) -> TrueBinding:
        ended = self._open.pop(self._rng.randrange(len(self._open)))
        at = max(at, ended.revised_at + timedelta(milliseconds=1))
        return msgspec.structs.replace(ended, scenario=Scenario.UNBOUND, status=0, unbound_at=at, revised_at=at)

    def _call(self, scenario: Scenario, ended_at: datetime) -> TrueCall:
        rng = self._rng
        course = courses.single(rng, scenario)
        cause = rng.choice(endings.HUAWEI[scenario])
        leg = courses.legs(((Role.A, "", course),), ended_at)[0]
        assert leg.setup_at is not None
        # A call's binding was made before the call, whether or not its own push was ever sent.
        known = [made for made in self._open if made.bound_at < leg.setup_at]
        binding = rng.choice(known) if known else self._older(leg.setup_at)
        self._revise(binding, ended_at + _SETTLED)
        leg = msgspec.structs.replace(leg, number=binding.number)
        answered = leg.answer_at is not None
        return TrueCall(
            vendor="huawei",
            kind=Kind.PRIVACY_AX,
            scenario=scenario,
            account_id=HUAWEI_SYSTEM,
            call_id=people.call_uuid(rng),
            direction=_DIRECTIONS[binding.allowed_direction],
            legs=(leg,),
            disposition=cause.disposition,
            q850=cause.q850,
            duration_s=courses.seconds(leg.answer_at, leg.end_at),
            recording_url="https://record.example/" + people.hexadecimal(rng, 24)
            if answered and binding.recorded
            else "",
            custom_ref=binding.custom_ref,
            binding=binding,
        )

    def _revise(self, binding: TrueBinding, at: datetime) -> None:
        """A call's row is written with the state that the binding has then: what comes after it is later by the row's clock."""
        self._open = [
            msgspec.structs.replace(made, revised_at=max(at, made.revised_at)) if made is binding else made
            for made in self._open
        ]

    def _older(self, before: datetime) -> TrueBinding:
        return self._bind(before - timedelta(minutes=self._rng.randint(1, 60)))
