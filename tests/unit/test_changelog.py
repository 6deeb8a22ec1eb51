"""The changelog has the newest version of everything that outlives a process."""

import re
from pathlib import Path
from typing import Final

from processors.versions import LOGIC_REV
from schemas.codec import PREVIOUS

ROOT: Final = Path(__file__).parents[2]
NEWEST: Final = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1]


def _row(name: str) -> str:
    (row,) = [line for line in NEWEST.splitlines() if line.startswith(f"| {name}")]
    return row


def test_the_changelog_has_the_newest_migration() -> None:
    newest = max(path.name[:3] for path in (ROOT / "sinks" / "migrations").glob("*.sql"))

    assert f"up to {newest} " in _row("tables and views")


def test_the_changelog_has_the_newest_schemas() -> None:
    versions = {int(re.findall(r"\.v(\d+)\.avsc", path.name)[0]) for path in (ROOT / "schemas" / "avro").glob("*.avsc")}

    assert f"| {max(versions)} |" in _row("Avro schemas")


def test_the_changelog_has_the_schemas_that_the_release_before_reads() -> None:
    assert f"| {max(PREVIOUS.values())} |" in _row("the same, where `kafka.avro_release`")


def test_the_changelog_has_the_revision_of_rows_versions() -> None:
    assert f"| {LOGIC_REV} |" in _row("versions of rows")
