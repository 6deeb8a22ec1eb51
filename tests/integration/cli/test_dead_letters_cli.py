"""The commands for operators on a running system: dead letters, replays, topics, tables, doctor, simulator."""

import asyncio
import base64
import gzip
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from deploy.local.stack import Stack
from deploy.process.ports import free_port
from schemas.config.limits import DEFAULT, Limits
from schemas.config.loader import whole
from tests.support import whole_stack as ws
from tests.support.command import Done, addresses, callweave, decoded
from tests.support.http.pushing import JSON, PATHS, body_of

LIMIT_S = 45.0
CAP_BYTES = 2000
"""The limit of an inflated body here, at first."""
NOT_TEXT = b'\x00{"requestid":"\xff\xfe'
CALLS = "{} WHERE NOT startsWith(vendor_call_id, 'quiet-')"
VIEWS = {
    # A record's place is that of the earliest body with it, and one was unreadable when it came.
    "v_cdr": ("* EXCEPT (ingested_at, raw_offset)", CALLS.format("v_cdr")),
    "call_events": ("* EXCEPT (ingested_at)", CALLS.format("call_events")),
    "v_timelines": ("* EXCEPT (ingested_at)", CALLS.format("v_timelines")),
    "dead_letters": ("* EXCEPT (ingested_at, original), base64Encode(original) AS body", "dead_letters"),
}
"""A query for all rows except those of the calls that `quiet` sends, without the time of the insert."""


class Desk:
    """A terminal beside a running stack."""

    def __init__(self, stack: Stack, cwd: Path) -> None:
        self.stack = stack
        self.cwd = cwd

    async def run(self, *arguments: str, **settings: object) -> Done:
        return await callweave(*arguments, cwd=self.cwd, settings={**addresses(self.stack), **settings})

    async def push(self, vendor: str, body: bytes, **headers: str) -> str:
        """Pushes a body that must be acknowledged, and returns its request id."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.stack.ingress_url + PATHS[vendor], data=body, headers={**JSON, **headers}) as answer,
        ):
            assert answer.status == 200
            return answer.headers["X-Request-Id"]

    async def rows(self, query: str) -> list[dict[str, Any]]:
        return await ws.rows(self.stack, query)

    async def dead_letters(self, request_id: str) -> list[dict[str, Any]]:
        """Returns the dead letters of a body, wherever it was; the newest first."""
        return await self.rows(
            "SELECT concat(topic, '/', toString(partition), '/', toString(offset), if(element < 0, '', concat('/', toString(element)))) AS id,"
            " code, element, resolved, base64Encode(original) AS body, headers['replay_of'] AS replay_of, occurred_at"
            f" FROM dead_letters WHERE headers['request_id'] = '{request_id}' ORDER BY offset DESC, element"
        )

    async def dead_letter(self, request_id: str, count: int = 1) -> dict[str, Any]:
        """Returns the newest dead letter, once there are `count`."""
        await ws.until_true("the dead letter is stored", lambda: self._enough(request_id, count))
        return (await self.dead_letters(request_id))[0]

    async def _enough(self, request_id: str, count: int) -> bool:
        return len(await self.dead_letters(request_id)) >= count

    async def shown(self) -> dict[str, list[dict[str, Any]]]:
        """Returns all rows of the views, without the time of the insert."""
        return {
            view: await self.rows(f"SELECT {columns} FROM {source} ORDER BY ALL")
            for view, (columns, source) in VIEWS.items()
        }


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    limits = Limits(inflate_bytes=CAP_BYTES)
    async with ws.whole_stack(tmp_path_factory.mktemp("desk"), limits=limits) as stack:
        yield Desk(stack, tmp_path_factory.mktemp("cwd"))


async def test_list_names_each_letter_with_what_is_wrong(desk: Desk) -> None:
    """The list has one line each, the newest first; the options select."""
    html = await desk.dead_letter(await desk.push("nxcloud", b"<html>"))
    empty = await desk.dead_letter(await desk.push("ytx", b""))

    listed = await desk.run("dead", "list")
    chosen = await desk.run("dead", "list", "--vendor", "ytx", "--code", "empty")
    none = await desk.run("dead", "list", "--code", "adapter_bug")

    ids = [line.split()[0] for line in listed.lines]
    assert {html["id"], empty["id"]} <= set(ids)
    assert ids.index(empty["id"]) < ids.index(html["id"])
    (line,) = [line for line in listed.lines if line.startswith(f"{html['id']} ")]
    assert {"normalise", "json", "nxcloud"} <= set(line.split())
    assert [line.split()[0] for line in chosen.lines] == [empty["id"]]
    assert (listed.code, none.code, none.text) == (0, 0, "")


async def test_show_prints_a_letter_and_its_bytes(desk: Desk) -> None:
    request_id = await desk.push("ytx", NOT_TEXT)
    dead_letter = await desk.dead_letter(request_id)

    whole_letter = await desk.run("dead", "show", dead_letter["id"])
    raw = await desk.run("dead", "show", dead_letter["id"], "--raw")

    shown = json.loads(whole_letter.text)
    assert raw.out == NOT_TEXT
    assert base64.b64decode(shown["original_base64"]) == NOT_TEXT
    assert (shown["id"], shown["code"], shown["headers"]["request_id"]) == (dead_letter["id"], "charset", request_id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("show", "calls.raw/0/999999"), "no dead letter"), (("show", "nonsense"), "no dead letter's id")],
    ids=["a dead letter that is not there", "no id at all"],
)
async def test_a_wrong_id_is_reported_in_a_sentence(desk: Desk, arguments: tuple[str, ...], message: str) -> None:
    done = await desk.run("dead", *arguments)

    assert (done.code, done.out) == (1, b"")
    assert message in done.err
    assert "Traceback" not in done.err


async def test_a_body_that_is_still_unreadable_becomes_a_new_letter(desk: Desk) -> None:
    """The old one is resolved and gone from the list; the new one has the same bytes and headers, and its own place."""
    request_id = await desk.push("nxcloud", b'{"sessionid":')
    old = await desk.dead_letter(request_id)

    done = await desk.run("dead", "replay", old["id"])
    new = await desk.dead_letter(request_id, 2)
    listed = {line.split()[0] for line in (await desk.run("dead", "list")).lines}
    all_of_them = [line for line in (await desk.run("dead", "list", "--all")).lines if line.startswith(f"{old['id']} ")]

    assert done.text == "1 bodies sent again for 1 dead letters\n"
    assert {**new, "id": old["id"], "replay_of": ""} == old
    assert new["replay_of"] == old["id"]
    assert (old["id"] in listed, new["id"] in listed) == (False, True)
    assert [line.endswith("(resolved)") for line in all_of_them] == [True]


async def test_a_replay_of_one_bad_element_doubles_none_of_the_good_ones(desk: Desk) -> None:
    good, bad = json.loads(body_of("ytx", "half-good")), {"fid": "2", "tel": "13600007556"}
    request_id = await desk.push("ytx", msgspec.json.encode({"cdr": [*good["cdr"], bad]}))
    dead_letter = await desk.dead_letter(request_id)
    query = "SELECT * EXCEPT (ingested_at) FROM {} WHERE vendor_call_id = 'half-good'"
    views = ("v_cdr", "v_timelines")
    await ws.until_true("the good one has its rows", lambda: has_rows(desk, "half-good"))
    before = [await desk.rows(query.format(view)) for view in views]

    done = await desk.run("dead", "replay", dead_letter["id"])
    again = await desk.dead_letter(request_id, 2)

    assert done.text == "1 bodies sent again for 1 dead letters\n"
    assert (dead_letter["element"], again["element"]) == (1, 1)
    assert [await desk.rows(query.format(view)) for view in views] == before
    assert [len(rows) for rows in before] == [1, 1]


async def test_after_a_fix_a_replay_makes_the_row_that_was_missing(desk: Desk) -> None:
    """It keeps the identity of the body: its request and its time of receipt."""
    record = json.loads(body_of("nxcloud", "mended")) | {"mobile_name": "x" * CAP_BYTES}
    request_id = await desk.push("nxcloud", gzip.compress(msgspec.json.encode(record)), **{"Content-Encoding": "gzip"})
    dead_letter = await desk.dead_letter(request_id)
    assert dead_letter["code"] == "inflate"
    await mend(desk.stack)

    done = await desk.run("dead", "replay", "--code", "inflate")
    await ws.until_true("the record has its rows", lambda: has_rows(desk, "mended"))

    rows = await desk.rows("SELECT request_id, received_at FROM v_cdr WHERE vendor_call_id = 'mended'")
    assert done.text == "1 bodies sent again for 1 dead letters\n"
    assert rows == [{"request_id": request_id, "received_at": dead_letter["occurred_at"]}]
    assert [one["resolved"] for one in await desk.dead_letters(request_id)] == [True]
    assert (await desk.run("dead", "replay", "--code", "inflate")).text == "0 bodies sent again for 0 dead letters\n"


async def has_rows(desk: Desk, call_id: str) -> bool:
    return all(
        [
            await desk.rows(f"SELECT 1 FROM {view} WHERE vendor_call_id = '{call_id}'")
            for view in ("v_cdr", "v_timelines")
        ]
    )


async def mend(stack: Stack) -> None:
    """Restarts the worker with the settings that it should have had."""
    (part,) = [part for part in stack.parts if part.name == "process-1"]
    own = decoded(part.process.spec.settings, type(stack.settings))
    own = replace(own, limits=DEFAULT)
    part.process.spec = replace(part.process.spec, settings=whole(own))
    before = part.restarts
    assert part.pid
    os.kill(part.pid, signal.SIGTERM)

    async def again() -> bool:
        return part.restarts > before

    await ws.until_true("the worker runs again", again)


async def test_simulate_sends_traffic_that_ends_in_rows(desk: Desk) -> None:
    done = await desk.run("simulate", "--url", desk.stack.ingress_url, "--calls", "20", "--rate", "50", "--seed", "3")

    assert done.code == 0, done.err
    assert done.text.startswith("20 calls, ")
    assert ", 0 given up, " in done.text
    await ws.until_true("the calls are in the view", lambda: counted(desk, 10))


async def counted(desk: Desk, at_least: int) -> bool:
    return int((await desk.rows("SELECT count() AS n FROM v_timelines"))[0]["n"]) >= at_least


async def test_a_replay_of_everything_changes_no_view(desk: Desk) -> None:
    """Every raw body is normalised again while the parts run: same rows, same dead letters.

    A version may rise: another copy of a record, from another partition and later, is counted, and published only at a
    replay.
    """
    await quiet(desk)
    before = await desk.shown()

    done = await desk.run("replay", "--since", "2020-01-01")
    await quiet(desk)

    (bodies, facts, dead) = (int(part.split()[0]) for part in done.text.split(","))
    assert done.code == 0, done.err
    assert bodies > 20
    assert facts >= len(before["v_cdr"]) + len(before["call_events"])
    # The bodies that were too large for the first settings are readable now, and have the same facts.
    assert dead == sum(dead_letter["code"] != "inflate" for dead_letter in before["dead_letters"])
    after = await desk.shown()
    (now, then) = (
        {view: [unversioned(row) for row in rows] for view, rows in seen.items()} for seen in (after, before)
    )
    assert {view: [row for row in rows if row not in then[view]] for view, rows in now.items()} == {
        v: [] for v in VIEWS
    }
    assert {view: len(rows) for view, rows in now.items()} == {view: len(rows) for view, rows in then.items()}
    for view, name in (("v_cdr", "record_id"), ("v_timelines", "timeline_id")):
        newest = {row[name]: row["version"] for row in after[view]}
        assert [row[name] for row in before[view] if newest[row[name]] < row["version"]] == []


def unversioned(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "version"}


async def test_a_replay_of_one_vendor_reads_no_other(desk: Desk) -> None:
    done = await desk.run("replay", "--since", "2020-01-01", "--vendor", "tencent")

    assert done.text == "0 bodies, 0 facts, 0 dead letters\n"


async def quiet(desk: Desk) -> None:
    """Waits until no part has anything left to read, and everything read is written."""
    prefix, count = f"quiet-{uuid.uuid4().hex}", 16 * ws.PARTITIONS  # so many that each partition gets some
    await asyncio.gather(*(desk.push("nxcloud", body_of("nxcloud", f"{prefix}-{number}")) for number in range(count)))

    async def written() -> bool:
        sources = [
            f"SELECT 1 FROM {view} WHERE startsWith(vendor_call_id, '{prefix}')" for view in ("v_cdr", "v_timelines")
        ]
        return [len(await desk.rows(source)) for source in sources] == [count, count]

    await ws.until_true("what came last has its rows", written)


async def test_topics_shows_the_contract_and_finds_no_difference(desk: Desk) -> None:
    done = await desk.run("topics")

    assert (done.code, done.err) == (0, "")
    assert {"calls.raw", "calls.facts", "calls.normalized", "calls.timelines", "calls.dead"} <= {
        line.split()[0] for line in done.lines
    }
    assert (await desk.run("topics", "--create")).lines[0] == "nothing to create"


async def test_migrate_finds_nothing_to_do(desk: Desk) -> None:
    done = await desk.run("migrate")

    assert (done.code, done.text) == (0, "nothing to do: all migrations are applied\n")


async def test_doctor_finds_a_running_stack_well(desk: Desk) -> None:
    done = await desk.run("doctor")

    assert done.code == 0, done.text
    assert "BAD" not in done.text
    for what in ("Python", "Java", "disk", "ingress", "Kafka", "ClickHouse", "clock"):
        assert any(line.startswith("ok") and what in line for line in done.lines), what


@pytest.mark.parametrize("setting", ["kafka__bootstrap", "clickhouse__url"])
async def test_doctor_says_who_does_not_answer(desk: Desk, setting: str) -> None:
    """The exit code is 1, with the address and what to do, and no traceback."""
    port = free_port()
    address = f"127.0.0.1:{port}" if setting == "kafka__bootstrap" else f"http://127.0.0.1:{port}"

    done = await desk.run("doctor", **{setting: address})

    (bad,) = [line for line in done.lines if line.startswith("BAD")]
    assert done.code == 1
    assert str(port) in bad
    assert done.err == ""


@pytest.mark.parametrize(
    "arguments",
    [("topics",), ("topics", "--create"), ("replay", "--since", "2020-01-01")],
    ids=["topics", "topics --create", "replay"],
)
async def test_a_kafka_that_does_not_answer_is_reported_in_a_sentence(desk: Desk, arguments: tuple[str, ...]) -> None:
    port = free_port()

    done = await desk.run(*arguments, kafka__bootstrap=f"127.0.0.1:{port}")

    assert done.code == 1
    assert f"callweave: Kafka at 127.0.0.1:{port} does not answer" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("migrate",), ("dead", "list")], ids=["migrate", "dead list"])
async def test_a_clickhouse_that_does_not_answer_is_reported_in_a_sentence(
    desk: Desk, arguments: tuple[str, ...]
) -> None:
    done = await desk.run(*arguments, clickhouse__url=f"http://127.0.0.1:{free_port()}")

    assert done.code == 1
    assert done.err.startswith("callweave: ")
    assert "Traceback" not in done.err
