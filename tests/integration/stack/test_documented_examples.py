"""Every documented example, as its vendor prints it, ends in the right row; other input is taken and told apart.

All tests share a running stack. The expected rows come from the vendors' documents, not from the system.
"""

import asyncio
import base64
import gzip
import json
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from deploy.local.stack import Stack
from deploy.process.scrape import total
from schemas.config.settings import Account, PollAccount
from tests.integration.stack.documented_rows import (
    APP_ID,
    FAILURE,
    HUAWEI,
    NXCLOUD,
    PUSHED,
    ROWS,
    SOFTPHONE,
    SUCCESS,
    YTX,
    printed,
)
from tests.support import whole_stack as ws
from tests.support.http.pushing import JSON
from tests.support.http.serving import serving

LIMIT_S = 45.0


@pytest.fixture(scope="module")
async def vendor_api() -> AsyncIterator[str]:
    """Yields a pull API that answers with the printed pages: success for one application, failure for another."""

    async def get_cdr(request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        return web.Response(body=SUCCESS if asked["appId"] == APP_ID else FAILURE, content_type="application/json")

    async with serving(get_cdr, "/201511v3/getCdr") as url:
        yield url


@pytest.fixture(scope="module")
async def stack(vendor_api: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Yields a stack that polls both applications, after each pushed example was sent once."""

    def account(name: str, app_id: str) -> PollAccount:
        return PollAccount(vendor="tencent", account=name, url=vendor_api, app_id=app_id, key_id="example", lag_s=1)

    async with ws.whole_stack(
        tmp_path_factory.mktemp("documents"),
        account("callback", APP_ID),
        account("refused", "1400000001"),
        accounts=(Account(vendor="tencent", name="callback", external_ids=(APP_ID,)),),
    ) as stack:
        for path, names in PUSHED.items():
            for name in names:
                status, _ = await push(stack, path, printed(name))
                assert status == 200, name
        yield stack


async def push(stack: Stack, path: str, body: bytes, headers: Mapping[str, str] = JSON) -> tuple[int, str]:
    """Pushes a body; returns the status and the request id, which its rows and dead letters have."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(stack.ingress_url + path, data=body, headers=headers) as answer,
    ):
        return answer.status, answer.headers["X-Request-Id"]


async def found(stack: Stack, query: str, count: int = 1) -> list[dict[str, Any]]:
    """Returns the rows of a query once there are `count`, or those at the limit."""
    rows: list[dict[str, Any]] = []

    async def missing() -> bool:
        rows[:] = await ws.rows(stack, query)
        return len(rows) < count

    await ws.until(missing, LIMIT_S, every_s=0.2)
    return rows


async def row_of(stack: Stack, view: str, where: str, like: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the one row, in the columns that `like` names; money as text."""
    columns = ", ".join(f"toString({name}) AS {name}" if name == "cost" else name for name in like)
    (row,) = await found(stack, f"SELECT {columns} FROM {view} WHERE {where}")
    return row


@pytest.mark.parametrize(("view", "where", "row"), ROWS.values(), ids=ROWS)
async def test_a_documented_example_ends_in_its_row(stack: Stack, view: str, where: str, row: dict[str, Any]) -> None:
    assert await row_of(stack, view, where, row) == row


SHARED = (
    *("direction", "from_number", "to_number", "setup_at", "alerting_at", "answer_at", "end_at", "pdd_ms", "ring_ms"),
    *("talk_ms", "billable_s", "disposition", "hangup_cause", "q850", "sip_code", "cost", "currency"),
    *("legs.role", "legs.number", "legs.answer_at", "legs.end_at", "legs.disposition"),
)
CALLS = {
    "N01 softphone record": "bf1b9043-cb9f-048f-cc97-0f939dc94609",
    "V01 voice code": "2016010000000205",
    "W01 two-way call": "2016010000000206",
    "T01 pulled record": "12-190123-2773afbbe32943668a2fb98exxxxxx",
}


@pytest.mark.parametrize("call_id", CALLS.values(), ids=CALLS)
async def test_a_call_with_its_record_alone_is_a_timeline_that_says_the_same(stack: Stack, call_id: str) -> None:
    where = f"vendor_call_id = '{call_id}'"
    like = dict.fromkeys(SHARED)
    call = await row_of(stack, "v_timelines", where, like)

    assert call == await row_of(stack, "v_cdr", where, like)
    expected = {"is_final": True, "has_record": True, "has_states": False}
    assert await row_of(stack, "v_timelines", where, expected) == expected


async def test_a_call_known_by_one_state_is_an_open_timeline(stack: Stack) -> None:
    expected = {
        "setup_at": "2018-06-04 03:13:04.000000",
        "answer_at": None,
        "disposition": "in_progress",
        "is_final": False,
        "has_record": False,
        "has_states": True,
        "legs.number": ["+8613600007556"],
        "legs.setup_at": ["2018-06-04 03:13:04.000000"],
    }
    assert await row_of(stack, "v_timelines", "vendor_call_id = '20180635240289460415365120401'", expected) == expected


async def test_a_conference_is_counted_from_its_participants(stack: Stack) -> None:
    expected = {"participants": 1, "started_at": "2016-03-14 02:43:42.000000", "ended_at": "2016-03-14 02:44:13.000000"}
    assert await row_of(stack, "v_conferences", "conference_id = '516152'", expected) == expected


async def test_a_binding_without_a_call_is_no_call(stack: Stack) -> None:
    await found(stack, "SELECT 1 FROM v_bindings")
    for view in ("v_cdr", "v_timelines"):
        assert await ws.rows(stack, f"SELECT * FROM {view} WHERE vendor = 'huawei' AND kind = 'binding'") == []


async def test_the_printed_failure_stops_the_poller_of_that_application_alone(stack: Stack) -> None:
    """The failure is counted and needs a person: no row, no dead letter, and the other application is still polled."""

    async def both() -> bool:
        samples = await ws.samples(stack)
        pages = total(samples, "callweave_poll_pages_total", account="callback")
        return not (pages and total(samples, "callweave_poll_stopped", account="refused"))

    assert not await ws.until(both, LIMIT_S)
    samples = await ws.samples(stack)
    assert total(samples, "callweave_poll_errors_total", account="refused", code="-1") == 1
    assert total(samples, "callweave_poll_pages_total", account="refused") == 0
    assert total(samples, "callweave_poll_stopped", account="callback") == 0
    assert await ws.rows(stack, "SELECT * FROM dead_letters WHERE vendor = 'tencent'") == []


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "G01 empty": (b"", "empty"),
    "G01 white space": (b" \r\n\t", "empty"),
    "G02 a page of a proxy": (b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "json"),
    "G02 plain words": (b"ok", "json"),
    "G03 cut off": (SUCCESS[:300], "json"),
    "G04 null": (b"null", "shape"),
    "G04 a number": (b"42", "shape"),
    "G04 a text": (b'"x"', "shape"),
    "neither UTF-8 nor GB 18030": (b'{"requestid":"\xff\xff"}', "charset"),
}


@pytest.mark.parametrize("path", [NXCLOUD, YTX, HUAWEI])
async def test_what_cannot_be_read_is_taken_and_ends_as_a_dead_letter(stack: Stack, path: str) -> None:
    """Each is a dead letter with its code, bytes and place, and no row among the calls."""
    ids = {}
    for name, (body, _) in UNREADABLE.items():
        status, ids[name] = await push(stack, path, body)
        assert status == 200, name

    listed = ", ".join(f"'{request_id}'" for request_id in ids.values())
    dead_letters = await found(
        stack,
        "SELECT headers['request_id'] AS id, stage, code, element, topic, base64Encode(original) AS body, resolved"
        f" FROM dead_letters WHERE id IN ({listed})",
        len(UNREADABLE),
    )

    by_id = {dead_letter["id"]: dead_letter for dead_letter in dead_letters}
    assert {name: by_id[ids[name]]["code"] for name in ids} == {name: code for name, (_, code) in UNREADABLE.items()}
    assert {name: base64.b64decode(by_id[ids[name]]["body"]) for name in ids} == {
        n: b for n, (b, _) in UNREADABLE.items()
    }
    assert {(one["stage"], one["topic"], one["element"], one["resolved"]) for one in dead_letters} == {
        ("normalise", "calls.raw", -1, False)
    }
    assert await ws.rows(stack, f"SELECT * FROM v_cdr WHERE request_id IN ({listed})") == []


def softphone(session_id: object, **changes: object) -> dict[str, Any]:
    """Returns the documented record with another id."""
    record: dict[str, Any] = json.loads(printed(PUSHED[NXCLOUD][0]))
    return {**record, "sessionid": session_id, **changes}


def text(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record)


WRONG: dict[str, tuple[str, bytes, str]] = {
    "G40 a binding at the softphone's address": (NXCLOUD, printed(PUSHED[HUAWEI][0]), "wrong_kind"),
    "G40 a softphone record at the binding's address": (HUAWEI, printed(PUSHED[NXCLOUD][0]), "wrong_kind"),
    "G17 no session id": (NXCLOUD, text(softphone("")), "no_id"),
    "G38 an object where the id belongs": (NXCLOUD, text(softphone({"a": 1})), "field"),
    "S25 empty state": (
        YTX,
        b'{"requestid":"1","src":"2","dsc":"3","timestamp":"2018-06-04 11:13:04","state":""}',
        "field",
    ),
}


@pytest.mark.parametrize(("path", "body", "code"), WRONG.values(), ids=WRONG)
async def test_readable_but_wrong_is_taken_and_ends_as_a_dead_letter(
    stack: Stack, path: str, body: bytes, code: str
) -> None:
    status, request_id = await push(stack, path, body)

    assert status == 200
    query = (
        f"SELECT code, base64Encode(original) AS body FROM dead_letters WHERE headers['request_id'] = '{request_id}'"
    )
    assert await found(stack, query) == [{"code": code, "body": base64.b64encode(body).decode()}]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CHINESE = json.dumps(softphone("as-gbk", mobile_name="前台电话"), ensure_ascii=False).encode("gbk")
READABLE: dict[str, tuple[str, bytes, Mapping[str, str], list[str]]] = {
    "G28 gzip": ("as-gzip", gzip.compress(text(softphone("as-gzip"))), {**JSON, "Content-Encoding": "gzip"}, []),
    "G28 deflate": ("as-zlib", zlib.compress(text(softphone("as-zlib"))), {**JSON, "Content-Encoding": "deflate"}, []),
    "G29 a form": ("as-form", urllib.parse.urlencode({"cdr": text(softphone("as-form"))}).encode(), FORM, []),
    "G29 plain text": ("as-text", text(softphone("as-text")), {"Content-Type": "text/plain"}, []),
    "G29 no type at all": ("as-none", text(softphone("as-none")), {"Content-Type": "application/octet-stream"}, []),
    "G07 GBK": ("as-gbk", CHINESE, JSON, ["charset_repaired"]),
    "G10 trailing comma": ("as-comma", text(softphone("as-comma"))[:-1] + b",}", JSON, ["repaired_json"]),
}


@pytest.mark.parametrize(("call_id", "body", "headers", "flags"), READABLE.values(), ids=READABLE)
async def test_the_same_record_in_another_wrapping_is_the_same_row(
    stack: Stack, call_id: str, body: bytes, headers: Mapping[str, str], flags: list[str]
) -> None:
    status, _ = await push(stack, NXCLOUD, body, headers)

    wanted = {**SOFTPHONE, "quality_flags": sorted([*SOFTPHONE["quality_flags"], *flags])}
    if call_id == "as-gbk":
        wanted["agent_name"] = "前台电话"
    assert status == 200
    assert await row_of(stack, "v_cdr", f"vendor_call_id = '{call_id}'", wanted) == wanted


async def test_one_bad_element_of_ten_fails_alone(stack: Stack) -> None:
    """Nine rows and one dead letter; the answer is 200, because any other one would make the vendor repeat the nine."""
    (element,) = json.loads(printed(PUSHED[YTX][0]))["cdr"]
    batch: list[dict[str, Any]] = [{**element, "requestid": f"batch-{number}"} for number in range(10)]
    del batch[4]["requestid"]
    body = text({"cdr": batch})

    status, request_id = await push(stack, YTX, body)

    rows = await found(stack, f"SELECT vendor_call_id FROM v_cdr WHERE request_id = '{request_id}' ORDER BY ALL", 9)
    dead_letters = await found(
        stack,
        f"SELECT code, element, base64Encode(original) AS body FROM dead_letters WHERE headers['request_id'] = '{request_id}'",
    )
    assert status == 200
    assert [row["vendor_call_id"] for row in rows] == [f"batch-{number}" for number in range(10) if number != 4]
    assert dead_letters == [{"code": "no_id", "element": 4, "body": base64.b64encode(body).decode()}]


async def all_before_had_its_turn(stack: Stack, prefix: str) -> None:
    """Sends enough calls to reach every partition, and waits for their rows."""
    count = 16 * ws.PARTITIONS
    await asyncio.gather(*(push(stack, NXCLOUD, text(softphone(f"{prefix}-{number}"))) for number in range(count)))
    for view in ("v_cdr", "v_timelines"):
        rows = await found(stack, f"SELECT 1 FROM {view} WHERE startsWith(vendor_call_id, '{prefix}')", count)
        assert len(rows) == count


NOTHING = {"ytx, an empty batch": (YTX, b'{"cdr":[]}'), "huawei, an empty list": (HUAWEI, b"[]")}


async def test_a_batch_of_nothing_is_taken_and_leaves_nothing(stack: Stack) -> None:
    answers = {name: await push(stack, path, body) for name, (path, body) in NOTHING.items()}
    await all_before_had_its_turn(stack, "after-nothing")

    listed = ", ".join(f"'{request_id}'" for _, request_id in answers.values())
    assert {status for status, _ in answers.values()} == {200}
    assert await ws.rows(stack, f"SELECT * FROM dead_letters WHERE headers['request_id'] IN ({listed})") == []
    assert await ws.rows(stack, f"SELECT * FROM v_cdr WHERE request_id IN ({listed})") == []


async def test_an_example_sent_again_changes_no_view(stack: Stack) -> None:
    """The same bytes give the same rows and versions; only duplicates are counted."""
    query = (
        "SELECT * FROM (SELECT toString(record_id) AS id, version, request_id FROM v_cdr WHERE vendor_call_id = '{id}' UNION ALL "
        "SELECT timeline_id, version, '' FROM v_timelines WHERE vendor_call_id = '{id}') ORDER BY ALL"
    ).replace("{id}", CALLS["W01 two-way call"])
    before = await found(stack, query, 2)
    duplicates = total(await ws.samples(stack), "callweave_join_items", vendor="ytx", outcome="duplicate")

    await push(stack, YTX, printed(PUSHED[YTX][1]))

    async def uncounted() -> bool:
        now = total(await ws.samples(stack), "callweave_join_items", vendor="ytx", outcome="duplicate")
        return now <= duplicates

    assert not await ws.until(uncounted, LIMIT_S, every_s=0.2)
    await all_before_had_its_turn(stack, "after-again")
    assert await ws.rows(stack, query) == before
