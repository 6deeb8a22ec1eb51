"""The key of the tokens of phone numbers that `callweave up` makes where the settings name none.

It is made once and stays: under another key the same numbers have other tokens.
"""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from schemas.config.secret import Secret
from schemas.errors import SetupError

FILE: Final = "token-key"
_BYTES: Final = 32


def kept(data_dir: Path) -> Secret:
    """Returns the key of a data directory, an empty one where none was made; raises SetupError."""
    path = data_dir / FILE
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return Secret()
    except (OSError, UnicodeDecodeError) as exc:
        raise _unusable(path, getattr(exc, "strerror", None) or "it is not what was written") from exc
    if not text:
        raise _unusable(path, "it is empty")
    return Secret(text, file=str(path))


def make(data_dir: Path) -> None:
    """Makes the key of a data directory, for its owner alone, unless there is one; raises SetupError."""
    path = data_dir / FILE
    if kept(data_dir).value:
        return
    try:
        # mkstemp gives mode 0600, whatever the umask; a link, unlike a rename, never replaces a key.
        descriptor, name = tempfile.mkstemp(dir=data_dir, prefix=f".{FILE}-")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{secrets.token_hex(_BYTES)}\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(name, path)
        finally:
            Path(name).unlink()
    except OSError as exc:
        raise _unusable(path, exc.strerror or type(exc).__name__) from exc


def _unusable(path: Path, why: str) -> SetupError:
    return SetupError(
        f"the key of the tokens of phone numbers cannot be used, {path}: {why}",
        code="no_access",
        advice="Make it readable and its directory writable for you; a lost key comes from a backup, or `privacy.key` names another.",
    )
