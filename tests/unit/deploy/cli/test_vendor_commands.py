"""The commands for who writes a vendor's file: a skeleton from a captured body, and the outcome of a body in words."""

import importlib
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import schemas.vendors
from deploy.admin.contract_lists import sentences
from deploy.cli.main import main
from deploy.vendor_tools import vendor_skeleton
from processors.normalise import Directory, Normalised, normalise
from schemas.config.limits import DEFAULT
from schemas.facts import Flag
from schemas.raw import Position
from schemas.vendor_kit.contract import Vendor
from tests.golden.cases import HERE as GOLDEN
from tests.golden.cases import load, run, shown

CALL = b'{"callId":"7c2f","from":"442079460018","recording":"https://rec.example/1","seconds":60}'
ENVELOPE = (
    '{"cdr":[{"call_id":"1","name":"医生"},{"call_id":"2","extra \\"field\\"":{"a":1}}],"errorCode":"0"}'.encode()
)
FORM = b"call_id=7c2f&from_to=442079460018-442079460123&at=1772359203250"
XML = b'<?xml version="1.0"?><call><CallSid>7c2f</CallSid><seconds>60</seconds></call>'


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that looks like a clone of the project, and that the commands take for it."""
    for folder in ("schemas/vendors", "tests/golden"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(vendor_skeleton, "here", lambda: tmp_path)
    return tmp_path


def call(*arguments: str, body: bytes = b"") -> Result:
    return CliRunner().invoke(main, arguments, input=body)


def new(name: str, body: bytes, *options: str) -> Result:
    return call("vendor", "new", name, *options, body=body)


def mapped(checkout: Path, name: str) -> tuple[Vendor, Normalised]:
    """Returns the vendor of a written file whose mapping is switched on, and the outcome of its captured body."""
    file = checkout / "schemas" / "vendors" / f"{name}.py"
    file.write_text(file.read_text("utf-8").replace("_IS_MAPPED: bool = False", "_IS_MAPPED: bool = True"), "utf-8")
    vendor = vendor_skeleton.declared(file, name)
    request = json.loads((checkout / "tests" / "golden" / name / "push-captured.json").read_text("utf-8"))
    raw = load(GOLDEN / "ytx" / "push-S01-document-example.json").raw
    raw = type(raw)(
        vendor=name, callback="push", received_at=raw.received_at, request_id="r", body=request["body"].encode(),
        **request.get("headers", {}),
    )  # fmt: skip
    return vendor, normalise(raw, Position("calls.raw", 0, 0), Directory(), DEFAULT, {name: vendor})


@pytest.mark.parametrize(
    ("body", "body_format", "fields", "key"),
    [
        pytest.param(CALL, "json", ("callId", "from", "recording", "seconds"), "7c2f", id="an object"),
        pytest.param(b"[" + CALL + b"]", "json", ("callId", "from", "recording", "seconds"), "7c2f", id="a list"),
        pytest.param(ENVELOPE, "json", ("call_id", "name", 'extra "field"'), "1", id="an envelope"),
        pytest.param(FORM, "form", ("call_id", "from_to", "at"), "7c2f", id="a form"),
        pytest.param(XML, "xml", ("CallSid", "seconds"), "7c2f", id="XML"),
    ],
)
def test_a_captured_body_becomes_a_vendor(
    checkout: Path, body: bytes, body_format: str, fields: tuple[str, ...], key: str
) -> None:
    done = new("acme", body)
    assert done.exit_code == 0, done.output
    file, folder = checkout / "schemas" / "vendors" / "acme.py", checkout / "tests" / "golden" / "acme"
    expected = json.loads((folder / "push-captured.expected.json").read_text("utf-8"))
    assert {dead["code"] for dead in expected["dead"]} == {"wrong_kind"}, "every element waits for its mapping"

    vendor, outcome = mapped(checkout, "acme")
    (callback,) = vendor.callbacks
    assert (callback.body, callback.documented, callback.key(body)) == (body_format, {"record": fields}, key)
    assert outcome.dead == ()
    assert outcome.facts[0].vendor_call_id == key
    assert len(outcome.facts[0].extras) >= 1
    assert [flag for fact in outcome.facts for flag in fact.quality_flags if flag is not Flag.TYPE_DRIFT] == []

    for check in (("check",), ("format", "--check")):
        place = ("--stdin-filename", str(GOLDEN.parents[1] / "schemas" / "vendors" / "acme.py"), "-")
        linted = subprocess.run(
            [sys.executable, "-m", "ruff", *check, *place], input=file.read_bytes(), capture_output=True, check=False
        )
        assert linted.returncode == 0, linted.stdout.decode() + linted.stderr.decode()


def test_the_registry_finds_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert new("acme", CALL).exit_code == 0
    folders = [*schemas.vendors.__path__, str(checkout / "schemas" / "vendors")]
    monkeypatch.setattr(schemas.vendors, "__path__", folders)
    importlib.invalidate_caches()
    try:
        assert "acme" in schemas.vendors.discover()
    finally:
        sys.modules.pop("schemas.vendors.acme", None)
        vars(schemas.vendors).pop("acme", None)


def test_a_body_from_a_file_keeps_its_content_type(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes("姓名=医生&call_id=7".encode("gbk"))
    done = new(
        "acme", b"", "--from", str(tmp_path / "body"), "--content-type", "application/x-www-form-urlencoded;charset=gbk"
    )
    assert done.exit_code == 0, done.output
    request = json.loads((checkout / "tests" / "golden" / "acme" / "push-captured.json").read_text())
    assert request["headers"] == {"content_type": "application/x-www-form-urlencoded;charset=gbk"}
    assert "body_base64" in request


def test_a_body_without_a_call_id_says_so(checkout: Path) -> None:
    assert new("acme", b'{"who":"x"}').exit_code == 0
    assert "not found by its name" in (checkout / "schemas" / "vendors" / "acme.py").read_text()
    expected = json.loads((checkout / "tests" / "golden" / "acme" / "push-captured.expected.json").read_text())
    assert expected == {"dead": [{"code": "no_id", "element": 0}]}


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        pytest.param("Acme", CALL, "'Acme' is no name for a vendor", id="capital letters"),
        pytest.param("../acme", CALL, "is no name for a vendor", id="a path"),
        pytest.param("class", CALL, "is no name for a vendor", id="a keyword"),
        pytest.param("ytx", CALL, "the vendor ytx exists", id="a vendor that there is"),
        pytest.param("acme", b"hello", "the body cannot be read", id="no body"),
        pytest.param("acme", b"[1,2]", "no object with fields is in it", id="no fields"),
        pytest.param("acme", b"[]", "no object with fields is in it", id="no elements"),
    ],
)
def test_a_wrong_request_writes_nothing(checkout: Path, name: str, body: bytes, sentence: str) -> None:
    done = new(name, body)
    assert (done.exit_code, sentence in done.output) == (1, True), done.output
    assert [path for path in checkout.rglob("*") if path.is_file()] == []


def test_nothing_is_overwritten(checkout: Path) -> None:
    file = checkout / "schemas" / "vendors" / "acme.py"
    file.write_text("mine")
    done = new("acme", CALL)
    assert (done.exit_code, f"{file} exists, and is not overwritten" in done.output) == (1, True)
    assert (file.read_text(), list((checkout / "tests" / "golden").iterdir())) == ("mine", [])


def test_it_needs_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_skeleton, "here", lambda: tmp_path)
    done = new("acme", CALL)
    assert (done.exit_code, "is no checkout of this project" in done.output) == (1, True)


def tried(case: str, *options: str) -> tuple[Result, dict[str, Any]]:
    """Tries a golden case's body, and returns the outcome that it has anyway."""
    path = GOLDEN / f"{case}.json"
    request = load(path)
    result = call("try", path.parent.name, "-", *options, body=request.raw.body)
    return result, shown(run(request.raw))


def test_a_body_is_shown_field_by_field_with_flags_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    done, outcome = tried("ytx/push-W01-document-example-which-is-not-JSON")
    (fact,) = outcome["facts"]
    assert done.exit_code == 0, done.output
    for name in ("vendor_call_id", "from_number", "hangup_cause", "disposition"):
        assert any(line.split() == [name, str(fact[name])] for line in done.output.splitlines()), name
    assert f"flag repaired_json     {sentences(Flag)[Flag.REPAIRED_JSON]}" in done.output
    assert caplog.records == []


def test_dead_letters_are_shown_with_code_and_path() -> None:
    done, outcome = tried("huawei/ax-V1-call-times-and-no-session")
    assert done.exit_code == 1
    assert {dead["code"] for dead in outcome["dead"]} == {"no_id"}
    assert "element 0: a dead letter" in done.output
    assert any(line.split()[:2] == ["code", "no_id"] for line in done.output.splitlines())
    assert "why                    sessionId: " in done.output


def test_a_body_that_is_none_is_one_dead_letter() -> None:
    done = call("try", "nxcloud", "-", body=b"hello")
    assert (done.exit_code, "the whole body: a dead letter" in done.output) == (1, True)


def test_filtered_elements_and_pages_are_shown() -> None:
    done = call("try", "tencent", "-", body=b'{"errorCode":"-401","result":"no"}')
    assert (done.exit_code, "filtered: page_error:-401" in done.output) == (0, True)


def test_control_characters_of_a_body_are_written_out() -> None:
    body = load(GOLDEN / "nxcloud" / "cdr-N01-document-example.json").raw.body
    done = call("try", "nxcloud", "-", body=body.replace(b"first mobile", b"\\u001b[31mred"))
    assert (done.exit_code, "\\u001b[31mred" in done.output, "\x1b" in done.output) == (0, True, False)


def test_a_callback_that_the_vendor_has_not_is_refused() -> None:
    done = call("try", "ytx", "-", "--callback", "cdr", body=b"{}")
    assert (done.exit_code, "'cdr' is not one of push" in done.output) == (2, True)
