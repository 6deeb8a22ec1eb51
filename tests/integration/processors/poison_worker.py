"""`callweave process` with bodies and facts that really kill it: by a signal, by memory, by a hang in C.

What kills is in this process alone; the product knows nothing of it.
"""

import ctypes
import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

import processors.normalise
from deploy.cli.part_commands import with_codecs
from deploy.runtime import run_part
from processors.main import run
from processors.store.partition import PartitionState
from schemas.config.settings import Settings
from tests.support.command import decoded


def _by_signal() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _by_memory() -> None:
    """Allocate without end, as a body that inflates; bounded here too where the machine has no limit."""
    held = [bytearray(1 << 20) for _ in range(4096)]
    os._exit(len(held) % 100)  # there is no limit


def _by_hang() -> None:
    """Hang in C with the interpreter's lock held: no thread of Python runs any more."""
    ctypes.PyDLL(None).sleep(600)


KINDS: Final[Mapping[str, Callable[[], None]]] = {
    "signal": _by_signal,
    "memory": _by_memory,
    "hang": _by_hang,
}


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of this worker."""

    settings: Settings
    normalise: bool = False
    """True when bodies with `<calls>-kills-by-<kind>` in them kill."""
    join: bool = False
    """True when facts of such calls kill."""
    calls: str = ""
    """The prefix of these calls' ids."""


def _arm_normalise(calls: str) -> None:
    names = vars(processors.normalise)
    original = names["decode"]

    @functools.wraps(original)
    def decode(raw: Any, *args: Any, **kwargs: Any) -> Any:
        for kind, kill in KINDS.items():
            if f"{calls}-kills-by-{kind}".encode() in raw.body:
                kill()
        return original(raw, *args, **kwargs)

    names["decode"] = decode


def _arm_join(calls: str) -> None:
    original = PartitionState.apply

    def apply(self: PartitionState, fact: Any, **how: Any) -> Any:
        for kind, kill in KINDS.items():
            if fact.vendor_call_id == f"{calls}-kills-by-{kind}":
                kill()
        return original(self, fact, **how)

    PartitionState.apply = apply  # type: ignore[method-assign]


def main() -> None:
    order = decoded(sys.argv[1], Order)
    if order.normalise:
        _arm_normalise(order.calls)
    if order.join:
        _arm_join(order.calls)
    process = order.settings.process
    sys.exit(
        run_part(
            with_codecs(run),
            order.settings,
            metrics_port=process.metrics_port,
            name="process",
            blocked_s=process.blocked_s,
        )
    )


if __name__ == "__main__":
    main()
