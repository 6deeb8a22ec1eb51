"""The comparison's ledger: a figure stands only where every accepted body is accounted for and every fact has rows."""

import msgspec
import pytest

from tests.bench.against.bench_compare import VIEWS, fault
from tests.oracle.expected import Counts

ALL_ROWS = dict.fromkeys(VIEWS, 90)
"""The rows of a hundred bodies, ten of which are repeats."""


def ledger(**changes: int) -> Counts:
    return msgspec.structs.replace(Counts(elements=100, facts=90, duplicates=10), **changes)


@pytest.mark.parametrize(
    ("found", "spooled"),
    [
        pytest.param(ledger(), 0, id="a tenth are repeats"),
        pytest.param(ledger(elements=103, duplicates=13), 3, id="three came from Kafka and from the spool"),
        pytest.param(ledger(), 3, id="three came from the spool alone"),
    ],
)
def test_a_ledger_at_zero(found: Counts, spooled: int) -> None:
    assert fault(found, 100, spooled, ALL_ROWS) == ""


@pytest.mark.parametrize(
    ("found", "stored", "why"),
    [
        pytest.param(ledger(elements=99, duplicates=9), ALL_ROWS, "100 bodies were accepted", id="a body was lost"),
        pytest.param(ledger(facts=89), ALL_ROWS, "100 bodies were accepted", id="an element has no outcome"),
        pytest.param(ledger(elements=101, duplicates=11), ALL_ROWS, "100 bodies", id="a body came twice from nowhere"),
        pytest.param(ledger(facts=89, duplicates=11), ALL_ROWS, "90 different", id="a fact was taken for a duplicate"),
        pytest.param(ledger(facts=91, duplicates=9), ALL_ROWS, "90 different", id="a repeat was taken for a fact"),
        pytest.param(ledger(duplicates=9, dead=1), ALL_ROWS, "90 different", id="a clean body became a dead letter"),
        pytest.param(ledger(), {**ALL_ROWS, "v_cdr": 89}, "v_cdr", id="a row is missing"),
        pytest.param(ledger(), {**ALL_ROWS, "v_timelines": 91}, "v_timelines", id="a row is doubled"),
    ],
)
def test_a_fault_is_named(found: Counts, stored: dict[str, int], why: str) -> None:
    assert why in fault(found, 100, 0, stored)
