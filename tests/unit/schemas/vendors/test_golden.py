"""Every golden case has its outcome, and no vendor, callback, field or kind lacks a case."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from schemas.body.document import decode
from schemas.facts import Kind
from schemas.identity import call_key
from schemas.vendors import VENDORS
from tests.golden.cases import LIMITS, Case, all_cases, outcome_path, requests_in, run, shown, vendor_folders, written

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_request_has_its_outcome(case: Case, request: pytest.FixtureRequest) -> None:
    outcome, expected = shown(run(case.raw, case.accounts)), case.expected
    if request.config.getoption("--update-golden"):
        outcome_path(case.path).write_text(written(outcome), encoding="utf-8")
        expected = outcome
    assert outcome == expected


@pytest.fixture(params=["America/New_York", "Asia/Shanghai"])
def host_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Puts the machine into another time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("host_zone")
def test_the_zone_of_the_host_does_not_matter() -> None:
    """T46: a time without a zone is in the vendor's."""
    assert [case.name for case in CASES if shown(run(case.raw, case.accounts)) != case.expected] == []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_cheap_key_is_the_key_of_one_of_the_facts(case: Case) -> None:
    """A call that ingress can see in a body gets the key that the facts of that call have."""
    vendor = VENDORS[case.raw.vendor]
    callback = next(c for c in vendor.callbacks if c.name == case.raw.callback)
    facts = run(case.raw, case.accounts).facts
    seen = callback.key(case.raw.body)
    if facts and seen:
        key = call_key(vendor.name, callback.key_account(case.raw.body, case.raw.account), seen)
        assert key in {fact.call_key for fact in facts}


def test_every_vendor_has_a_folder_and_every_folder_a_vendor() -> None:
    assert [folder.name for folder in vendor_folders()] == list(VENDORS)


@pytest.mark.parametrize("folder", vendor_folders(), ids=lambda folder: folder.name)
def test_every_file_is_a_request_with_its_outcome(folder: Any) -> None:
    requests = {path.name.removesuffix(".json") for path in requests_in(folder)}
    outcomes = {path.name.removesuffix(".expected.json") for path in folder.glob("*.expected.json")}
    assert outcomes == requests
    assert {path.name for path in folder.iterdir()} == {f"{name}{end}" for name in requests for end in _ENDS}


_ENDS = (".json", ".expected.json")
CALLBACKS = [(vendor, callback) for vendor in VENDORS.values() for callback in vendor.callbacks]


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_every_callback_has_a_case_and_every_case_a_callback(vendor: Any) -> None:
    named = {case.raw.callback for case in CASES if case.raw.vendor == vendor.name}
    assert named == {callback.name for callback in vendor.callbacks}


@pytest.mark.parametrize(
    ("vendor", "callback", "kind"),
    [(vendor, callback, kind) for vendor, callback in CALLBACKS for kind in callback.documented],
    ids=[f"{vendor.name}-{callback.name}-{kind}" for vendor, callback in CALLBACKS for kind in callback.documented],
)
def test_every_documented_field_is_sent_in_a_case(vendor: Any, callback: Any, kind: str) -> None:
    sent: set[str] = set()
    for case in CASES:
        if (case.raw.vendor, case.raw.callback) == (vendor.name, callback.name) and case.expected.get("facts"):
            sent |= _names(decode(case.raw, callback.form_fields, callback.words, LIMITS, callback.body).document)
    assert set(callback.documented[kind]) - sent == set()


def test_every_kind_of_payload_has_a_case() -> None:
    made = {fact["kind"] for case in CASES for fact in case.expected.get("facts", ())}
    own = {kind for vendor in VENDORS.values() for kind in vendor.kinds}

    assert made == {*Kind, *own}
    assert own.isdisjoint(Kind)


def test_outcomes_are_written_in_one_way() -> None:
    """Sorted keys and two spaces: the same outcome is always the same file."""
    for folder in vendor_folders():
        for path in folder.glob("*.expected.json"):
            text = path.read_text(encoding="utf-8")
            assert text == written(json.loads(text)), path.name


def _names(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return set(value).union(*(_names(item) for item in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(_names(item) for item in value))
    return set()
