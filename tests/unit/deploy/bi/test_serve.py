"""The program that runs in Superset's environment: what it does about a start that was killed."""

import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from deploy.bi.environment import SUPERSET


@pytest.fixture(scope="module")
def serve() -> ModuleType:
    """Yields the program; of Superset it imports nothing before it is asked to."""
    spec = importlib.util.spec_from_file_location("superset_serve", SUPERSET / "serve.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _made(folder: Path, *tables: str) -> None:
    with sqlite3.connect(folder / "superset.db") as db:
        for table in tables:
            db.execute(f"CREATE TABLE {table} (id INTEGER)")


def _tables(folder: Path) -> set[str]:
    with sqlite3.connect(folder / "superset.db") as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def test_a_database_that_was_never_ready_is_made_anew(serve: ModuleType, tmp_path: Path) -> None:
    _made(tmp_path, "half")
    (tmp_path / "superset.db-journal").write_bytes(b"what was on its way")
    (tmp_path / "secret-key").write_text("stays", "utf-8")

    serve.mend(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]


def test_a_database_that_is_ready_stays(serve: ModuleType, tmp_path: Path) -> None:
    _made(tmp_path, "whole")
    (tmp_path / "prepared").write_text("6.1.0", "utf-8")

    serve.mend(tmp_path)

    assert _tables(tmp_path) == {"whole"}


@pytest.mark.parametrize("release", ["6.0.0", "6.1.0"])
def test_a_database_that_was_being_brought_to_another_release_is_as_it_was(
    serve: ModuleType, tmp_path: Path, release: str
) -> None:
    """Also where the kill came after the new release was noted, and before the copy was removed."""
    _made(tmp_path, "old")
    serve._keep(tmp_path)
    _made(tmp_path, "half")
    (tmp_path / "prepared").write_text(release, "utf-8")

    serve.mend(tmp_path)

    assert _tables(tmp_path) == {"old"}
    assert (tmp_path / "prepared").read_text("utf-8") not in {"6.0.0", "6.1.0"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prepared", "superset.db"]
