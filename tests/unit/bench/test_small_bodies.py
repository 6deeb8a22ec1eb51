"""The bodies of the comparison: a tenth are repeats of earlier ones, and all others are different calls."""

import pytest

from deploy.simulator.requests import pushed as pushed_request
from schemas.enums import Flag
from tests.bench.support.bodies import AT, facts, pushed
from tests.bench.support.small_bodies import PATH, bodies, body, distinct, is_repeat

NOW_S = int(AT.timestamp())


@pytest.mark.parametrize("count", [1, 9, 10, 11, 100, 4321])
def test_a_repeat_is_of_a_body_before_it(count: int) -> None:
    seen: set[bytes] = set()
    for number, each in enumerate(bodies(count, NOW_S)):
        assert (each in seen) == is_repeat(number)
        seen.add(each)
    assert len(seen) == distinct(count)


def test_each_body_is_one_clean_call() -> None:
    sent = [body(number, NOW_S) for number in (0, 9_999, 10_000, 139_999, 140_000, 17_999_999)]
    found = facts(pushed(pushed_request("nxcloud", "record", PATH, each) for each in sent))

    assert len({fact.call_key for fact in found}) == len(sent)
    assert all(fact.is_final and str(fact.to_number).startswith("+86") for fact in found)
    assert {flag for fact in found for flag in fact.quality_flags} == {Flag.NUMBER_UNVERIFIED}, "a softphone's own name"
