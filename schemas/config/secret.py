"""A secret of the settings: given as text, or as the name of a file or of a variable that holds it.

It is never shown: neither in a log, nor in an error, nor by `--check-config`, which names its source alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

MASK: Final = "***"
_SOURCES: Final = ("value", "file", "env")


class Secret:
    """A value that is never shown, with the file or the variable that it was read from."""

    __slots__ = ("env", "file", "value")

    def __init__(self, value: str = "", *, file: str = "", env: str = "") -> None:
        self.value = value
        self.file = file
        self.env = env

    def __repr__(self) -> str:
        return f"Secret({self.masked!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    @property
    def masked(self) -> str:
        """The text that may be shown: "" for an empty one, and never a character of the value."""
        source = f" (file {self.file})" if self.file else f" (env {self.env})" if self.env else ""
        return f"{MASK}{source}" if self.value else ""

    def _parts(self) -> tuple[str, str, str]:
        return self.value, self.file, self.env


def read_secret(given: object, environ: Mapping[str, str]) -> Secret:
    """Returns the secret that a setting gives: a text, or a table with one of `value`, `file` and `env`.

    One line end at the end of a file is not part of the value. Raises ValueError, which never quotes a value.
    """
    if isinstance(given, str):
        return Secret(given)
    if not isinstance(given, Mapping):
        raise ValueError("a text is wanted, or a table with one of `value`, `file` and `env`")  # noqa: TRY004 - msgspec adds the path to a ValueError
    if len(given) != 1 or (source := next(iter(given))) not in _SOURCES or not isinstance(given[source], str):
        raise ValueError("a table with one of `value`, `file` and `env`, and a text in it, is wanted")
    text: str = given[source]
    if source == "file":
        return Secret(_contents(text), file=text)
    if source == "env":
        if text not in environ:
            raise ValueError(f"the variable {text!r} is not set")
        return Secret(environ[text], env=text)
    return Secret(text)


def written(secret: Secret) -> Any:
    """Returns the setting that `read_secret` reads as this secret: the source where it has one, else the value."""
    if secret.file:
        return {"file": secret.file}
    return {"env": secret.env} if secret.env else secret.value


def _contents(path: str) -> str:
    try:
        text = Path(path).read_text("utf-8")
    except OSError as exc:
        raise ValueError(f"cannot read {path!r}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ValueError(f"{path!r} is not text in UTF-8") from exc
    return text.removesuffix("\n").removesuffix("\r")
