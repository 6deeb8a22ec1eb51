"""The log file of a process stays within its size, however many processes write to it, and no line is lost."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from deploy.output.log_file import numbered, rotate
from deploy.process.child import spawn

LINES = 3000
WRITER = """\
import sys
from pathlib import Path
from deploy.output import logging_setup
from schemas.config.logs import LogSettings
import logging

logging_setup.set_up(LogSettings(max_bytes=8192, files=int(sys.argv[2])), "ingress", file=Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    logging.getLogger("callweave").info("line writer=%s number=%d", sys.argv[4], number)
"""


async def written(file: Path, *, files: int, writers: int, lines: int = LINES) -> dict[Path, list[str]]:
    """Returns the lines of all files after these writers wrote to the same one."""
    script = file.parent / "writer.py"
    script.write_text(WRITER)
    root = str(Path(__file__).parents[4])
    children = []
    for number in range(writers):
        command = (sys.executable, str(script), str(file), str(files), str(lines), str(number))
        children.append(await _appending(command, file, root))
    for child in children:
        assert await child.wait() == 0
    return {path: path.read_text().splitlines() for path in sorted(file.parent.glob("*.log"))}


async def _appending(command: tuple[str, ...], file: Path, root: str) -> asyncio.subprocess.Process:
    with file.open("ab") as output:
        return await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, env={"PYTHONPATH": root})


@pytest.mark.parametrize("writers", [1, 3])
async def test_no_line_is_lost_and_each_file_is_small(tmp_path: Path, writers: int) -> None:
    found = await written(tmp_path / "ingress.log", files=1000, writers=writers, lines=LINES // writers)

    told = sorted(
        re.findall(r"line writer=\d number=\d+", "\n".join(line for lines in found.values() for line in lines))
    )
    assert told == sorted(f"line writer={w} number={n}" for w in range(writers) for n in range(LINES // writers))
    assert len(found) > 5
    # A process looks only every 64 lines.
    assert max(path.stat().st_size for path in found) < 8192 + writers * 64 * 100


async def test_the_oldest_files_go(tmp_path: Path) -> None:
    found = await written(tmp_path / "ingress.log", files=3, writers=1)

    assert [path.name for path in found] == ["ingress.1.log", "ingress.2.log", "ingress.log"]
    assert found[tmp_path / "ingress.log"][-1].endswith(f"number={LINES - 1}")


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (1, {}),
        (2, {"x.1.log": "current"}),
        (3, {"x.1.log": "current", "x.2.log": "before"}),
        (4, {"x.1.log": "current", "x.2.log": "before", "x.3.log": "oldest"}),
    ],
)
def test_rotating(tmp_path: Path, files: int, left: dict[str, str]) -> None:
    file = tmp_path / "x.log"
    for path, text in ((file, "current"), (numbered(file, 1), "before"), (numbered(file, 2), "oldest")):
        path.write_text(text)

    rotate(file, files)

    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    # Fewer files than before: the ones beyond the number are not touched again.
    assert {name: text for name, text in kept.items() if int(name.split(".")[1]) < files} == left


async def test_a_process_is_started_with_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("before")

    child = await spawn((sys.executable, "-c", "print('now')"), output=tmp_path / "x.log")

    assert await child.wait() == 0
    assert (tmp_path / "x.log").read_text() == "now\n"
