"""A vendor is one file and its cases: a fifth one, put beside the four, is found, routed, keyed, mapped and tested unasked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
HERE = ROOT / "tests" / "fifth_vendor"
PACKAGES = ("deploy", "ingress", "processors", "schemas", "sinks")
SHARED_SUITES = (
    *(f"schemas/vendors/test_{name}.py" for name in ("golden", "every_vendor", "vendor_contract")),
    "test_architecture.py",
)

RECEIVE = """
import asyncio, json, sys
from datetime import UTC, datetime
from aiohttp.test_utils import TestClient, TestServer
from ingress.app import create_app
from processors.normalise import Directory, normalise
from schemas.config.limits import DEFAULT
from schemas.metrics import Registry
from schemas.raw import Position, raw_from_kafka
from schemas.config.settings import Settings
from schemas.vendors import VENDORS
from tests.support.memory_publisher import MemoryPublisher

async def main():
    publisher = MemoryPublisher()
    now = lambda: datetime(2021, 8, 25, 13, tzinfo=UTC)
    app = create_app(Settings(), VENDORS, publisher, Registry(), now)
    async with TestClient(TestServer(app)) as client:
        answer = await client.post("/v1/aliyun/report", data=sys.stdin.buffer.read())
        told = {"status": answer.status, "body": await answer.text()}
    (record,) = publisher.records
    found = normalise(raw_from_kafka(record.value, record.headers, 0), Position("calls.raw", 0, 0), Directory(), DEFAULT)
    told |= {"vendors": list(VENDORS), "key": record.key.decode(), "keys": [f.call_key for f in found.facts]}
    told |= {"dispositions": [f.disposition for f in found.facts], "dead": len(found.dead)}
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def with_a_fifth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with two things added: the vendor's file and its folder of cases."""
    copy = tmp_path_factory.mktemp("project")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("golden", "support", "unit"):
        shutil.copytree(ROOT / "tests" / part, copy / "tests" / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copy(HERE / "aliyun.py", copy / "schemas" / "vendors" / "aliyun.py")
    shutil.copytree(HERE / "golden", copy / "tests" / "golden" / "aliyun")
    return copy


def run(project: Path, *command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *command], cwd=project, input=stdin, capture_output=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def test_it_is_routed_keyed_answered_and_mapped(with_a_fifth: Path) -> None:
    case = json.loads((HERE / "golden" / "report-document-example.json").read_text("utf-8"))
    done = run(with_a_fifth, "-c", RECEIVE, stdin=case["body"].encode())
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["vendors"] == ["aliyun", "huawei", "nxcloud", "tencent", "ytx"]
    assert (told["status"], json.loads(told["body"])["code"]) == (200, 0)
    assert told["keys"] == [told["key"]]
    assert told["key"].startswith("aliyun|")
    assert (told["dispositions"], told["dead"]) == (["answered"], 0)


def test_every_shared_suite_takes_it_up(with_a_fifth: Path) -> None:
    suites = [f"tests/unit/{name}" for name in SHARED_SUITES]
    listed = run(
        with_a_fifth, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *suites, "-k", "aliyun"
    )
    found = {
        line.split("::")[0].removeprefix("tests/unit/") for line in listed.stdout.decode().splitlines() if "::" in line
    }
    assert found == set(SHARED_SUITES), listed.stdout.decode()[-2000:]
    done = run(with_a_fifth, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *suites, "-k", "aliyun or folder")
    assert done.returncode == 0, done.stdout.decode()[-4000:]


def test_a_file_that_declares_no_vendor_is_named_at_the_start(with_a_fifth: Path) -> None:
    broken = with_a_fifth / "schemas" / "vendors" / "nobody.py"
    broken.write_text('"""Nothing."""\n')
    try:
        done = run(with_a_fifth, "-c", "import schemas.vendors")
    finally:
        broken.unlink()
    assert done.returncode != 0
    assert b"schemas/vendors/nobody.py must end with VENDOR = Vendor(...)" in done.stderr
