"""Reading leaves no reference cycles: those wait for a rare collection (`deploy.runtime`), each with a record batch."""

import gc
from collections.abc import Iterator

import msgspec
import pytest

from schemas.vendor_kit import phone_numbers
from tests.golden.cases import Case, all_cases, run

CASES = all_cases()
BROKEN = {
    "its end is missing": lambda body: body[:-1],
    "a comma is missing": lambda body: body.replace(b",", b"", 1),
    "it is no JSON": lambda body: b"\x00\x01" + body,
    "a byte that no charset has": lambda body: body + b"\xff",
}
NUMBERS = {
    "valid": ("+8613800138000", ""),
    "of no country": ("+999123456789", ""),
    "of no country, written nationally": ("99123456789012", "CN"),
    "dialled from outside, of no country": ("17900999123456789", "CN"),
    "a short one": ("10086", "CN"),
    "too long": ("1" * 30, "CN"),
    "of an unknown region": ("13800138000", "ZZ"),
}


@pytest.fixture(scope="module", autouse=True)
def earlier_tests() -> Iterator[None]:
    """Freezes the objects of earlier tests, so that no collection examines them again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def searched() -> Iterator[None]:
    """Turns automatic garbage collection off within a test."""
    phone_numbers._parse.cache_clear()
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_documented_body(case: Case) -> None:
    run(case.raw, case.accounts)
    assert gc.collect() == 0


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_body(how: str) -> None:
    broken = [msgspec.structs.replace(case.raw, body=BROKEN[how](case.raw.body)) for case in CASES]
    gc.collect()
    for case, raw in zip(CASES, broken, strict=True):
        run(raw, case.accounts)
    assert gc.collect() == 0


@pytest.mark.parametrize("number", NUMBERS)
def test_a_phone_number(number: str) -> None:
    phone_numbers.parse(*NUMBERS[number])
    assert gc.collect() == 0
