"""Writes a wheel that installs this checkout in place, so that `make run` needs no build tool.

The wheel has a path file to the checkout and the entry points of `pyproject.toml`, as PEP 660 describes. pip makes the
command `callweave` from it, and can remove it again.
"""

import argparse
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def write_wheel(root: Path, directory: Path) -> Path:
    """Writes the wheel of the project in `root` into `directory`; returns its path."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.pth": f"{root}\n",
        f"{info}/METADATA": "".join(f"{line}\n" for line in _metadata(project)),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: callweave\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\n"
        + "".join(f"{command} = {target}\n" for command, target in project["scripts"].items()),
    }
    record = f"{info}/RECORD"
    files[record] = "".join(f"{path},,\n" for path in (*files, record))
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _metadata(project: dict[str, object]) -> Iterator[str]:
    yield "Metadata-Version: 2.1"
    yield f"Name: {project['name']}"
    yield f"Version: {project['version']}"
    yield f"Requires-Python: {project['requires-python']}"
    dependencies = project["dependencies"]
    assert isinstance(dependencies, list)
    for dependency in dependencies:
        yield f"Requires-Dist: {dependency}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the wheel of this checkout and prints its path.")
    parser.add_argument("directory", type=Path)
    print(write_wheel(ROOT, parser.parse_args().directory))  # noqa: T201 - its output is its purpose
