"""The units of systemd: verified by systemd where it is here, and by what the product knows everywhere."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.deployment.files import DEPLOY, drawn_by_lot, is_command, settings_of, tool

HERE: Final = DEPLOY / "systemd"
UNITS: Final = sorted(path.name for path in HERE.glob("*.service"))
MOST_EXPOSED: Final = 1.5
"""systemd's own scale is from 0 (best) to 10; above it, something that a part does not need is open."""
EXAMPLE: Final = """\
[kafka]
bootstrap = "kafka:9092"
[clickhouse]
url = "http://clickhouse:8123"
migrator = "callweave_migrator"
"""


def lines_of(name: str) -> list[tuple[str, str]]:
    """Returns the settings of a unit with those that all units share, in order."""
    files = (*sorted((HERE / "callweave-.service.d").glob("*.conf")), HERE / name)
    return [
        (key.strip(), value.strip())
        for file in files
        for line in file.read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
        for key, _, value in [line.partition("=")]
    ]


def values(name: str, key: str) -> list[str]:
    return [value for found, value in lines_of(name) if found == key]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Yields a folder with the units, of which the template is an instance and the command is there."""
    for path in HERE.rglob("*"):
        if path.suffix in {".service", ".target", ".conf"} and "sysusers" not in path.name:
            place = tmp_path / path.relative_to(HERE)
            place.parent.mkdir(exist_ok=True)
            text = path.read_text("utf-8").replace("/opt/callweave/bin/callweave", shutil.which("true") or "/bin/true")
            place.write_text(text, "utf-8")
    return tmp_path


def instance(name: str) -> str:
    return name.replace("@.", "@1.")


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault_in_a_unit(name: str, installed: Path) -> None:
    command = (tool("systemd-analyze"), "verify", "--man=no", str(installed / instance(name)))
    environment = {"SYSTEMD_UNIT_PATH": f"{installed}:", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_hardly_exposed(name: str, installed: Path) -> None:
    threshold = f"--threshold={int(10 * MOST_EXPOSED)}"
    command = (tool("systemd-analyze"), "security", "--offline=true", threshold, str(installed / instance(name)))
    environment = {"SYSTEMD_UNIT_PATH": f"{installed}:", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert done.returncode == 0, done.stdout[-1500:]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_commands_that_there_are(name: str) -> None:
    commands = [shlex.split(line) for line in values(name, "ExecStart")]

    assert commands
    assert {command[0] for command in commands} == {"/opt/callweave/bin/callweave"}
    assert [command for command in commands if not is_command(command[1:])] == []


@pytest.mark.parametrize("name", UNITS)
def test_the_settings_that_a_unit_gives_are_settings(name: str, tmp_path: Path) -> None:
    told = {}
    for line in values(name, "Environment"):
        variable, _, text = line.partition("=")
        expanded = text.replace("%d", "/run/secrets").replace("%H", "host").replace("%i", "1")
        told[variable] = expanded
    settings = settings_of(
        EXAMPLE, {key: value for key, value in told.items() if key.startswith("CALLWEAVE_")}, tmp_path
    )

    assert settings.clickhouse.password.value
    assert bool(settings.clickhouse.migrator_password.value) == (name == "callweave-setup.service")
    assert settings.embedded.data_dir == "/var/lib/callweave"


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_writes_below_its_state_alone(name: str) -> None:
    states = {f"/var/lib/{place}" for value in values(name, "StateDirectory") for place in value.split()}
    places = {
        value.partition("=")[2] for value in values(name, "Environment") if re.match(r"CALLWEAVE_\w+_DIR=", value)
    }

    assert places
    assert places <= states
    assert values(name, "ProtectSystem") == ["strict"]
    assert values(name, "ReadWritePaths") == []


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_has_no_secret_and_reads_each_from_a_credential(name: str) -> None:
    given = {value.partition(":")[0] for value in values(name, "LoadCredential")}
    read = {text.rpartition("%d/")[2] for text in values(name, "Environment") if "%d/" in text}

    assert given == read
    assert drawn_by_lot("\n".join(f"{key}={value}" for key, value in lines_of(name))) == []


@pytest.mark.parametrize("name", [unit for unit in UNITS if "setup" not in unit])
def test_a_part_is_started_again_but_not_with_wrong_settings(name: str) -> None:
    assert values(name, "Restart") == ["always"]
    assert values(name, "RestartPreventExitStatus") == ["78"]
    assert values(name, "StartLimitIntervalSec") == ["0"]


def test_the_units_are_files_that_a_parser_reads() -> None:
    for path in (*HERE.glob("*.service"), *HERE.glob("*.target"), *HERE.rglob("*.conf")):
        if "sysusers" in path.name:
            continue
        parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
        parser.read_string(path.read_text("utf-8"))
        assert parser.sections(), path
