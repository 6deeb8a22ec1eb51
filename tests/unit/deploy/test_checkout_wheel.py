"""The installation of a checkout: the wheel that points to it, and the two sets of requirements."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from deploy.checkout_wheel import ROOT, write_wheel

PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
PROJECT = """
[project]
name = "sample"
version = "1.2.3"
requires-python = ">=3.11"
dependencies = ["other>=1"]

[project.scripts]
sample-command = "sample_module:main"
"""


def test_pip_installs_the_wheel_and_the_command_runs_the_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "a folder with spaces"
    checkout.mkdir()
    (checkout / "pyproject.toml").write_text(PROJECT)
    (checkout / "sample_module.py").write_text("def main():\n    print('from the checkout')\n")
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    wheel = write_wheel(checkout, tmp_path)
    pip = (sys.executable, "-m", "pip", "--python", python)
    install = (*pip, "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel)
    subprocess.run(install, check=True)

    done = subprocess.run([python.parent / "sample-command"], capture_output=True, text=True, check=True)
    version = "import importlib.metadata as m; print(m.version('sample'), m.requires('sample'))"
    found = subprocess.run([python, "-c", version], capture_output=True, text=True, check=True)

    assert done.stdout == "from the checkout\n"
    assert found.stdout == "1.2.3 ['other>=1']\n"


def test_the_wheel_of_this_checkout_has_no_code_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_wheel(ROOT, tmp_path)) as wheel:
        names = wheel.namelist()
        (path_file,) = [name for name in names if name.endswith(".pth")]

        assert wheel.read(path_file).decode() == f"{ROOT}\n"
        assert not [name for name in names if name.endswith(".py")]


def test_running_and_developing_use_the_same_versions() -> None:
    running, on_disk, developing = (
        dict(PIN.findall((ROOT / "deploy" / name).read_text("utf-8")))
        for name in ("requirements.txt", "requirements-rocksdb.txt", "requirements-dev.txt")
    )

    assert running.items() <= on_disk.items() <= developing.items()
    assert on_disk.keys() - running.keys() == {"rocksdict"}
    assert {"pytest", "mypy", "ruff", "hypothesis"}.isdisjoint(running)
