"""The archive of Kafka's loaded classes, from which a JVM starts in half the time (class data sharing of OpenJDK).

The first broker of a Java and a Kafka writes it when it stops in order; later starts map it. Measured on two cores: a
start takes 2.1 s of CPU with it and 3.4 s without, and the stop that writes it 3 s more. A JVM checks an archive and
goes on without one that is damaged or of another Java, so a bad one costs time and nothing else.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.kafka.jars import KAFKA_VERSION

_QUIET: Final = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")
"""An archive that does not fit is no warning on the console: it is replaced by none, and the start goes on."""


class ClassArchive:
    """The archive of one Java with one class path, and the options that use or write it."""

    def __init__(self, cache_dir: Path, java: Path, jars: Sequence[Path]) -> None:
        """Raises OSError when `java` is not there."""
        real = java.resolve()
        stat = real.stat()
        parts = (str(real), str(stat.st_size), str(stat.st_mtime_ns), *map(str, jars))
        digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.file = cache_dir / f"kafka-{KAFKA_VERSION}-{digest}.jsa"
        self._written = self.file.with_name(f"{self.file.name}.{os.getpid()}-{id(self):x}")

    def reading(self) -> tuple[str, ...]:
        """Returns the JVM options that start from the archive; none where there is none yet."""
        return (f"-XX:SharedArchiveFile={self.file}", *_QUIET) if self.file.exists() else ()

    def reading_or_writing(self) -> tuple[str, ...]:
        """Returns the JVM options that start from the archive, or that write one when the JVM ends in order."""
        return self.reading() or (f"-XX:ArchiveClassesAtExit={self._written}", *_QUIET)

    def keep(self, *, complete: bool) -> None:
        """Puts the archive that a JVM wrote into its place if that JVM ended in order, and else removes it."""
        # None may have been written, or the cache cannot be written: then the next start is as slow as this one.
        with contextlib.suppress(OSError):
            if complete:
                self._written.replace(self.file)
            self._written.unlink(missing_ok=True)
