"""A copy of the project with one vendor more: its file and its folder of golden cases, and nothing else.

`run` runs a command in the copy; `push` sends requests through the copy's own ingress, normaliser and joiner.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3]
PACKAGES: Final = ("deploy", "ingress", "processors", "schemas", "sinks")
SHARED_SUITES: Final = (
    *(f"schemas/vendors/test_{name}.py" for name in ("golden", "every_vendor", "vendor_contract")),
    "test_architecture.py",
)
_PYTEST: Final = ("-m", "pytest", "-p", "no:cacheprovider")


def with_vendor(copy: Path, source: Path, name: str) -> Path:
    """Copies the project into `copy` and adds the vendor `name`, whose file and `golden` folder are in `source`.

    The bytecode goes with it, where there is some: nine tenths of the modules are those of the project.
    """
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package)
    for part in ("golden", "support", "unit"):
        shutil.copytree(ROOT / "tests" / part, copy / "tests" / part)
    for file in ("pyproject.toml", "tests/conftest.py", "tests/lanes.py"):
        shutil.copy(ROOT / file, copy / file)
    shutil.copy(source / f"{name}.py", copy / "schemas" / "vendors" / f"{name}.py")
    shutil.copytree(source / "golden", copy / "tests" / "golden" / name)
    return copy


def run(project: Path, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs Python in a copy of the project."""
    return subprocess.run(
        [sys.executable, *command], cwd=project, input=stdin, capture_output=True, timeout=240, check=False,
        # Hypothesis keeps tables of all characters there, which take seconds to make.
        env={**os.environ, "PYTHONPATH": str(project), "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")},
    )  # fmt: skip


def push(project: Path, *requests: dict[str, Any], accounts: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Sends requests to the copy; returns replies, records, facts and timelines."""
    asked = json.dumps({"requests": requests, "accounts": accounts}).encode()
    done = run(project, "-m", "tests.support.payloads.pushed_through", stdin=asked)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_shared_suites(project: Path, name: str) -> None:
    """Every shared suite has tests for the vendor, and they pass."""
    done = run(
        project, *_PYTEST, "-vv", "-x", *(f"tests/unit/{suite}" for suite in SHARED_SUITES), "-k", f"{name} or folder"
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said[-4000:]
    passed = [line for line in said.splitlines() if " PASSED" in line and name in line]
    assert {line.split("::")[0].removeprefix("tests/unit/") for line in passed} == set(SHARED_SUITES), said[-2000:]


def case(source: Path, name: str) -> dict[str, Any]:
    """Returns the request of one of the vendor's golden cases."""
    found: dict[str, Any] = json.loads((source / "golden" / f"{name}.json").read_text("utf-8"))
    return found
