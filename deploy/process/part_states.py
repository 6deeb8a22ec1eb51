"""The file in which `callweave up` describes its parts, so that `callweave doctor`, another process, knows of them."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from deploy.process.part_process import SupervisedPart

FILE: Final = "parts.json"


class PartState(msgspec.Struct, frozen=True, kw_only=True):
    """One supervised part."""

    name: str
    pid: int
    """0 between two starts."""
    restarts: tuple[float, ...]
    """The times of its restarts in epoch seconds, the latest last."""
    last_exit: int | None
    metrics: str
    """The address of its metrics."""


class States(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of one `callweave up`."""

    supervisor: int
    parts: tuple[PartState, ...]


def write_states(data_dir: Path, parts: Sequence[SupervisedPart], metrics: Mapping[str, str]) -> None:
    """Writes the parts as they are now; on a full disk the old file stays."""
    states = States(
        supervisor=os.getpid(),
        parts=tuple(
            PartState(
                name=part.name,
                pid=part.pid or 0,
                restarts=tuple(part.started_again),
                last_exit=part.process.last_exit,
                metrics=metrics.get(part.name, ""),
            )
            for part in parts
        ),
    )
    new = data_dir / f"{FILE}.new"
    with contextlib.suppress(OSError):
        new.write_bytes(msgspec.json.encode(states))
        new.replace(data_dir / FILE)


def remove_states(data_dir: Path) -> None:
    """Removes the file when the parts have stopped."""
    (data_dir / FILE).unlink(missing_ok=True)


def read_states(data_dir: Path) -> States | None:
    """Returns the parts of the `callweave up` that runs on this directory; None when none does."""
    try:
        states = msgspec.json.decode((data_dir / FILE).read_bytes(), type=States)
        os.kill(states.supervisor, 0)
    except PermissionError:
        return states  # it runs as another user
    except (OSError, msgspec.DecodeError):
        return None
    return states
