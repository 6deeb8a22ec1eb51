"""The README's own commands, run as they are printed: the first callback, the first query, and their printed output."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.support import whole_stack as ws

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
LIMIT_S = 60.0


def after(heading: str, number: int = 0) -> str:
    """A block of the section with this heading."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks: list[str] = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return blocks[number]


async def shell(command: str, data_dir: Path, addresses: dict[str, str]) -> str:
    """The output of a printed command, with the ports of a stack in the place of the usual ones."""
    for usual, ours in addresses.items():
        assert usual in command
        command = command.replace(usual, ours)
    command = command.replace(".venv/bin/callweave", f"{sys.executable} -m deploy.cli.main")
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        cwd=ROOT,
        env={**os.environ, "CALLWEAVE_EMBEDDED__DATA_DIR": str(data_dir)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.timeout(240)
async def test_the_first_callback_becomes_the_printed_row(tmp_path: Path) -> None:
    async with ws.whole_stack(tmp_path / "data") as stack:
        data_dir = Path(stack.settings.embedded.data_dir)
        pushed = await shell(after("Send your first callback"), data_dir, {"http://127.0.0.1:8080": stack.ingress_url})
        assert pushed.startswith("HTTP/1.1 200")

        printed = after("Query the call", 1)
        query = {"127.0.0.1:8123": f"127.0.0.1:{stack.settings.embedded.clickhouse_port}"}

        async def other() -> str:
            shown = await shell(after("Query the call"), data_dir, query)
            return "" if shown.strip() == printed.strip() else shown

        assert await ws.until(other, LIMIT_S) == ""
