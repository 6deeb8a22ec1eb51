"""The order in which parts are replaced by those of another version, and by which they go back. Pure."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

BEFORE_TABLES: Final = ("process-1", "process-2", "ingress-1", "ingress-2", "poll")
"""The parts that run beside those of before and can go back, in the order of an upgrade."""
SINKS: Final = ("sink-1", "sink-2")
"""The parts that know the form of the tables, so that they are replaced with it and do not go back."""
SLOTS: Final = (*BEFORE_TABLES, *SINKS)
WRITERS: Final = ("sink-1", "sink-2", "process-1", "process-2")
"""The parts that write Avro of which a release may have another version."""

Parts = Literal["old", "new", "newest"]
"""The parts of a step: `new` ones write what the old ones read, `newest` are the same ones, which write what is new."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the plan; the parts run on as they are until the next one."""

    text: str
    version: Parts
    slots: tuple[str, ...] = ()
    """The parts that are replaced at once, all stopped before the first one starts; none: nothing but a pause."""
    setup: Literal["", "topics", "tables"] = ""
    """The version's topics, or its tables and views, when they are made in this step."""


def plan(*, stop_workers_first: bool, rollback: bool) -> tuple[Change, ...]:
    """Returns the steps from "old" to "new" and, with `rollback`, back to "old" and again to "new"; then "newest".

    These are the steps of OPERATIONS.md: from the tables on there is no way back.
    """
    steps = [
        Change(text="all old", version="old"),
        Change(text="topics of the new one", version="new", setup="topics"),
        *_replaced("new", BEFORE_TABLES, together=stop_workers_first),
        Change(text="all new but the sinks", version="new"),
    ]
    if rollback:
        steps += [
            *_replaced("old", tuple(reversed(BEFORE_TABLES)), together=stop_workers_first),
            Change(text="all old again", version="old"),
            *_replaced("new", BEFORE_TABLES, together=stop_workers_first, again=" again"),
            Change(text="all new but the sinks again", version="new"),
        ]
    return (
        *steps,
        Change(text="tables of the new one, for which the old sinks wait", version="new", setup="tables"),
        *_replaced("new", SINKS, together=False),
        Change(text="all new", version="new"),
        *_replaced("newest", WRITERS, together=False),
        Change(text="all newest", version="newest"),
    )


def _replaced(version: Parts, slots: tuple[str, ...], *, together: bool, again: str = "") -> Iterator[Change]:
    workers = tuple(slot for slot in slots if slot.startswith("process"))
    done: set[str] = set()
    for slot in slots:
        if slot in done:
            continue
        at_once = workers if together and slot in workers else (slot,)
        done.update(at_once)
        yield Change(text=f"{' and '.join(at_once)} to {version}{again}", version=version, slots=at_once)
