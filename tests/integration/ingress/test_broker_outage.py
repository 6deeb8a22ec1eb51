"""A short run of the outage benchmark: all vendors keep pushing, and each call is shown once, in order."""

import signal
import tempfile
from pathlib import Path

import pytest

from tests.bench.bench_outage import outage

OUTAGE_S = 6.0
RATE = 120
GENEROUS_MS = 20_000.0


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped in its tracks"])
async def test_nobody_notices_that_the_broker_is_away_and_nothing_is_lost_or_passed(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="callweave-outage-test-") as folder:
        found = await outage(Path(folder), number, outage_s=OUTAGE_S, rate=RATE)
    assert {vendor: set(counts) for vendor, counts in found.statuses.items()} == {
        vendor: {200} for vendor in ("huawei", "nxcloud", "ytx")
    }
    assert found.spooled > 0
    assert (found.lost, found.missing, found.disordered) == (0, [], [])
    assert found.keys > 50
    assert found.huawei_ms[-1] < GENEROUS_MS
