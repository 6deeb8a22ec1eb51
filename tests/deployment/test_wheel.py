"""The wheel: built, installed with the locked packages into an empty environment, and used outside the source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.deployment.files import ROOT
from tests.support.http.pushing import body_of

PACKAGES: Final = ("deploy", "ingress", "processors", "schemas", "sinks")
SHIPPED: Final = (
    "*.avsc",
    "*.sql",
    "*.sha256",
    "*.toml",
    "py.typed",
    "Dockerfile",
    "*.service",
    "Chart.yaml",
    "compose.yaml",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yields the wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-index",
        "--no-build-isolation",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    )
    subprocess.run((sys.executable, *build), check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_everything_that_the_packages_have(wheel: Path) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("*.py", *SHIPPED)
        for path in (ROOT / package).rglob(pattern)
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())

    assert sorted(ours - inside) == []
    assert {name.split("/")[0] for name in inside if ".dist-info/" not in name} == set(PACKAGES)
    assert [name for name in inside if "/secrets/" in name or "__pycache__" in name] == []


@pytest.mark.long
def test_the_wheel_works_in_an_empty_environment_and_an_empty_home(wheel: Path, tmp_path: Path) -> None:
    venv, home = tmp_path / "venv", tmp_path / "home"
    home.mkdir()
    subprocess.run((sys.executable, "-m", "venv", str(venv)), check=True)
    install = (str(venv / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    subprocess.run((*install, "--require-hashes", "-r", str(ROOT / "deploy/requirements.txt")), check=True)
    subprocess.run((*install, "--no-index", "--no-deps", str(wheel)), check=True)
    subprocess.run((str(venv / "bin/python"), "-m", "pip", "check"), check=True)

    used, body = Installed(venv, home), home / "body.json"
    body.write_bytes(body_of("nxcloud", "wheel-1"))
    assert used.python("import deploy; print(deploy.__file__)").startswith(str(venv))
    assert '"require_account"' in used.callweave("--check-config")
    assert "Usage" in used.callweave("--help")
    assert "facts: 1" in used.callweave("try", "nxcloud", str(body))
    # It writes source files, and there are none here to write beside.
    assert "Run it from a clone" in used.callweave("vendor", "new", "acme", "--from", str(body), code=1)
    loaded = used.python(
        "from schemas.codec import Codecs; from sinks.migrate import migrations; from deploy.kafka.jars import MANIFEST;"
        "from deploy.simulator.vendors import SIMULATED_VENDORS; from schemas.vendors import VENDORS;"
        "Codecs(); print(len(migrations()), MANIFEST.is_file(), len(SIMULATED_VENDORS), len(VENDORS))"
    )
    count, manifest, simulated, vendors = loaded.split()
    assert (int(count) >= 15, manifest, int(simulated) >= 4, int(vendors) >= 4) == (True, "True", True, True)


class Installed:
    """The installed command, run in an empty home, with nothing of this checkout on its path."""

    def __init__(self, venv: Path, home: Path) -> None:
        self._bin = venv / "bin"
        self._home = home

    def callweave(self, *arguments: str, code: int = 0) -> str:
        """Returns what a command prints that ends with this code."""
        return self._run(str(self._bin / "callweave"), *arguments, code=code)

    def python(self, code: str) -> str:
        """Returns what a program prints."""
        return self._run(str(self._bin / "python"), "-c", code)

    def _run(self, *command: str, code: int = 0) -> str:
        environment = {
            "HOME": str(self._home),
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "LANG": os.environ.get("LANG", "C"),
        }
        done = subprocess.run(command, cwd=self._home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return (done.stdout + done.stderr).strip()
