"""Records on disk: in parts, removed at the end, also those of a run that was killed; a full disk is said."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.reconcile.records import CallRecord
from deploy.reconcile.rows.bounds import UnreadableFile
from deploy.reconcile.spilled import PARTS, Spill

OLD_S = 3600


def aged(path: Path) -> None:
    begun = path.stat().st_mtime - OLD_S
    os.utime(path, (begun, begun))


def test_all_records_come_back_in_their_order_and_nothing_stays(tmp_path: Path) -> None:
    with Spill(tmp_path) as spill:
        for line in range(1, 1001):
            spill.put("theirs", f"c{line % 7}", CallRecord(line=line, call_id=f"c{line % 7}", trouble="x"))
        found = [one for part in range(PARTS) for one in spill.part("theirs", part)]
        assert [path.stat().st_mode & 0o077 for path in tmp_path.iterdir()] == [0]

    assert sorted(one.line for one in found) == list(range(1, 1001))
    assert all(one.trouble == "x" for one in found)
    for call in range(7):
        lines = [one.line for one in found if one.call_id == f"c{call}"]
        assert lines == sorted(lines)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    left = tmp_path / "callweave-reconcile-left"
    left.mkdir()
    (left / "theirs-001").write_bytes(b"+8613800000000")
    other = tmp_path / "callweave-reconcile-file"
    other.write_bytes(b"")
    aged(left)
    with Spill(tmp_path) as living:
        living.put("theirs", "c", CallRecord(line=7))
        mine = next(path for path in tmp_path.iterdir() if path.is_dir())
        assert not left.exists()
        aged(mine)
        with Spill(tmp_path):
            assert mine.exists()
    assert other.exists()


def test_a_link_is_not_followed_when_the_left_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"")
    (tmp_path / "callweave-reconcile-link").symlink_to(kept)

    with Spill(tmp_path):
        pass

    assert (kept / "file").exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="temporary files cannot be written"):
        Spill(tmp_path / "gone")


FILL = """
import sys
from pathlib import Path
from deploy.reconcile.records import CallRecord
from deploy.reconcile.rows.bounds import UnreadableFile
from deploy.reconcile.spilled import Spill
try:
    with Spill(Path(sys.argv[1])) as spill:
        for line in range(20_000):
            spill.put("theirs", "one call", CallRecord(line=line, call_id="one call"))
except UnreadableFile as exc:
    print(exc)
"""


def test_a_disk_that_is_full_is_said_and_what_was_written_is_removed(tmp_path: Path) -> None:
    """A limit of the size of a file stands for the disk."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )

    assert "temporary files cannot be written" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())
