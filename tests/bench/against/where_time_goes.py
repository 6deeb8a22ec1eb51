"""Samples where our processes spend their CPU time while a bench runs: `python -m tests.bench.against.where_time_goes`.

py-spy, in an environment of its own, takes the stacks of the ingress, the workers and the sink a hundred times a second
for `SAMPLED_S` seconds from the first load on, in this work tree or in that of the commit `BASELINE`. A sample counts
for the part of the innermost frame that a part is known for. Idle threads do not count. The share of a part, times the
process's CPU an event (`make bench ARGS=whole_way`), is the part's.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.bench.against.baseline import ROOT, checked_out
from tests.bench.peers.environments import programs_of
from tests.bench.peers.processes import cpu_s

LOCK: Final = Path(__file__).with_name("py_spy.txt")
SAMPLED_S: Final = int(os.environ.get("SAMPLED_S", "30"))
START_S: Final = 300.0
LOOK_S: Final = 0.5
BENCH: Final = """
from tests.bench import bench_whole_way as bench
bench.costs_us, bench.whole_us = (lambda _bodies: {}), (lambda _costs: 1.0)
bench.measure()
"""
"""The bench of the whole way, without the measurement of the pure functions before it."""
IDLE: Final = 0.1
BUSY: Final = 0.3
"""Shares of a core, below which the ingress has started and waits, and above which the load has begun."""
LEAST: Final = 0.01
"""Smaller shares are counted together."""
PROCESSES: Final = ("ingress", "process", "sink")
OTHER: Final = "other"
PARTS: Final[tuple[tuple[str, str], ...]] = (
    ("telephone numbers", "phonenumbers/ vendor_kit/phone_numbers vendors/_numbers"),
    ("Avro and MessagePack of facts and calls", "fastavro/ schemas/codec schemas/writing/"),
    ("identity and digest", "schemas/identity"),
    ("bodies: JSON, encodings", "schemas/body/ vendors/_decode vendors/_wire vendors/_mojibake"),
    ("mapping of fields", "schemas/vendor schemas/facts"),
    ("normalise: the rest", "processors/normalise processors/versions processors/stages/normalise"),
    (
        "timelines",
        "processors/timeline processors/call_view processors/conference_view processors/legs processors/groups",
    ),
    (
        "states to bytes and back",
        "processors/store/ processors/state_ processors/partition_state processors/restore",
    ),
    ("join: outputs", "processors/stages/join processors/join_stage"),
    (
        "join: merge",
        (
            "processors/join processors/call/ processors/call_state processors/merge processors/dedupe processors/folding "
            "processors/column_bounds"
        ),
    ),
    (
        "Kafka: producing",
        (
            "aiokafka/producer/ processors/outbox processors/publish ingress/kafka schemas/kafka/ ingress/publisher "
            "ingress/in_flight"
        ),
    ),
    ("Kafka: records and compression", "aiokafka/record/ aiokafka/codec"),
    (
        "Kafka: connections and consuming",
        (
            "aiokafka/ processors/engine/ processors/records processors/slices processors/fetching processors/lanes "
            "processors/commits processors/worker sinks/consumer sinks/group"
        ),
    ),
    ("Faust", "faust/ mode/"),
    ("rows: decode and build", "sinks/columns sinks/rows sinks/typed_records sinks/intake sinks/scanning/"),
    ("rows: their place and insert", "/sinks/ clickhouse_connect/ urllib3/"),
    (
        "accept a request",
        (
            "ingress/http/ ingress/access/ ingress/durable/ ingress/spool ingress/accept ingress/handlers ingress/answers "
            "ingress/doors ingress/limits ingress/inflate"
        ),
    ),
    ("connections and HTTP", "/ingress/ aiohttp/"),
    ("metrics and log", "schemas/metrics /logging/"),
    ("event loop", "asyncio/ uvloop /deploy/ selectors concurrent/"),
)
"""The parts, each with what the path of a frame's file contains, in this release or an older one; the first that fits
counts."""


def part_of(stack: str) -> str:
    """Returns the part of a stack, `outermost (file:line);...;innermost (file:line)`."""
    for frame in reversed(stack.split(";")):
        for part, places in PARTS:
            if any(place in frame for place in places.split()):
                return part
    return OTHER


def shares(raw: Iterable[str]) -> dict[str, float]:
    """Returns the share of each part, the largest first, from py-spy's raw lines: a stack, a blank and its count."""
    counts: Counter[str] = Counter()
    for line in raw:
        stack, _, number = line.rstrip().rpartition(" ")
        if stack:
            counts[part_of(stack)] += int(number)
    total = counts.total()
    large = {part: count / total for part, count in counts.most_common() if count / total >= LEAST and part != OTHER}
    rest = 1.0 - sum(large.values()) if total else 0.0
    return large | ({OTHER: rest} if rest > LEAST / 100 else {})


def descendants(pid: int) -> Iterator[tuple[int, list[str]]]:
    """Yields the process ids and command lines of all processes below one."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            waiting.append(child)
            with contextlib.suppress(OSError):
                yield child, Path(f"/proc/{child}/cmdline").read_text().split("\0")


def parts_below(pid: int) -> dict[str, int]:
    """Returns the ingress, one worker and the sink below a process, by the names of their commands."""
    found: dict[str, int] = {}
    for child, command in descendants(pid):
        for name in PROCESSES:
            if name in command:
                found.setdefault(name, child)
    return found


def wait_for_load(pid: int) -> None:
    """Waits until a process has been idle and then is busy: its start is not what is asked."""
    was_idle, used = False, cpu_s(pid)
    while True:
        time.sleep(LOOK_S)
        share, used = (cpu_s(pid) - used) / LOOK_S, cpu_s(pid)
        if was_idle and share > BUSY:
            return
        was_idle = was_idle or share < IDLE


@contextlib.contextmanager
def bench_of(tree: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the bench of the whole way in a work tree, and ends it in order, with its stack."""
    running = subprocess.Popen(
        [str(tree / ".venv/bin/python"), "-c", BENCH],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.wait()


def sampled(tree: Path) -> dict[str, dict[str, float]]:
    """Runs the bench of a work tree, and returns the shares of each process."""
    programs = programs_of(LOCK)
    with tempfile.TemporaryDirectory() as folder, bench_of(tree) as running:
        deadline = time.monotonic() + START_S
        while len(found := parts_below(running.pid)) < len(PROCESSES):
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the bench in {tree} started only {', '.join(found) or 'nothing'}")
            time.sleep(LOOK_S)
        wait_for_load(found["ingress"])
        spies = {
            name: subprocess.Popen(
                [
                    str(programs / "py-spy"), "record", "--pid", str(pid), "--duration", str(SAMPLED_S), "--format", "raw",
                    "--full-filenames", "--nonblocking", "--output", f"{folder}/{name}",
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for name, pid in found.items()
        }  # fmt: skip
        for spy in spies.values():
            spy.wait()
        return {name: shares((Path(folder) / name).read_text().splitlines()) for name in spies}


def table(process: str, found: Mapping[str, float]) -> str:
    """Returns the lines of one process."""
    return "\n".join(f"{process:<10} {part:<42} {share:>6.1%}" for part, share in found.items())


def main() -> None:
    """Samples this work tree, or that of the commit `BASELINE`, and prints a table."""
    commit = os.environ.get("BASELINE", "")
    found = sampled(checked_out(commit) if commit else ROOT)
    print(f"{commit or 'this work tree'}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)  # noqa: T201 - its output is its purpose
    print("\n".join(table(process, of) for process, of in found.items()))  # noqa: T201 - likewise


if __name__ == "__main__":
    main()
