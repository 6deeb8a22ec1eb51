"""The examples in the vendors' own documents have no drift: a flag that is always on is worth nothing."""

import pytest

from schemas.facts import Flag
from tests.golden.cases import Case, all_cases, run

PRINTED = (
    "cdr-N01-document-example", "push-V01-document-example", "push-W01-document-example-which-is-not-JSON",
    "push-W02-the-same-in-valid-JSON", "push-S01-document-example", "push-C01-document-example", "ax-H01-document-example",
    "ax-H44-native-notification", "ax-S6-native-notification-as-the-guide-prints-it", "getCdr-T01-document-success",
    "cdr-N25-incoming-with-a-callee-in-it",
)  # fmt: skip
CASES = [case for case in all_cases() if case.name.partition("/")[2] in PRINTED]


def test_every_printed_example_is_looked_at() -> None:
    assert sorted(case.name.partition("/")[2] for case in CASES) == sorted(PRINTED)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_printed_example_has_no_field_that_the_documents_do_not(case: Case) -> None:
    found = run(case.raw, case.accounts)
    assert found.facts
    assert not [fact.vendor_call_id for fact in found.facts if Flag.SCHEMA_DRIFT in fact.quality_flags]
