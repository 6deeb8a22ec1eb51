"""The reason why a broker ended, from the last lines of its log. Pure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas.errors import SetupError

_QUOTED_LINES: Final = 12

# Text in Kafka's log, the code of the error, its sentence, what to do. The first match counts: causes before their
# effects.
_KNOWN: Final = (
    (
        "No space left on device",
        "no_disk",
        "Kafka ran out of disk space in {data_dir}",
        "Free some space, or set a data directory on another disk.",
    ),
    (
        "Failed to acquire lock on file",
        "locked",
        "another Kafka already runs on {data_dir}",
        "Stop it, or set another data directory for this one.",
    ),
    (
        "Address already in use",
        "port_in_use",
        "another process listens on a port that Kafka needs",
        "Stop that process, or set Kafka's port to a free one (0 picks one).",
    ),
    (
        "Could not reserve enough space for",
        "no_memory",
        "Java did not get the memory that Kafka's heap needs",
        "Close other programs, or set a smaller heap for Kafka.",
    ),
    (
        "OutOfMemoryError",
        "no_memory",
        "Kafka's heap was too small for its load",
        "Set a larger heap for Kafka.",
    ),
)


def explain_crash(lines: Sequence[str], *, code: int | None, data_dir: Path, log_file: Path) -> SetupError:
    """Returns the error for a broker that ended with `code`, or did not answer in time (`code` None)."""
    for sign, error_code, sentence, advice in _KNOWN:
        if any(sign in line for line in lines):
            return SetupError(sentence.format(data_dir=data_dir), code=error_code, advice=advice)
    what = "did not answer in time" if code is None else f"ended with exit code {code}"
    quoted = "\n".join(f"    {line}" for line in _without_frames(lines)) or "    (it said nothing)"
    return SetupError(
        f"Kafka {what}; it said last:\n{quoted}",
        code="crash",
        advice=f"The whole log is in {log_file}. A damaged data directory ({data_dir}) can be moved away to start anew.",
    )


def _without_frames(lines: Sequence[str]) -> Sequence[str]:
    # Stack frames would push the sentence that matters out of the quoted lines.
    return [line for line in lines if not line.lstrip().startswith("at ")][-_QUOTED_LINES:]
