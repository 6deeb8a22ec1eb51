"""A consumer group: the owners of partitions in each generation, and the commits that count.

Everybody lets go before anybody is given something; who does not answer within the session is left out, and a commit of
a member that was left out, or whose name another process has taken over, is refused. An old commit may be carried out
again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from processors.records import Partition
from tests.property.whole_way.broker import PARTITIONS, Broker
from tests.property.whole_way.loop import Process

SESSION_S: Final = 0.3
_LOOK_S: Final = 0.1


class Member(Protocol):
    """One process in a group."""

    name: str
    """The static name: a successor under it gets the same partitions without a rebalance."""
    process: Process

    def revoke(self, turn: int) -> None:
        """Release everything, then report by `ready` that this was done for the rebalance of this number."""

    def assign(self, partitions: Sequence[Partition], generation: int) -> None:
        """Read these from now on."""


class Group:
    """The coordinator of one group."""

    def __init__(self, broker: Broker, topics: Sequence[str]) -> None:
        self._broker = broker
        self._partitions = [(topic, number) for topic in topics for number in range(PARTITIONS)]
        self._members: dict[str, Member] = {}
        self._owned: dict[str, list[Partition]] = {}
        self._waiting_for: set[str] = set()
        self._silent_since_s: dict[str, float] = {}
        self._history: dict[Partition, list[int]] = {}
        self.turn = 0
        """Number of rebalances begun."""
        self.generation = 0
        """Number of rebalances done."""
        self.refused = 0
        """Number of refused commits of members that were left out."""
        self.committed: dict[Partition, int] = {}

    def join(self, member: Member) -> None:
        """Become a member; under a known name, take its place."""
        known = member.name in self._members
        self._members[member.name] = member
        self._silent_since_s.pop(member.name, None)
        if known and not self._waiting_for:
            member.process.soon(member.assign, self._owned[member.name], self.generation)
        else:
            self._rebalance()

    def leave(self, name: str) -> None:
        """Leave the group."""
        if self._members.pop(name, None) is not None:
            self._owned.pop(name, None)
            self._rebalance()

    def look(self) -> None:
        """Leave out members that are dead or frozen for longer than the session; to be called often."""
        now_s = self._broker.weather.loop.time()
        for name, member in list(self._members.items()):
            if member.process.alive and not member.process.frozen:
                self._silent_since_s.pop(name, None)
            elif now_s - self._silent_since_s.setdefault(name, now_s) > SESSION_S:
                self.leave(name)

    def ready(self, member: Member, turn: int) -> None:
        """Note that a member has released its partitions."""
        if self.is_member(member) and turn == self.turn and member.name in self._waiting_for:
            self._waiting_for.discard(member.name)
            if not self._waiting_for:
                self._hand_out()

    def is_member(self, member: Member) -> bool:
        """True when the member is still in the group."""
        return self._members.get(member.name) is member

    def has(self, name: str) -> bool:
        """True when there is a member under this name."""
        return name in self._members

    async def commit(self, member: Member, generation: int, offsets: Mapping[Partition, int]) -> bool:
        """Commit; False when the member is not in the group any more, or of an earlier generation."""
        weather = self._broker.weather
        await weather.hop()
        if not self.is_member(member) or generation != self.generation:
            self.refused += 1
            return False
        for partition, offset in offsets.items():
            history = self._history.setdefault(partition, [0])
            history.append(offset)
            again = history[int(weather.dice.random() * len(history))]
            self.committed[partition] = again if weather.chance(0.03) else offset
        await weather.hop()
        return True

    async def fetch(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        """Return the committed offset."""
        await self._broker.weather.hop()
        return {partition: self.committed.get(partition) for partition in partitions}

    def behind(self) -> bool:
        """True when anything was never committed."""
        return any(max(self._history.get(place, (0,))) < len(self._broker.logs[place]) for place in self._partitions)

    def _rebalance(self) -> None:
        self.turn += 1
        self._waiting_for = set(self._members)
        for member in self._members.values():
            member.process.soon(member.revoke, self.turn)

    def _hand_out(self) -> None:
        self.generation += 1
        names = sorted(self._members)
        self._owned = {name: self._partitions[index :: len(names)] for index, name in enumerate(names)}
        for name, member in self._members.items():
            member.process.soon(member.assign, self._owned[name], self.generation)


async def watch(groups: Sequence[Group]) -> None:
    """The broker's own clock."""
    while True:
        await asyncio.sleep(_LOOK_S)
        for group in groups:
            group.look()
