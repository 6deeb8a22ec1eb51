"""The readiness of a part, judged from its own metrics. Pure: numbers in, sentences out."""

from collections.abc import Callable
from typing import Final

from processors.poison.crashes import OFTEN
from schemas.metrics import Registry

BLOCKED_S: Final = 5.0
"""A loop that was blocked for this long delayed heartbeats."""

_Reason = Callable[[Registry, str], str]


def _blocked(metrics: Registry, part: str) -> str:
    held_s = metrics.get("callweave_loop_blocked_seconds", part)
    return f"its event loop was blocked for {held_s:.0f} s in the last minute" if held_s >= BLOCKED_S else ""


def _deaths(metrics: Registry, _part: str) -> str:
    deaths = metrics.get("callweave_process_deaths")
    return f"workers here ended {deaths:.0f} times in the last 10 minutes" if deaths >= OFTEN else ""


def _partitions(metrics: Registry, _part: str) -> str:
    held = [metrics.get("callweave_process_partitions", stage) for stage in ("normalise", "join")]
    return "" if any(held) else "no partition is assigned to it"


def _stalled(metrics: Registry, _part: str) -> str:
    stalled = sum(metrics.get("callweave_process_stalled_partitions", stage) for stage in ("normalise", "join"))
    return f"{stalled:.0f} partitions do not move" if stalled else ""


def _waiting(metrics: Registry, _part: str) -> str:
    return "it waits for ClickHouse" if metrics.get("callweave_sink_waiting") else ""


_REASONS: Final[dict[str, tuple[_Reason, ...]]] = {
    "process": (_blocked, _deaths, _partitions, _stalled),
    "sink": (_blocked, _waiting),
    "poll": (_blocked,),
}


def not_ready(metrics: Registry, part: str) -> list[str]:
    """Returns the reasons why a part is not ready, none when it is; call `Registry.refresh` before."""
    return [text for reason in _REASONS.get(part, (_blocked,)) if (text := reason(metrics, part))]
