"""Loads settings from a TOML file and then from the environment, and checks them.

No other module turns text into settings. The environment is an argument.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from schemas.config.checks import check
from schemas.config.safety import unsafe
from schemas.config.secret import Secret, read_secret, written
from schemas.config.settings import Settings
from schemas.errors import SettingsError

PREFIX: Final = "CALLWEAVE_"
HANDED_OVER: Final = "CALLWEAVE_SETTINGS_FD"
"""Variable with the number of the open file in which `callweave up` hands its settings to a part (`whole`)."""
_IN_ADDRESS: Final = re.compile(r"(://)[^/?#@\s]*@")
"""Matches name and password in an address, which that of a registry may have."""
_NO_CHOICE: Final = re.compile(r"Invalid enum value (?P<given>.+) - at `\$\.(?P<path>[a-z_.]+)`", re.DOTALL)
"""Matches what is said of a value that is none of a few."""
_NOT_SETTINGS: Final = frozenset({"CALLWEAVE_CONFIG", HANDED_OVER})


def load(
    path: Path | None,
    environ: Mapping[str, str],
    vendors: frozenset[str],
    pulled: frozenset[str] = frozenset(),
    signing: frozenset[str] = frozenset(),
    xml: frozenset[str] = frozenset(),
    *,
    handed_over: str = "",
    may_be_open: bool = False,
) -> Settings:
    """Returns the effective settings; raises `SettingsError` that names the file or the `$.path` and what was expected.

    All unsafe settings are named at once. `pulled` are the vendors that nobody can push to, `signing` those whose
    signatures can be checked, `xml` those whose bodies are XML. `handed_over` is what `whole` returned in the process
    that started this one; it replaces the file. `may_be_open`: see `unsafe`.
    """
    tree = _whole(handed_over) if handed_over else _from_file(path) if path else {}
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS and not name.startswith(f"{PREFIX}TEST_"):
            _put(tree, name, text)
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=partial(_read_custom, environ))
    except msgspec.ValidationError as exc:
        raise SettingsError(_with_choices(str(exc))) from exc
    require_good(settings, vendors, pulled, signing, xml, may_be_open=may_be_open)
    return settings


def require_good(
    settings: Settings,
    vendors: frozenset[str],
    pulled: frozenset[str],
    signing: frozenset[str],
    xml: frozenset[str],
    *,
    may_be_open: bool = False,
) -> None:
    """Raises `SettingsError` for settings that contradict each other; all unsafe ones are named at once."""
    check(settings, vendors)
    if found := unsafe(settings, pulled, signing, xml, may_be_open=may_be_open):
        raise SettingsError("\n  ".join(found))


def whole(settings: Settings) -> str:
    """Returns the settings as JSON, for `load` in another process; a secret stands there with its source."""
    return msgspec.json.encode(settings, enc_hook=_write_custom).decode()


def shown(settings: Settings) -> dict[str, Any]:
    """Returns the effective settings as plain data, secrets masked."""
    return _masked(settings)  # type: ignore[no-any-return]  # a Settings always gives a dict


def _whole(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise SettingsError(f"what {HANDED_OVER} names is not JSON: {exc}") from exc


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"cannot read {path}: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not TOML: {exc}") from exc


def _put(tree: dict[str, Any], name: str, text: str) -> None:
    parts = name.removeprefix(PREFIX).lower().split("__")
    if len(parts) > 1 and _is_secret(parts[:-1]):
        # The source of a secret, as in CALLWEAVE_CLICKHOUSE__PASSWORD__FILE; another one in the file does not count.
        _put_value(tree, name, parts[:-1], {parts[-1]: text})
        return
    value: Any = text
    if text.startswith(("[", "{")) and not _is_secret(parts):
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as exc:
            raise SettingsError(f"{name} is not JSON: {exc}") from exc
    _put_value(tree, name, parts, value)


def _put_value(tree: dict[str, Any], name: str, parts: Sequence[str], value: Any) -> None:
    here = tree
    for part in parts[:-1]:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            raise SettingsError(f"{name} goes below a value that is not a section")
        here = below
    here[parts[-1]] = value


def _is_secret(path: Sequence[str]) -> bool:
    """True for the path of a secret, whose text is taken as it is, also where it looks like JSON."""
    return _kind(path) is Secret


def _kind(path: Sequence[str]) -> Any:
    """Returns the type of a setting outside of lists, None for what is none."""
    kind: Any = Settings
    for part in path:
        kind = get_type_hints(kind).get(part) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    return kind


def _with_choices(message: str) -> str:
    """Returns the message about a wrong value with the values that there are, before its path."""
    found = _NO_CHOICE.fullmatch(message)
    kind = _kind(found["path"].split(".")) if found else None
    if not found or get_origin(kind) is not Literal:
        return message
    choices = ", ".join(f'"{choice}"' for choice in get_args(kind))
    return f"one of {choices} is wanted, not {found['given']} - at `$.{found['path']}`"


def _read_custom(environ: Mapping[str, str], kind: type, given: object) -> Secret:
    if kind is not Secret:
        raise NotImplementedError(f"no setting is a {kind.__name__}")
    return read_secret(given, environ)


def _write_custom(value: object) -> Any:
    if not isinstance(value, Secret):
        raise NotImplementedError(f"no setting is a {type(value).__name__}")
    return written(value)


def _masked(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.masked
    if isinstance(value, msgspec.Struct):
        kind = value.__struct_config__
        tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
        return {**tag, **{name: _masked(below) for name, below in msgspec.structs.asdict(value).items()}}
    if isinstance(value, tuple):
        return [_masked(item) for item in value]
    return _IN_ADDRESS.sub(r"\1***@", value) if isinstance(value, str) else value
