"""What every one of the Python programs here shares: it runs named checks and prints a line for each."""

import importlib.metadata
import os
from collections.abc import Callable, Mapping


def setting(name: str) -> str:
    """A part of the server's address, from the environment."""
    return os.environ[f"CLICKHOUSE_{name}"]


def expect(got: object, wanted: object) -> None:
    """Raises AssertionError when they differ."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, want {wanted!r}")


def version(package: str) -> None:
    """Prints the installed version."""
    print("version", importlib.metadata.version(package))  # noqa: T201 - the runner reads it


def run(checks: Mapping[str, Callable[[], object]]) -> None:
    """Runs each; whatever one raises is its line's end."""
    for name, check in checks.items():
        try:
            check()
        except Exception as exc:  # noqa: BLE001 - a failing check is what this program tells
            print(f"not ok {name}: {' '.join(f'{type(exc).__name__}: {exc}'.split())}", flush=True)  # noqa: T201 - likewise
        else:
            print("ok", name, flush=True)  # noqa: T201 - likewise
