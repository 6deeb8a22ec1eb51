"""The CPU time and the topics of what is measured from outside."""

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Returns the CPU seconds of a process and all its threads until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
