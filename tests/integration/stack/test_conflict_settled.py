"""A contradiction from two pushes to the views, and the decision on it through the raw log back to the views."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from deploy.local.stack import Stack
from tests.support import whole_stack as ws
from tests.support.command import addresses, callweave
from tests.support.http.pushing import JSON, PATHS, body_of

SHOWN = "SELECT disposition, talk_ms, billable_s, answer_at IS NULL AS unanswered, is_final FROM {} WHERE vendor_call_id = 'c1'"
SUMS = "SELECT sum(attempts) AS attempts, sum(answered) AS answered, sum(billed_s) AS billed_s, sum(billable_in_conflict_s) AS disputed_s, sum(in_conflict) AS in_conflict FROM v_kpi_day"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with ws.whole_stack(tmp_path_factory.mktemp("settled")) as running:
        yield running


async def _push(stack: Stack, **fields: Any) -> None:
    body = msgspec.json.encode(msgspec.json.decode(body_of("nxcloud", "c1")) | fields)
    async with (
        aiohttp.ClientSession() as session,
        session.post(stack.ingress_url + PATHS["nxcloud"], data=body, headers=JSON) as answer,
    ):
        assert answer.status == 200


async def _until(stack: Stack, sql: str, wanted: list[dict[str, Any]]) -> None:
    async def unlike() -> list[dict[str, Any]]:
        rows = await ws.rows(stack, sql)
        return [] if rows == wanted else rows or [{"none": "yet"}]

    assert await ws.until(unlike, 60) == [], sql


async def test_two_finals_that_disagree_are_both_there_and_a_decision_settles_them(
    stack: Stack, tmp_path: Path
) -> None:
    unanswered = {"disposition": "no_answer", "talk_ms": None, "billable_s": 0, "unanswered": 1, "is_final": True}
    answered = {"disposition": "answered", "talk_ms": 35_000, "billable_s": 35, "unanswered": 0, "is_final": True}
    start = 1_772_352_000
    times = {"start_time": str(start), "end_time": str(start + 40)}
    await _push(stack, **times, answer_time="", duration=0, hangup_cause="NO_ANSWER")
    await _until(stack, SHOWN.format("v_cdr"), [unanswered])
    await _push(stack, **times, answer_time=str(start + 5), duration=35, hangup_cause="NORMAL_CLEARING")

    contents = "SELECT disposition, talk_ms, billable_s, answer_at IS NULL AS unanswered, is_final FROM v_conflicts ORDER BY received_at"
    first, second = await _eventually(stack, contents, 2)
    assert (first["disposition"], second) == ("no_answer", answered)
    for view in ("v_cdr", "v_timelines"):
        (row,) = await ws.rows(stack, SHOWN.format(view))
        assert (row["disposition"], row["billable_s"], row["unanswered"]) == ("no_answer", 0, 1)
    await _until(stack, SUMS, [{"attempts": 1, "answered": 0, "billed_s": None, "disputed_s": 0, "in_conflict": 1}])

    settings = addresses(stack)
    listed = await callweave("conflicts", "list", cwd=tmp_path, settings=settings)
    record_id = listed.lines[0].split()[0]
    digest = next(line.split()[0] for line in listed.lines[1:] if "  answered  " in line)
    done = await callweave("conflicts", "resolve", record_id, "--keep", digest, cwd=tmp_path, settings=settings)
    assert done.code == 0, done.err

    for view in ("v_cdr", "v_timelines"):
        await _until(stack, SHOWN.format(view), [answered])
    await _until(stack, SUMS, [{"attempts": 1, "answered": 1, "billed_s": 35, "disputed_s": None, "in_conflict": 0}])
    assert (await callweave("conflicts", "list", cwd=tmp_path, settings=settings)).text == ""
    settled = await ws.rows(stack, "SELECT is_shown, is_resolved FROM v_conflicts ORDER BY received_at")
    assert settled == [{"is_shown": False, "is_resolved": True}, {"is_shown": True, "is_resolved": True}]
    assert await ws.rows(stack, "SELECT * FROM dead_letters") == []


async def _eventually(stack: Stack, sql: str, count: int) -> list[dict[str, Any]]:
    async def missing() -> bool:
        return len(await ws.rows(stack, sql)) < count

    assert not await ws.until(missing, 60), sql
    return await ws.rows(stack, sql)
