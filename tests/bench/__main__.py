"""All benchmarks, or those named, in one table: `python -m tests.bench [name ...]`.

Each runs in a process of its own, because Faust and uvloop leave traces in theirs. A line's last column is its value's
share of the limit that was measured in the same run, so that a busy machine spoils numbers but hardly ratios.
"""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.bench.support.lines import head, lines_of

NAMES = (
    "pure", "join", "repolls", "ingress", "spool", "overload", "outage", "record_batches", "sink", "query", "clickhouse",
    "soak", "whole_way", "compare", "peers",
)  # fmt: skip


def main(names: list[str]) -> None:
    if unknown := set(names) - set(NAMES):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before the start\n\n{head()}", flush=True)  # noqa: T201  # its output is its purpose
    context = multiprocessing.get_context("spawn")
    for name in names or NAMES:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            for line in pool.submit(lines_of, name).result():
                print(line.text(), flush=True)  # noqa: T201  # likewise


if __name__ == "__main__":
    main(sys.argv[1:])
