"""Apache Kafka's jars: a pinned list with checksums, a cache that is checked at each start, jgo for what is missing.

The list (`kafka-4.3.1.sha256`) has the format of `sha256sum -c`; its paths are those of a Maven repository. When every
file is present and right, nothing is resolved and the network is not used. The place that packages come from is jgo's
affair.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import SetupError

KAFKA_VERSION: Final = "4.3.1"
MANIFEST: Final = Path(__file__).with_name(f"kafka-{KAFKA_VERSION}.sha256")

StartProgress = Callable[[str, float | None], None]
"""Called with the name of the step and how much of it is done (0 to 1; None where that is not known)."""

_PARALLEL: Final = 8
"""Downloads at a time: most jars are small, so most of the time is round trips."""

_ATTEMPTS: Final = 2
"""A damaged download is fetched once more before it is an error."""


class Jar(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the list."""

    group: str
    artifact: str
    version: str
    path: str
    """Relative to the cache, as in a Maven repository."""
    sha256: str

    @property
    def coordinate(self) -> str:
        """The Maven coordinate `group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"


Fetch = Callable[[Jar, Path], None]
"""Puts one jar below the given folder; raises OSError or RuntimeError when that fails."""


def default_cache_dir() -> Path:
    """Returns `$XDG_CACHE_HOME/callweave`, or `~/.cache/callweave`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "callweave"


def read_manifest() -> tuple[Jar, ...]:
    """Returns the jars of the list, in its order."""
    return tuple(_parse(line) for line in MANIFEST.read_text("ascii").splitlines())


def kafka_class_path(cache_dir: Path, progress: StartProgress, *, fetch: Fetch | None = None) -> tuple[Path, ...]:
    """Returns all jars, verified; fetches the missing and the damaged ones.

    Raises SetupError `no_network`, `no_disk`, `no_access` or `corrupt_jar`.
    """
    jars = read_manifest()
    root = cache_dir / f"kafka-{KAFKA_VERSION}"
    progress("Checking Kafka's files", None)
    if any(_damaged(root, jars)):
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _exclusive(root):
                _complete(root, jars, progress, fetch or _jgo_fetch())
        except (OSError, RuntimeError) as exc:  # jgo raises the latter for a repository that answers but refuses
            raise _explain(exc, root) from exc
    return tuple(root / jar.path for jar in jars)


def _complete(root: Path, jars: tuple[Jar, ...], progress: StartProgress, fetch: Fetch) -> None:
    for _ in range(_ATTEMPTS):
        # Checked again under the lock: another process may have fetched them meanwhile.
        wanted = tuple(_damaged(root, jars))
        _download(root, wanted, progress, fetch)
    for jar in _damaged(root, jars):
        raise SetupError(
            f"{jar.coordinate} came damaged {_ATTEMPTS} times: {root / jar.path} has SHA-256 {_sha256(root / jar.path)},"
            f" expected {jar.sha256}",
            code="corrupt_jar",
            advice="Something between here and the package repository alters files. Try another network or mirror.",
        )


def _download(root: Path, jars: tuple[Jar, ...], progress: StartProgress, fetch: Fetch) -> None:
    for jar in jars:
        (root / jar.path).unlink(missing_ok=True)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        running = [pool.submit(fetch, jar, root) for jar in jars]
        try:
            for done, future in enumerate(as_completed(running), start=1):
                future.result()
                progress(f"Downloading Kafka {KAFKA_VERSION}", done / len(running))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _damaged(root: Path, jars: Iterable[Jar]) -> Iterator[Jar]:
    return (jar for jar in jars if _sha256(root / jar.path) != jar.sha256)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _parse(line: str) -> Jar:
    sha256, path = line.split()
    *group, artifact, version, _ = path.split("/")
    return Jar(group=".".join(group), artifact=artifact, version=version, path=path, sha256=sha256)


def _jgo_fetch() -> Fetch:
    from jgo.config import GlobalSettings  # noqa: PLC0415 - only the first start pays for the import
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - likewise
    from jgo.maven import MavenContext  # noqa: PLC0415 - likewise

    # The user's mirrors in jgo's settings come first.
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}

    def fetch(jar: Jar, root: Path) -> None:
        context = MavenContext(repo_cache=root, local_repos=[], remote_repos=repositories, timeout=30)
        context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()

    return fetch


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _explain(error: OSError | RuntimeError, root: Path) -> SetupError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(
            f"no space left for Kafka's files (about 60 MB) in {root}",
            code="no_disk",
            advice="Free some space, or point the cache directory at another disk.",
        )
    if number in (errno.EACCES, errno.EROFS, errno.EPERM):
        return SetupError(f"cannot write {root}: {error}", code="no_access", advice="Make it writable for you.")
    return SetupError(
        f"Kafka's files could not be downloaded: {type(error).__name__}: {str(error)[:300]}",
        code="no_network",
        advice="The first start needs the network (about 60 MB, once). Check it and any proxy setting, then try again.",
    )
