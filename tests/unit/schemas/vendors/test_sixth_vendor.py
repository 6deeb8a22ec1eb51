"""A vendor of another make is one file and its cases, too: signed forms by POST or GET, states and record apart."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from tests.support.payloads.added_vendor import ROOT, case, check_shared_suites, push, run, with_vendor

HERE = ROOT / "tests" / "sixth_vendor"
CALL = [f"event-{name}" for name in ("01-dial", "02-ring", "03-answer", "04-end", "05-record")]
FORM = "application/x-www-form-urlencoded"
KEY, OTHER = "k3vq9xw2mz7rt5hb", "another-key-0000"
# Secrets of an account's address, as the settings want them: letters and digits drawn by lot.
ADDRESS = "q7w3e9r2t5y8u1i4"
ACCOUNT: dict[str, Any] = {
    "vendor": "meridian", "name": "main", "secret": {"value": ADDRESS}, "signing_secrets": [{"value": KEY}],
}  # fmt: skip

CHECK = f"""
import sys
from schemas.vendor_kit.contract import PushHead
from schemas.vendors import VENDORS
(callback,) = VENDORS["meridian"].callbacks
body = sys.stdin.buffer.read()
head = PushHead(method="POST", path="/v1/meridian", headers=(("x-meridian-signature", sys.argv[1]),))
found = [callback.verify(head, body, secrets) for secrets in (({KEY!r},), ({OTHER!r},), ({OTHER!r}, {KEY!r}), ())]
assert found == [True, False, True, False], found
assert not callback.verify(head, body + b"&", ({KEY!r},))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_vendor(tmp_path_factory.mktemp("project"), HERE, "meridian")


def signature(body: str, key: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), body.encode(), hashlib.sha256).digest()).decode()


def request(name: str, *, key: str = KEY, address: str = "", get: bool = False) -> dict[str, Any]:
    body = case(HERE, name)["body"]
    path = f"/v1{address}/meridian"
    headers = {"X-Meridian-Signature": signature(body, key)}
    if get:
        return {"method": "GET", "path": f"{path}?{body}", "headers": headers}
    return {"method": "POST", "path": path, "body": body, "headers": {**headers, "Content-Type": FORM}}


def test_states_and_record_are_routed_keyed_mapped_and_joined(project: Path) -> None:
    found = push(project, *(request(name) for name in CALL))
    assert [(reply["status"], reply["body"]) for reply in found["replies"]] == [(200, "OK")] * 5
    facts = [fact for record in found["records"] for fact in record["facts"]]
    assert [fact["call_key"] for fact in facts] == [record["key"] for record in found["records"]]
    assert len({fact["call_key"] for fact in facts}) == 1
    assert [fact.get("state", "") for fact in facts[:4]] == ["setup", "alerting", "answer", "release"]
    assert [flag for fact in facts for flag in fact.get("quality_flags", ())] == []
    (timeline,) = found["timelines"]
    assert (timeline["has_record"], timeline["has_states"], timeline["is_final"]) == (True, True, True)
    assert (timeline["from_number"], timeline["to_number"]) == ("+442079460018", "+442079460123")
    assert (timeline["disposition"], timeline["billable_s"], timeline["cost"]) == ("answered", 60, "0.012500")
    assert timeline["fact_count"] == 5


def test_the_signature_is_that_of_the_key(project: Path) -> None:
    body = case(HERE, CALL[0])["body"]
    done = run(project, "-c", CHECK, signature(body, KEY), stdin=body.encode())
    assert done.returncode == 0, done.stderr.decode()


def test_only_a_right_signature_is_let_in_by_post_and_get(project: Path) -> None:
    requests = [
        request(name, key=key, address=f"/a/{ADDRESS}", get=get)
        for name, key, get in (
            (CALL[0], KEY, False), (CALL[1], KEY, True), (CALL[2], OTHER, False), (CALL[3], OTHER, True),
        )
    ]  # fmt: skip
    found = push(project, *requests, accounts=(ACCOUNT,))
    assert [reply["status"] for reply in found["replies"][:2]] == [200, 200]
    assert all(400 <= reply["status"] < 500 for reply in found["replies"][2:])
    facts = [fact for record in found["records"] for fact in record["facts"]]
    assert [(fact["state"], fact["account"]) for fact in facts] == [("setup", "main"), ("alerting", "main")]


def test_every_shared_suite_takes_it_up(project: Path) -> None:
    check_shared_suites(project, "meridian")


def test_outcomes_are_written_by_the_option_and_only_by_it(project: Path) -> None:
    golden = project / "tests" / "golden" / "meridian"
    wrong, missing = (golden / f"{name}.expected.json" for name in CALL[:2])
    right = wrong.read_text("utf-8"), missing.read_text("utf-8")
    wrong.write_text("{}\n")
    missing.unlink()
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/schemas/vendors/test_golden.py")
    cases = ("-k", f"test_a_request_has_its_outcome and ({CALL[0]} or {CALL[1]})")

    assert run(project, *command, *cases).returncode == 1
    assert (wrong.read_text(), missing.exists()) == ("{}\n", False)

    assert run(project, *command, *cases, "--update-golden").returncode == 0
    assert (wrong.read_text("utf-8"), missing.read_text("utf-8")) == right
