"""Every vendor file keeps the contract: keys never fail, fields are never dropped, the vendor's words stay inside."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.body.document import decode
from schemas.errors import Undecodable
from schemas.facts import Fact
from schemas.identity import call_key
from schemas.vendor_kit.contract import Callback, Context, Mapped, Vendor
from schemas.vendors import VENDORS
from tests.golden.cases import LIMITS, Case, all_cases, run

ROOT = Path(__file__).parents[4]
CALLBACKS = [(vendor, callback) for vendor in VENDORS.values() for callback in vendor.callbacks]
each_callback = pytest.mark.parametrize(
    ("vendor", "callback"), CALLBACKS, ids=[f"{vendor.name}-{callback.name}" for vendor, callback in CALLBACKS]
)
CASES = [case for case in all_cases() if case.expected.get("facts")]


@each_callback
def test_a_key_is_found_or_not_but_never_fails(vendor: Vendor, callback: Callback) -> None:
    ids = [name for case in CASES for name in re.findall(rb'"([A-Za-z_]+)"', case.raw.body)][:200]

    @given(
        st.one_of(
            st.binary(max_size=300), st.lists(st.sampled_from([*ids, b'"', b":", b"{", b"\\", b"1e9"])).map(b"".join)
        )
    )
    def any_bytes(body: bytes) -> None:
        key, account = callback.key(body), callback.key_account(body, "account")
        key.encode()
        account.encode()

    any_bytes()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_key_of_a_body_with_one_call_is_that_call_s(case: Case) -> None:
    """Ingress and the mapping agree whenever ingress can look into the body at all."""
    keys = {fact.call_key for fact in run(case.raw, case.accounts).facts}
    (callback,) = [c for v, c in CALLBACKS if (v.name, c.name) == (case.raw.vendor, case.raw.callback)]
    seen = callback.key(case.raw.body)
    begins = {"json": (b"{", b"["), "xml": (b"<",)}.get(callback.body)
    is_plain = case.raw.body.lstrip()[:1] in begins if begins else b"=" in case.raw.body
    readable = not case.raw.content_encoding and is_plain
    assert seen or not readable
    if seen and len(keys) == 1:
        account = callback.key_account(case.raw.body, case.raw.account)
        assert {call_key(case.raw.vendor, account, seen)} == keys


def marked_elements() -> Iterator[Any]:
    """Yields for each documented field a golden element of that payload, and the callback that maps it."""
    for vendor, callback in CALLBACKS:
        for kind, names in callback.documented.items():
            if not makes_facts(vendor, callback):
                continue
            element, case = whole_element(vendor, callback, names)
            for name in names:
                yield pytest.param(callback, case, element, name, id=f"{vendor.name}-{kind}-{name}")


def makes_facts(vendor: Vendor, callback: Callback) -> bool:
    """True when a golden case makes facts; test_golden names the fields of a callback that has none."""
    return any((case.raw.vendor, case.raw.callback) == (vendor.name, callback.name) for case in CASES)


def whole_element(vendor: Vendor, callback: Callback, names: tuple[str, ...]) -> tuple[dict[str, Any], Case]:
    """Returns the golden element that has most of the payload's fields."""
    best: tuple[int, dict[str, Any], Case] | None = None
    for case in CASES:
        if (case.raw.vendor, case.raw.callback) != (vendor.name, callback.name):
            continue
        document = decode(case.raw, callback.form_fields, callback.words, LIMITS, callback.body).document
        for item in callback.elements(document).items:
            if mapped(callback, case, item) is not None:
                count = sum(1 for name in names if name in innermost(item))
                if best is None or count > best[0]:
                    best = count, item, case
    assert best is not None
    return best[1], best[2]


def innermost(item: Any) -> dict[str, Any]:
    """Returns the record itself when its vendor file wraps it once more."""
    if isinstance(item, dict) and len(item) == 1 and isinstance(next(iter(item.values())), dict):
        inner: dict[str, Any] = next(iter(item.values()))
        return inner
    return item if isinstance(item, dict) else {}


def with_field(item: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    inner = innermost(item)
    changed = {**inner, name: value}
    return changed if inner is item else {next(iter(item)): changed}


def mapped(callback: Callback, case: Case, item: Any) -> Fact | None:
    context = Context(received_at=case.raw.received_at, account=case.raw.account)
    try:
        found = callback.normalise(item, context)
    except Undecodable:
        return None
    return found.fact if isinstance(found, Mapped) else None


MARKED = list(marked_elements())


@pytest.mark.parametrize(("callback", "case", "element", "name"), MARKED)
def test_no_documented_field_is_dropped(callback: Callback, case: Case, element: dict[str, Any], name: str) -> None:
    """Each field's value is found again in the fact, or it decides something: another value makes another fact."""
    markers: tuple[Any, ...] = ("mark-4711", "4711", 4711, "13810604711", "2019-01-02 03:04:05", "1546398245", "1", "0", "https://m.example/4711")  # fmt: skip
    without = mapped(callback, case, with_field(element, name, None))
    matters = []
    for marker in markers:
        found = mapped(callback, case, with_field(element, name, marker))
        matters.append(found is None or without is None or contents(found) != contents(without))
    assert any(matters), f"{name} changes nothing"
    free = mapped(callback, case, with_field(element, name, "mark-4711"))
    if free is not None:
        kept = "4711" in json.dumps(msgspec.to_builtins(free), ensure_ascii=False, default=str)
        decided = without is None or contents(free) != contents(without)
        assert kept or decided, name


def contents(fact: Fact) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(fact)
    return found


def test_only_a_vendor_s_own_file_names_it() -> None:
    """The rule is for code: prose and fixtures may name vendors, and so may the simulator, which plays them."""
    names = re.compile(r"(?<![A-Za-z])(" + "|".join(VENDORS) + r")(?![A-Za-z])", re.IGNORECASE)
    wrong = {
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("deploy", "ingress", "processors", "schemas", "sinks")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.is_relative_to(ROOT / "deploy" / "simulator")
        if path.parent != ROOT / "schemas" / "vendors" or path.name.startswith("_")
        for line in naming_lines(path, names)
    }
    assert wrong == set()


def naming_lines(path: Path, names: re.Pattern[str]) -> Iterator[int]:
    """Yields lines whose identifiers or text constants name a vendor; docstrings are prose."""
    tree = ast.parse(path.read_text("utf-8"))
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        words = [
            getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", ""), getattr(node, "module", "") or "",
            node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose else "",
        ]  # fmt: skip
        if any(isinstance(word, str) and names.search(word.replace("_", " ")) for word in words):
            yield getattr(node, "lineno", 0)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=lambda vendor: vendor.name)
def test_a_vendor_s_declaration_is_whole(vendor: Vendor) -> None:
    assert vendor.title
    assert vendor.adapter_version >= 1
    assert 200 <= vendor.accepted.status < 300
    assert vendor.retry.status >= 500
    assert len({callback.path for callback in vendor.callbacks}) == len(vendor.callbacks)
    assert len({callback.name for callback in vendor.callbacks}) == len(vendor.callbacks)
    assert all(callback.path == "" or callback.path.startswith("/") for callback in vendor.callbacks)
    if vendor.poll is not None:
        assert vendor.poll.callback in {callback.name for callback in vendor.callbacks}
        assert {"0", "", "transport"} <= set(vendor.poll.advice)
        known = {"advance", "resend_plain", "halve", "backoff", "retry_id", "probe", "stop", "park"}
        assert {advice.action for advice in vendor.poll.advice.values()} <= known
        assert {advice.then for advice in vendor.poll.advice.values()} <= known | {"", "not_found"}
