"""A vendor is one file and its cases: a fifth one is found, routed, keyed, mapped and tested unasked."""

import json
from pathlib import Path

import pytest

from tests.support.payloads.added_vendor import ROOT, case, check_shared_suites, push, run, with_vendor

HERE = ROOT / "tests" / "fifth_vendor"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_vendor(tmp_path_factory.mktemp("project"), HERE, "aliyun")


def test_it_is_routed_keyed_answered_and_mapped(project: Path) -> None:
    body = case(HERE, "report-document-example")["body"]
    found = push(project, {"method": "POST", "path": "/v1/aliyun/report", "body": body})
    (reply,), (record,) = found["replies"], found["records"]
    assert found["vendors"] == ["aliyun", "huawei", "nxcloud", "tencent", "ytx"]
    assert (reply["status"], json.loads(reply["body"])["code"]) == (200, 0)
    assert [fact["call_key"] for fact in record["facts"]] == [record["key"]]
    assert record["key"].startswith("aliyun|")
    assert [fact["disposition"] for fact in record["facts"]] == ["answered"]
    assert record["dead"] == []


def test_every_shared_suite_takes_it_up(project: Path) -> None:
    check_shared_suites(project, "aliyun")


def test_a_file_that_declares_no_vendor_is_named_at_the_start(project: Path) -> None:
    broken = project / "schemas" / "vendors" / "nobody.py"
    broken.write_text('"""Nothing."""\n')
    try:
        done = run(project, "-c", "import schemas.vendors")
    finally:
        broken.unlink()
    assert done.returncode != 0
    assert b"schemas/vendors/nobody.py must end with VENDOR = Vendor(...)" in done.stderr
