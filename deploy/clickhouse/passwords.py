"""The passwords of one data directory: random, and stored in a file that only its owner can read.

The file is beside the store, where the sandbox hides it from the engine. The first password of a name is the one that
is shown; the others are those that running parts still use.
"""

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import SetupError

FILE: Final = "passwords.json"
_BYTES: Final = 18
"""144 random bits cannot be guessed."""

Passwords = dict[str, tuple[str, ...]]
"""The valid passwords of each name, the current one first."""


def read(data_dir: Path) -> Passwords:
    """Returns the contents of the file, empty when there is none; raises SetupError when it cannot be read."""
    path = data_dir / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Passwords)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as exc:
        raise SetupError(
            f"the passwords of the embedded ClickHouse cannot be read from {path}: {exc}",
            code="no_access",
            advice="Make it readable for you; or remove it and start again: new ones are made.",
        ) from exc


def write(data_dir: Path, passwords: Mapping[str, tuple[str, ...]]) -> None:
    """Replaces the file in one step."""
    # mkstemp gives mode 0600, whatever the umask.
    descriptor, name = tempfile.mkstemp(dir=data_dir, prefix=f".{FILE}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(passwords))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(data_dir / FILE)
    except BaseException:
        Path(name).unlink()
        raise


def ready(data_dir: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Stores and returns one password for each name: the given one; else the stored one; else a new one.

    Earlier passwords end here, so the caller must start every process that uses them.
    """
    kept = read(data_dir)
    current = {name: password or _first(kept, name) or generated() for name, password in given.items()}
    wanted = {name: (password,) for name, password in current.items()}
    if wanted != kept:
        write(data_dir, wanted)
    return current


def change(data_dir: Path, name: str, password: str, *, keep_old: bool) -> None:
    """Gives `name` another password at once; with `keep_old` the earlier ones stay valid until the next start.

    Raises SetupError where no account has that name.
    """
    kept = read(data_dir)
    if name not in kept:
        raise SetupError(
            f"nobody is called {name!r} at the embedded ClickHouse",
            code="user",
            advice=f"There are: {', '.join(kept) or 'none yet; start it once'}.",
        )
    before = kept[name] if keep_old else ()
    write(data_dir, {**kept, name: (password, *(old for old in before if old != password))})


def generated() -> str:
    """Returns a random password of letters, digits, - and _."""
    return secrets.token_urlsafe(_BYTES)


def _first(kept: Passwords, name: str) -> str:
    return next(iter(kept.get(name, ())), "")
