"""Runs named checks and prints a line for each; all Python programs here use it."""

import importlib.metadata
import os
from collections.abc import Callable, Mapping


def setting(name: str) -> str:
    """Returns a part of the server's address from the environment."""
    return os.environ[f"CLICKHOUSE_{name}"]


def expect(got: object, wanted: object) -> None:
    """Raises AssertionError when the two values differ."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, want {wanted!r}")


def version(package: str) -> None:
    """Prints the installed version."""
    print("version", importlib.metadata.version(package))  # noqa: T201 - the runner reads it


def run(checks: Mapping[str, Callable[[], object]]) -> None:
    """Runs each check; an exception becomes the end of its line."""
    for name, check in checks.items():
        try:
            check()
        except Exception as exc:  # noqa: BLE001 - this program reports failing checks
            print(f"not ok {name}: {' '.join(f'{type(exc).__name__}: {exc}'.split())}", flush=True)  # noqa: T201 - likewise
        else:
            print("ok", name, flush=True)  # noqa: T201 - likewise
