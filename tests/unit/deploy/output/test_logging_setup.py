"""A process that crashes says where, and nothing of what its exception quotes, with a log and without one."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

SECRET = "c0ffee11-13800000000"
ROOT = str(Path(__file__).parents[4])
SET_UP = """
import asyncio, threading
from deploy.output import logging_setup
from schemas.config.logs import LogSettings
logging_setup.set_up(LogSettings(format="{form}"), "sink")
def fails():
    raise ValueError("{secret}")
"""
TASK = """
async def main():
    task = asyncio.ensure_future(asyncio.to_thread(fails))
    await asyncio.sleep(0.2)
asyncio.run(main())
"""
CALLBACK = """
async def main():
    asyncio.get_running_loop().call_soon(fails)
    await asyncio.sleep(0.01)
asyncio.run(main())
"""
FINALISER = """
class One:
    def __del__(self):
        fails()
one = One()
del one
"""
WAYS: dict[str, tuple[str, int]] = {
    "the main thread": ("fails()", 1),
    "another thread": ("t = threading.Thread(target=fails); t.start(); t.join()", 0),
    "a task that nobody awaits": (TASK, 0),
    "a callback": (CALLBACK, 0),
    "a finaliser": (FINALISER, 0),
}


async def output(script: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        env={"PYTHONPATH": ROOT},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_crash_says_where_and_quotes_nothing(form: str) -> None:
    """Tries all ways at once, each in a process of its own."""
    found = await asyncio.gather(
        *(output(SET_UP.format(form=form, secret=SECRET) + script) for script, _ in WAYS.values())
    )

    for (name, (_, expected)), (code, text) in zip(WAYS.items(), found, strict=True):
        assert code == expected, (name, text)
        assert SECRET not in text, name
        assert "ValueError" in text, name
        assert "in fails" in text or " fails" in text, name
        assert len(text.splitlines()) == 1, name
        if form == "json":
            assert json.loads(text)["part"] == "sink"


async def test_a_command_that_crashes_has_no_log_and_quotes_nothing_either() -> None:
    code, text = await output(
        "from deploy.output.logging_setup import hide_tracebacks\nhide_tracebacks()\n"
        f"def fails():\n    raise KeyError('{SECRET}')\nfails()"
    )

    assert code == 1
    assert SECRET not in text
    assert text.startswith("callweave: the process crashed: KeyError at ")
