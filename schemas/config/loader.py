"""Loads settings from a TOML file and then from the environment, and checks them.

No other module turns text into settings. The environment is an argument.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.config.checks import check
from schemas.config.safety import unsafe
from schemas.config.settings import Secret, Settings
from schemas.errors import SettingsError

PREFIX: Final = "CALLWEAVE_"
WHOLE: Final = "CALLWEAVE_SETTINGS"
"""Variable with all settings as JSON, by which `callweave up` hands its own to a part; it replaces the file."""
_IN_ADDRESS: Final = re.compile(r"(://)[^/?#@\s]*@")
"""Matches name and password in an address, which that of a registry may have."""
_NOT_SETTINGS: Final = frozenset({"CALLWEAVE_CONFIG", WHOLE})


def load(
    path: Path | None,
    environ: Mapping[str, str],
    vendors: frozenset[str],
    pulled: frozenset[str] = frozenset(),
    signing: frozenset[str] = frozenset(),
) -> Settings:
    """Returns the effective settings; raises `SettingsError` that names the file or the `$.path` and what was expected.

    All unsafe settings are named at once. `pulled` are the vendors that nobody can push to, `signing` those whose
    signatures can be checked.
    """
    tree = _whole(environ[WHOLE]) if environ.get(WHOLE) else _from_file(path) if path else {}
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS and not name.startswith(f"{PREFIX}TEST_"):
            _put(tree, name, text)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as exc:
        raise SettingsError(str(exc)) from exc
    check(settings, vendors)
    if found := unsafe(settings, pulled, signing):
        raise SettingsError("\n  ".join(found))
    return settings


def whole(settings: Settings) -> str:
    """Returns the settings as JSON for the variable `WHOLE`, secrets included."""
    return msgspec.json.encode(settings).decode()


def shown(settings: Settings) -> dict[str, Any]:
    """Returns the effective settings as plain data, secrets masked."""
    return _masked(settings)  # type: ignore[no-any-return]  # a Settings always gives a dict


def _whole(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise SettingsError(f"{WHOLE} is not JSON: {exc}") from exc


def _from_file(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"cannot read {path}: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not TOML: {exc}") from exc
    return _wrap_secrets(tree)  # type: ignore[no-any-return]  # a dict in, a dict out


def _put(tree: dict[str, Any], name: str, text: str) -> None:
    parts = name.removeprefix(PREFIX).lower().split("__")
    here = tree
    for part in parts[:-1]:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            raise SettingsError(f"{name} goes below a value that is not a section")
        here = below
    value: Any = text
    if text.startswith(("[", "{")) and not _is_secret(parts[-1]):
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as exc:
            raise SettingsError(f"{name} is not JSON: {exc}") from exc
    here[parts[-1]] = _wrap_secrets({parts[-1]: value})[parts[-1]]


def _wrap_secrets(value: Any, *, of: str = "") -> Any:
    """Wraps secrets, which are text in TOML and the environment, as `Secret` has them; `of` is the name of a list."""
    if isinstance(value, dict):
        return {
            key: {"value": below} if _is_secret(key) and isinstance(below, str) else _wrap_secrets(below, of=key)
            for key, below in value.items()
        }
    if isinstance(value, list):
        secrets = _is_secret(of.removesuffix("s"))
        return [{"value": each} if secrets and isinstance(each, str) else _wrap_secrets(each) for each in value]
    return value


def _is_secret(name: str) -> bool:
    return name.endswith(("secret", "password"))


def _masked(value: Any) -> Any:
    if isinstance(value, Secret):
        return "***" if value.value else ""
    if isinstance(value, msgspec.Struct):
        return {name: _masked(below) for name, below in msgspec.structs.asdict(value).items()}
    if isinstance(value, tuple):
        return [_masked(item) for item in value]
    return _IN_ADDRESS.sub(r"\1***@", value) if isinstance(value, str) else value
