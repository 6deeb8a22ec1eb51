"""Looks the locked packages up among known vulnerabilities, as `make audit` does: exit code 1 when one is found.

When the database cannot be asked, that is said in a sentence, with exit code 2: nothing was shown then.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
FOUND: Final = 1
NOT_ASKED: Final = 2
_COMMAND: Final = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--timeout=15", "-f", "json", "-r")


def outcome(text: str, error: str) -> tuple[int, str]:
    """Returns the exit code and what to print, from what pip-audit printed."""
    try:
        packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = error.strip().splitlines()[-1:] or ["it said nothing"]
        return NOT_ASKED, f"The database of vulnerabilities could not be asked, so nothing is known: {last[0][:200]}"
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if skipped:
        return NOT_ASKED, f"{len(skipped)} packages could not be looked up: {', '.join(skipped[:5])}"
    bad = [f"{one['name']} {one['version']}: {bug['id']}" for one in packages for bug in one["vulns"]]
    return (FOUND if bad else 0), "\n".join([*bad, f"{len(packages)} packages, {len(bad)} known vulnerabilities"])


def main() -> int:
    """Asks, prints, and returns the exit code."""
    tool = ROOT / ".venv/tools/bin/pip-audit"
    command = (str(tool), *_COMMAND, str(ROOT / "deploy/requirements.txt"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    code, text = outcome(done.stdout, done.stderr)
    print(text)  # noqa: T201 - its output is its purpose
    return code


if __name__ == "__main__":
    sys.exit(main())
