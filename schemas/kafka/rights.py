"""The rights that each part and command needs on a Kafka with access control: the least, as one table. Pure.

`callweave topics acls` prints it, `deploy/OPERATIONS.md` shows it, parts and doctor compare it with what the broker
grants, and the tests run every part with exactly these rights. Read and Write include Describe. Brokers before 2.8 want
IdempotentWrite on the cluster from producers, too.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from schemas.topics import (
    AUDIT,
    DEAD,
    ERASURES,
    FACTS,
    LEDGER,
    NORMALIZED,
    POLLS,
    RAW,
    SINK_GROUP,
    STATE,
    TIMELINES,
    TOPICS,
    WORKERS_GROUP,
)

Resource = Literal["topic", "group"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]


class Right(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One operation on one topic or consumer group."""

    operation: Operation
    resource: Resource
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A part or a command, with all rights that it needs."""

    name: str
    does: str
    rights: tuple[Right, ...]

    @property
    def user(self) -> str:
        """The user's name that `callweave topics acls` assumes: the part's, and one for all commands of a person."""
        return f"callweave-{self.name}" if self.name in PARTS else "callweave-admin"


PARTS: Final = ("ingress", "poll", "process", "sink")
"""The roles that are processes; the others are commands of people."""


def _on(operation: Operation, *topics: str) -> tuple[Right, ...]:
    return tuple(Right(operation=operation, resource="topic", name=name) for name in topics)


def _in(operation: Operation, *groups: str) -> tuple[Right, ...]:
    return tuple(Right(operation=operation, resource="group", name=name) for name in groups)


_ALL: Final = tuple(topic.name for topic in TOPICS)
_SEEN: Final = (*_on("Describe", *_ALL), *_on("DescribeConfigs", *_ALL))
_SEARCHED: Final = (RAW.name, FACTS.name, NORMALIZED.name, TIMELINES.name, DEAD.name)

ROLES: Final = (
    Role(
        name="ingress",
        does="publishes what vendors push, also from its spool, and notes whom it refused",
        rights=_on("Write", RAW.name, AUDIT.name),
    ),
    Role(
        name="poll",
        does="publishes what it pulls, and keeps its checkpoints",
        rights=(*_on("Write", RAW.name, POLLS.name, AUDIT.name), *_on("Read", POLLS.name)),
    ),
    Role(
        name="process",
        does="normalises and joins",
        rights=(
            *_on("Read", RAW.name, FACTS.name, STATE.name, ERASURES.name),
            *_on("Write", FACTS.name, NORMALIZED.name, TIMELINES.name, DEAD.name, LEDGER.name, STATE.name, AUDIT.name),
            *_in("Read", WORKERS_GROUP),
        ),
    ),
    Role(
        name="sink",
        does="writes topics into tables",
        rights=(
            *_on("Read", NORMALIZED.name, TIMELINES.name, DEAD.name, LEDGER.name, ERASURES.name),
            *_on("Write", DEAD.name, AUDIT.name),
            *_in("Read", SINK_GROUP),
        ),
    ),
    Role(name="topics", does="compares topics with their contract", rights=_SEEN),
    Role(name="topics --create", does="creates the topics that are missing", rights=(*_on("Create", *_ALL), *_SEEN)),
    Role(
        name="doctor",
        does="looks for what is missing or stands still",
        rights=(
            *_SEEN,
            *_on("Read", RAW.name, FACTS.name, NORMALIZED.name, TIMELINES.name, DEAD.name),
            *_in("Describe", WORKERS_GROUP, SINK_GROUP),
        ),
    ),
    Role(
        name="replay",
        does="normalises a stretch of calls.raw again",
        rights=(*_on("Read", RAW.name, ERASURES.name), *_on("Write", FACTS.name, DEAD.name, LEDGER.name, AUDIT.name)),
    ),
    Role(
        name="dead replay",
        does="sends the bodies of dead letters to the topics they came from",
        rights=_on("Write", RAW.name, FACTS.name, NORMALIZED.name, TIMELINES.name, DEAD.name, LEDGER.name, AUDIT.name),
    ),
    Role(name="conflicts resolve", does="publishes a decision", rights=_on("Write", RAW.name, AUDIT.name)),
    Role(
        name="erase",
        does="erases a number or an account, and counts where it stands",
        rights=(
            *_on("Read", *_SEARCHED),
            *_on("DescribeConfigs", *_SEARCHED),
            *_on("Write", ERASURES.name, TIMELINES.name, AUDIT.name),
        ),
    ),
    Role(name="export", does="notes that the data of a number were exported", rights=_on("Write", AUDIT.name)),
    Role(name="audit list", does="reads the audit trail", rights=_on("Read", AUDIT.name)),
    Role(
        name="import",
        does="publishes the records of a file, and notes that it did",
        rights=_on("Write", RAW.name, AUDIT.name),
    ),
    Role(name="raw show", does="reads the body that a record came from", rights=_on("Read", RAW.name)),
    Role(name="spool drain", does="publishes what waits in a spool", rights=_on("Write", RAW.name)),
)
ROLE: Final = {role.name: role for role in ROLES}


def together(roles: Sequence[Role]) -> tuple[Right, ...]:
    """Returns the rights of several roles, each once."""
    return tuple(dict.fromkeys(right for role in roles for right in role.rights))


def table(roles: Sequence[Role] = ROLES) -> str:
    """Returns roles as a table in Markdown: a role's operations, each with its topics and groups."""
    rows = ["| part or command | operation | topics | groups |", "|---|---|---|---|"]
    for role in roles:
        label = f"`callweave {role.name}`"
        for operation in dict.fromkeys(right.operation for right in role.rights):
            named = {
                kind: _names(
                    [right.name for right in role.rights if (right.operation, right.resource) == (operation, kind)]
                )
                for kind in ("topic", "group")
            }
            rows.append(f"| {label} | {operation} | {named['topic']} | {named['group']} |")
            label = ""
    return "\n".join(rows)


def _names(names: Sequence[str]) -> str:
    return "all" if set(_ALL) <= set(names) else ", ".join(f"`{name}`" for name in names)
