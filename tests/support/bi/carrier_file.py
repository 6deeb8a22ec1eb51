"""A carrier's file of calls of a running stack, with one mutation of each kind, as `callweave reconcile` takes it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from deploy.local.stack import Stack
from tests.support.command import Done, addresses, callweave
from tests.support.whole_stack import rows

VENDOR: Final = "ytx"
KIND: Final = "callback_cdr"
COLUMNS: Final = ("requestid", "starttime", "duration", "cost", "currency")
_HELD: Final = f"""
SELECT vendor_call_id AS requestid, billable_s AS duration, cost, currency, account_id,
    formatDateTime(assumeNotNull(arrayMin(arrayFilter(at -> isNotNull(at), arrayConcat([setup_at, alerting_at, answer_at, end_at],
        legs.setup_at, legs.alerting_at, legs.answer_at, legs.end_at)))), '%Y-%m-%dT%H:%i:%SZ', 'UTC') AS starttime
FROM v_cdr
WHERE vendor = '{VENDOR}' AND kind = '{KIND}' AND is_final AND cost IS NOT NULL AND billable_s IS NOT NULL AND end_at IS NOT NULL
ORDER BY starttime, vendor_call_id
"""
CLASSES: Final = ("differs", "only_theirs", "only_ours", "doubled_theirs")
"""The classes of the mutations."""


async def compared(stack: Stack, folder: Path) -> Done:
    """Writes the file of what the stack holds now, mutated, and compares it."""
    held = await rows(stack, _HELD)
    assert len(held) >= 12, f"only {len(held)} calls with a cost"
    file = folder / "carrier-november.csv"
    file.write_text(_text(mutated(held)), "utf-8")
    return await callweave(
        *(
            "reconcile",
            str(file),
            "--vendor",
            VENDOR,
            "--account",
            held[0]["account_id"],
            "--kind",
            KIND.upper(),
            "--yes",
        ),
        cwd=folder,
        settings=addresses(stack),
    )


def mutated(held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows with a cost and a duration changed, one row dropped, one doubled and one invented."""
    theirs = [dict(row) for row in held]
    theirs[2]["cost"] = float(theirs[2]["cost"]) + 1.5
    theirs[4]["duration"] = int(theirs[4]["duration"]) + 60
    theirs.append(dict(theirs[6]))
    theirs.append({**theirs[7], "requestid": f"{theirs[7]['requestid']}7"})
    del theirs[8]
    return theirs


def _text(theirs: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(theirs)
    return out.getvalue()
