"""Reads the files of the deployment, and asks the product whether what they name is there."""

import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.cli.main import main
from schemas.config.loader import load
from schemas.config.settings import Settings
from schemas.vendors import VENDORS

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
TOOLS: Final = ROOT / ".venv/tools/bin"
STATUS_PATHS: Final = {"/healthz", "/readyz"}
_IN_SECRETS: Final = re.compile(r"/run/secrets(?:/[\w.-]+)+")
_DRAWN: Final = re.compile(r"\b[0-9a-fA-F]{16,}\b")


def tool(name: str) -> str:
    """Returns the path of a tool; skips the test where it is not installed."""
    found = next((str(path) for path in (TOOLS / name,) if path.is_file()), None) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not here: `make tools` installs it")
    return found


def yaml_of(text: str) -> list[dict[str, Any]]:
    """Returns the documents of a YAML text that are not empty."""
    return [one for one in yaml.safe_load_all(text) if one]


def settings_of(text: str, environment: Mapping[str, str], folder: Path) -> Settings:
    """Returns the settings that a part would read; what it names below /run/secrets is made in `folder`, by lot."""
    moved = {}
    for said in (text, *environment.values()):
        for path in _IN_SECRETS.findall(said):
            moved[path] = folder / path.removeprefix("/run/secrets/")
    for path in moved.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{secrets.token_hex(16)}\n", "utf-8")
    file = folder / "callweave.toml"
    file.write_text(_moved(text, moved), "utf-8")
    told = {name: _moved(value, moved) for name, value in environment.items() if name != "CALLWEAVE_CONFIG"}
    return load(file, told, frozenset(VENDORS))


def _moved(text: str, moved: Mapping[str, Path]) -> str:
    for old in sorted(moved, key=len, reverse=True):
        text = text.replace(old, str(moved[old]))
    return text


def is_command(arguments: list[str]) -> bool:
    """Returns whether `callweave` has this command, with these options."""
    command = main.commands.get(arguments[0])
    options = {option for parameter in command.params for option in parameter.opts} if command else set()
    return command is not None and set(arguments[1:]) <= options


def drawn_by_lot(text: str) -> list[str]:
    """Returns what looks like a password or a key in a text: digests of images aside."""
    return [found for found in _DRAWN.findall(text) if f"sha256:{found}" not in text]
