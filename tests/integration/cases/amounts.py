"""Seconds and money."""

from typing import Any, Final

from tests.integration.cases.parts import Case, call, element, push, record


def _fee(case: str, oriamount: Any, *flags: str, cost: str | None) -> Case:
    return Case(
        name=f"A3 a fee of {oriamount}" if "$" not in str(oriamount) else f"A4 a fee of {oriamount}",
        pushes=(push("callback_cdr", element("callback_cdr", case, oriamount=oriamount)),),
        wants=(
            record(case, *flags, cost=cost),
            call(case, *flags, cost=cost, disposition="answered"),
        ),
    )


CASES: Final = (
    Case(
        name="A1 68 years of 50 seconds",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-A1", duration=2147483648)),),
        wants=(record("case-A1", "range_error", billable_s=None), call("case-A1", "range_error", billable_s=None)),
    ),
    Case(
        name="A1 two days of 50 seconds",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-A1b", duration=172_800)),),
        wants=(record("case-A1b", "range_error", billable_s=None),),
    ),
    Case(
        name="A1 a second more than the times say",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-A1c", duration=41)),),
        wants=(record("case-A1c", billable_s=41, without=("range_error",)),),
    ),
    _fee("case-A3", "1e9", "range_error", cost=None),
    _fee("case-A3b", "100000.01", "range_error", cost=None),
    _fee("case-A3c", "100000", cost="100000"),
    _fee("case-A3d", "9" * 40, "range_error", cost=None),
    _fee("case-A4", "$2.94", "currency_suspect", cost=None),
    _fee("case-A4b", "US$ 2.94", "currency_suspect", cost=None),
    _fee("case-A4c", "￥2.94", cost="2.94"),
    Case(
        name="A5 two fees of one participant",
        pushes=(
            push(
                "conference_leg",
                element("conference_leg", "case-A5", singleoriamount="0.044", oriamount="0.09"),
            ),
        ),
        wants=(record("case-A5", "field_conflict", cost="0.044", without=("schema_drift",)),),
    ),
)
