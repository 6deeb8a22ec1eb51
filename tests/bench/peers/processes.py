"""The CPU time and the topics of what is measured from outside."""

import os
from collections.abc import Iterable
from pathlib import Path

from aiokafka.admin import NewTopic

from schemas.config.settings import KafkaSettings
from schemas.kafka import clients


def cpu_s(pid: int) -> float:
    """Returns the CPU seconds of a process and all its threads until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def make_topics(kafka: KafkaSettings, names: Iterable[str]) -> None:
    """Creates topics of peers, with as many partitions as ours have."""
    admin = clients.admin(kafka, "topics")
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, kafka.partitions, kafka.replication) for name in names])
    finally:
        await admin.close()
