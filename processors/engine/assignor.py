"""The group's assignor: each worker gets an even share of each topic, and keeps its partitions as far as possible.

aiokafka's sticky assignor evens out the sum over all topics: beside a first worker a second one gets all of
`calls.raw`, and the first is left with all of `calls.facts` (seen on aiokafka 0.14.0). Normalising and joining cost
differently, so one of the two would stand idle. Here it is asked topic by topic. Its name and the members' metadata
stay unchanged: workers of an earlier release may be in the same group.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class EachTopicAssignor(StickyPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """The sticky assignor, topic by topic: shares of a topic differ by one partition at the most."""

    @classmethod
    def assign(
        cls, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assign every partition of every topic that a member subscribes to to exactly one member."""
        known = {member: cls.parse_member_metadata(metadata) for member, metadata in members.items()}
        shares: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
        for topic in sorted({topic for each in known.values() for topic in each.subscription}):
            readers = {
                member: cls._metadata([topic], [tp for tp in each.partitions if tp.topic == topic], each.generation)
                for member, each in known.items()
                if topic in each.subscription
            }
            for member, share in super().assign(_OneTopic(cluster, topic), readers).items():
                shares[member] += share.assignment
        return {member: ConsumerProtocolMemberAssignment(cls.version, shares[member], b"") for member in members}


class _OneTopic:
    """A view of the cluster with one topic only."""

    def __init__(self, cluster: Any, topic: str) -> None:
        self._cluster = cluster
        self._topic = topic

    def topics(self) -> set[str]:
        return {self._topic}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        partitions: set[int] | None = self._cluster.partitions_for_topic(topic)
        return partitions
