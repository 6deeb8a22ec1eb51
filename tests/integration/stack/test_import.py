"""A carrier's file imported beside the pushes of its calls, through real workers: each call is there once."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from deploy.local.stack import Stack
from tests.contract.reconcile.carrier import ACCOUNT, Element, table, two_way_calls
from tests.support import whole_stack as ws
from tests.support.command import addresses, callweave
from tests.support.http.pushing import JSON, PATHS

CALLS = two_way_calls(90)
BEFORE, MEANWHILE, AFTER, NEVER = CALLS[:25], CALLS[25:50], CALLS[50:75], CALLS[75:]
"""The calls that are pushed before the import, while it runs, behind it, and not at all: the file has them all."""
WHOSE = ("--vendor", "ytx", "--account", ACCOUNT)
COUNTED = {
    "v_cdr": "SELECT count() AS rows, uniqExact(vendor_call_id) AS calls FROM v_cdr",
    "v_timelines": "SELECT count() AS rows, uniqExact(vendor_call_id) AS calls FROM v_timelines",
}
SUMS = "SELECT sum(billable_s) AS seconds, sum(cost) AS cost FROM v_cdr"


async def push(stack: Stack, calls: list[Element]) -> None:
    async with aiohttp.ClientSession() as session:
        for call in calls:
            body = json.dumps(call).encode()
            async with session.post(stack.ingress_url + PATHS["ytx"], data=body, headers=JSON) as answer:
                assert answer.status == 200


async def until_once(stack: Stack, calls: int) -> None:
    """Waits until both views have so many calls; a row more than calls ends the test at once."""

    async def unlike() -> list[str]:
        wrong = []
        for view, sql in COUNTED.items():
            (counted,) = await ws.rows(stack, sql)
            assert int(counted["rows"]) == int(counted["calls"]), view
            if int(counted["calls"]) != calls:
                wrong.append(f"{view}: {counted}")
        return wrong

    assert await ws.until(unlike, 180, every_s=2) == []


@pytest.mark.timeout(500)
async def test_what_is_pushed_and_imported_is_there_once(tmp_path: Path) -> None:
    file = tmp_path / "carrier.csv"
    file.write_bytes(table([*CALLS, *CALLS[:5]]))
    async with ws.whole_stack(tmp_path / "data") as stack:
        settings = addresses(stack)

        async def say(*arguments: str) -> tuple[int, str]:
            done = await callweave(*arguments, cwd=tmp_path, settings=settings)
            return done.code, done.text + done.err

        await push(stack, BEFORE)
        await until_once(stack, len(BEFORE))
        (code, text), _ = await asyncio.gather(say("import", str(file), *WHOSE, "--yes"), push(stack, MEANWHILE))
        assert code == 0, text
        await push(stack, AFTER)
        await until_once(stack, len(CALLS))

        # Once more with all rows, also those that are held.
        code, text = await say("import", str(file), *WHOSE, "--yes", "--all")
        assert (code, f"{len(CALLS) + 5} rows sent" in text) == (0, True), text
        await push(stack, [*NEVER, CALLS[0]])
        last = {**CALLS[0], "requestid": "20260302999999999999999999999"}
        await push(stack, [last])  # behind all that came twice, though perhaps in another partition
        await until_once(stack, len(CALLS) + 1)

        code, text = await say("reconcile", str(file), *WHOSE, "--yes")
        counts = {line.split()[0]: line.split()[1] for line in text.splitlines() if len(line.split()) == 2}
        assert code == 1, text  # for the five rows that the file has twice, and the call that it has not
        assert (counts["equal"], counts["doubled_theirs"], counts["only_ours"]) == (str(len(CALLS)), "5", "1"), text
        assert (counts["differs"], counts["only_theirs"], counts["unreadable"]) == ("0", "0", "0"), text
        assert await ws.rows(stack, "SELECT * FROM v_conflicts") == []
        assert await ws.rows(stack, "SELECT * FROM v_dead_letters") == []
        (sums,) = await ws.rows(stack, SUMS)
        assert int(sums["seconds"]) == sum(int(one["duration"]) for one in [*CALLS, last])
