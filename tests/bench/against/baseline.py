"""This release beside an older one, in turn on one machine: `make bench-baseline` (`BASELINE=` another commit).

The older commit is checked out into a work tree of its own with its own environment, and each runs its own
`python -m tests.bench whole_way`, A B A B. Rates and times depend on the machine; the last column, ours beside theirs,
hardly does. Phone numbers are new in every batch of either.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).parents[3]
COMMIT: Final = os.environ.get("BASELINE", "ae75f3b")
ROUNDS: Final = int(os.environ.get("ROUNDS", "2"))
BENCH: Final = os.environ.get("BENCH", "whole_way")
KEPT_IN: Final = Path.home() / ".cache" / "callweave-bench"
_LINE: Final = re.compile(r"^(?P<bench>\S.{11}) ?(?P<what>\S.*?)\s{2,}(?P<value>[\d,.]+) (?P<unit>\S+)")


def checked_out(commit: str) -> Path:
    """Returns the work tree of a commit, with its environment; both are kept for the next time."""
    tree = KEPT_IN / commit
    if not tree.exists():
        tree.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "-C", str(ROOT), "worktree", "prune"], check=True)
        subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", str(tree), commit], check=True)
    subprocess.run(["make", "-C", str(tree), ".venv/.ready"], check=True, stdout=subprocess.DEVNULL)
    return tree


def measured(tree: Path) -> dict[str, float]:
    """Runs the bench of a work tree; returns its values by what they are of."""
    run = [str(tree / ".venv/bin/python"), "-m", "tests.bench", BENCH]
    out = subprocess.run(run, cwd=tree, check=True, stdout=subprocess.PIPE, text=True).stdout
    return values(out)


def values(table: str) -> dict[str, float]:
    """Returns the values of a printed table by what they are of, with their unit."""
    found = {}
    for line in table.splitlines():
        if each := _LINE.match(line):
            found[f"{each['what']} ({each['unit']})"] = float(each["value"].replace(",", ""))
    return found


def beside(ours: Mapping[str, list[float]], theirs: Mapping[str, list[float]]) -> list[str]:
    """Returns a line for each value that both have: ours, theirs, ours beside theirs."""
    shared = [what for what in ours if what in theirs]
    lines = [f"{'what':<76}{'ours':>10}{'theirs':>10}{'ratio':>8}"]
    for what in shared:
        now, then = median(ours[what]), median(theirs[what])
        ratio = f"{now / then:.2f}" if then else ""
        lines.append(f"{what:<76}{now:>10,.2f}{then:>10,.2f}{ratio:>8}")
    return lines


def main() -> None:
    """Measures both, in turn, and prints the table."""
    trees = {"ours": ROOT, "theirs": checked_out(COMMIT)}
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in trees}
    for number in range(ROUNDS):
        for name, tree in trees.items():
            print(f"round {number + 1} of {ROUNDS}: {name}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)  # noqa: T201 - its output is its purpose
            for what, value in measured(tree).items():
                found[name][what].append(value)
    print("\n".join(beside(found["ours"], found["theirs"])))  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
