"""No memory left: a worker is bounded and ends even if its way out fails, and no body is blamed as a bug."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from processors import normalise as normalising
from processors.normalise import Directory, normalise
from schemas.config.limits import DEFAULT
from schemas.raw import Position, RawCallback

ROOT = Path(__file__).parents[4]
_LIMITED = """
from processors.poison.memory_limit import limit_memory
limit_memory({limit_mb})
try:
    held = [bytearray(1 << 20) for _ in range(800)]
except MemoryError:
    print("no memory")
else:
    print("enough")
"""
_LAST_WORDS = """
import logging
from processors.engine.watchdog import end_process

class Speechless(logging.Handler):
    def handle(self, record):
        raise MemoryError

logging.getLogger().addHandler(Speechless())
end_process("it wants more than there is", MemoryError())
"""


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("limit_mb", "output"),
    [pytest.param(400, "no memory", id="a bound"), pytest.param(0, "enough", id="none")],
)
def test_a_worker_s_memory_is_bounded_by_the_kernel(limit_mb: int, output: str) -> None:
    done = run(_LIMITED.format(limit_mb=limit_mb))

    assert (done.returncode, done.stdout.strip()) == (0, output), done.stderr


def test_a_process_without_memory_for_a_last_word_ends_all_the_same() -> None:
    assert run(_LAST_WORDS).returncode == 70


@pytest.mark.parametrize("where", ["decode", "seal"], ids=["while it is decoded", "while an element is sealed"])
def test_a_body_for_which_there_is_no_memory_is_no_bug_of_ours(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends, and the next one finds out whether this body was the cause."""

    def none_left(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(normalising, where, none_left)
    raw = RawCallback(
        vendor="nxcloud",
        callback="cdr",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        request_id="r",
        body=b'{"sessionid":"a","show_phone":"6298881888","start_time":"1555484075","end_time":"1555484089"}',
    )

    with pytest.raises(MemoryError):
        normalise(raw, Position("calls.raw", 0, 0), Directory(), DEFAULT)
