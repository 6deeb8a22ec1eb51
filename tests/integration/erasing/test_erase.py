"""A number and an account erased from a running stack under traffic: gone everywhere, for good, and nothing else.

One stack for all tests of this file; each looks at what one erasure of the fixture did.
"""

import asyncio
import contextlib
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from deploy.local.stack import Stack
from deploy.process.scrape import until_answers
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from schemas.config.privacy import PrivacySettings
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings
from schemas.erasing.following import followed
from schemas.errors import SetupError
from schemas.privacy.tokens import NumberTokens
from tests.integration.erasing.stored import Rows, everywhere, newest_timelines, snapshot, worked_off
from tests.support import whole_stack as ws
from tests.support.command import Done, addresses, callweave, clean_env
from tests.support.folders import contents_of, paths_under
from tests.support.http.pushing import JSON, body_of

pytestmark = pytest.mark.timeout(900)
KEY: Final = "c0ffee5ca1ab1e0ddba11ad0be5a7ed1c0ffee5ca1ab1e0ddba11ad0be5a7ed1"
GONE: Final = re.compile(
    r"_number$|_raw$|_token$|_masked$|^leg$|^legs\.(party|own_number|own_token|own_masked|number_raw)$|^contents\.(from|to)_"
)
"""Columns in which an erasure may change a row, beside those named in `ALSO`."""
ALSO: Final = {
    "quality_flags",
    "extras",
    "recording_url",
    "raw_sha256",
    "custom_ref",
    "agent_id",
    "session_id",
    "ingested_at",
}
SECRETS: Final = {"red": "a1b2c3d4e5f60718293a4b5c6d7e8f90", "blue": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}
CALLS: Final = 60
LIMIT_S: Final = 180.0
"""The longest time for a command, on a machine that has much else to do."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A stack before and after."""

    stack: Stack
    cwd: Path
    began: datetime
    number: str
    core: str
    before: Rows
    after: Rows
    exported: list[dict[str, Any]]
    erased: Done
    proof: dict[str, Any]
    account: Done

    async def run(self, *arguments: str, stdin: bytes = b"") -> Done:
        return await command(self.stack, self.cwd, *arguments, stdin=stdin)


async def command(stack: Stack, cwd: Path, *arguments: str, stdin: bytes = b"") -> Done:
    return await callweave(*arguments, cwd=cwd, settings=own_settings(stack), stdin=stdin, limit_s=LIMIT_S)


def own_settings(stack: Stack) -> dict[str, object]:
    return {**addresses(stack), "privacy__key": KEY, "ingress__spool_dir": stack.settings.ingress.spool_dir}


async def push(stack: Stack, path: str, body: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(stack.ingress_url + path, data=body, headers=JSON) as answer,
    ):
        assert answer.status == 200


def by_account(name: str) -> str:
    return f"/v1/a/{SECRETS[name]}/nxcloud/cdr"


async def busiest(stack: Stack) -> str:
    """Returns the E.164 number that stands in most calls, of those that stand in records and events as well."""
    (row,) = await ws.rows(
        stack,
        "SELECT number, count() AS calls FROM timelines ARRAY JOIN legs.number AS number WHERE startsWith(number, '+86') "
        "AND number IN (SELECT arrayJoin([from_number, to_number]) FROM cdr) "
        "AND number IN (SELECT leg_number FROM call_events) "
        "GROUP BY number ORDER BY calls DESC, number LIMIT 1",
    )
    return str(row["number"])


@contextlib.asynccontextmanager
async def traffic(stack: Stack) -> AsyncIterator[None]:
    """Pushes new calls without the number, for as long as few enough came that none has it by chance."""
    stop = asyncio.Event()
    options = SimulateOptions(
        url=stack.ingress_url, vendors=("nxcloud", "huawei"), rate=20, calls=300, seed=11, retry_scale=0.02
    )
    running = asyncio.create_task(simulate(options, stop))
    try:
        yield
    finally:
        stop.set()
        await running


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    began = datetime.now(UTC) - timedelta(seconds=5)
    cwd = tmp_path_factory.mktemp("cwd")
    data = tmp_path_factory.mktemp("erase")
    base = ws.settings_for(data)
    accounts = tuple(Account(vendor="nxcloud", name=name, secret=Secret(secret)) for name, secret in SECRETS.items())
    sections = {
        "privacy": PrivacySettings(key=Secret(KEY)),
        "accounts": accounts,
        "ingress": IngressSettings(port=base.ingress.port, require_account=False, spool_dir=str(data / "spool")),
    }
    async with ws.whole_stack(data, **sections) as stack:
        options = SimulateOptions(
            url=stack.ingress_url, vendors=("nxcloud", "ytx", "huawei"), rate=100, calls=CALLS, seed=7, retry_scale=0.02
        )
        await simulate(options, asyncio.Event())
        await worked_off(stack)
        number = await busiest(stack)
        core = number.removeprefix("+86")
        await push(stack, "/v1/ytx", b'{"broken": "0' + core.encode() + b'"')
        for name in SECRETS:
            for call in range(3):
                await push(stack, by_account(name), body_of("nxcloud", f"{name}-{call}"))
        await ws.until_true("the pushes are there", lambda: has_rows(stack, 6))
        before = await snapshot(stack)
        export = await command(
            stack, cwd, "export", "--number", "-", "--output", "export.jsonl", stdin=f"{number}\n".encode()
        )
        assert export.code == 0, export.err
        async with traffic(stack):
            erased, account = await asyncio.gather(
                command(
                    stack, cwd, "erase", "--number", "-", "--reason", "she asked", "--yes", "--proof", "p.json",
                    stdin=f"{number}\n".encode(),
                ),
                command(stack, cwd, "erase", "--account", "red", "--reason", "contract ended", "--yes", "--proof", "a.json"),
            )  # fmt: skip
        assert erased.code == 0, erased.err
        assert account.code == 0, account.err
        after = await snapshot(stack)
        proof = msgspec.json.decode((cwd / "p.json").read_bytes())
        yield Scene(
            stack=stack,
            cwd=cwd,
            began=began,
            number=number,
            core=core,
            before=before,
            after=after,
            exported=[msgspec.json.decode(line) for line in (cwd / "export.jsonl").read_bytes().splitlines()],
            erased=erased,
            proof=proof,
            account=account,
        )


async def has_rows(stack: Stack, count: int) -> bool:
    (calls,) = await ws.rows(stack, "SELECT count() AS n FROM timelines WHERE account != ''")
    (letters,) = await ws.rows(stack, "SELECT count() AS n FROM dead_letters WHERE position(original, 'broken') > 0")
    return bool(calls["n"] == count and letters["n"] == 1)


def holds(row: Mapping[str, Any], core: str) -> bool:
    return core in str(row)


async def test_the_number_is_in_no_row_and_in_no_newest_record(scene: Scene) -> None:
    assert [table for table, rows in scene.before.items() if any(holds(row, scene.core) for row in rows.values())] == [
        "cdr_by_slot", "call_events_by_slot", "timelines_by_slot", "dead_letters_versions",
    ]  # fmt: skip
    assert await everywhere(scene.stack, scene.core) == []
    left = [
        key for key, value in (await newest_timelines(scene.stack)).items() if scene.core.encode() in (value or b"")
    ]
    assert left == []


def test_an_access_request_gets_every_row_with_the_number_and_no_other(scene: Scene) -> None:
    names = {"cdr": "cdr_by_slot", "call_events": "call_events_by_slot", "timelines": "timelines_by_slot"}
    for view, table in names.items():
        wanted = {row["identity"] for row in scene.before[table].values() if holds(row, scene.core)}
        found = [row.get("record_id") or row["timeline_id"] for row in scene.exported if row["table"] == view]
        assert wanted
        assert sorted(found) == sorted(wanted)
    (letter,) = [row for row in scene.exported if row["table"] == "dead_letters"]
    assert letter["code"] == "json"
    assert scene.core not in str(letter)
    assert stat.S_IMODE((scene.cwd / "export.jsonl").stat().st_mode) == 0o600


def test_nothing_else_of_any_row_is_changed(scene: Scene) -> None:
    changed: dict[str, set[str]] = {}
    for table, rows in scene.before.items():
        for key, row in rows.items():
            if row.get("account") == "red":
                assert key not in scene.after[table]
                continue
            now = scene.after[table][key]
            different = {name for name in row if row[name] != now[name]}
            if not holds(row, scene.core):
                assert different <= {"ingested_at"}, (table, key)
            elif table != "dead_letters_versions":
                assert {name for name in different if not GONE.search(name)} <= ALSO, (table, key)
                assert "erased" in now["quality_flags"]
                changed.setdefault(table, set()).update(different)
    assert changed.keys() == {"cdr_by_slot", "call_events_by_slot", "timelines_by_slot"}


def test_an_erased_account_has_no_row_and_others_have_theirs(scene: Scene) -> None:
    calls = [row for row in scene.after["timelines_by_slot"].values() if row["account"]]
    assert sorted(row["vendor_call_id"] for row in calls) == ["blue-0", "blue-1", "blue-2"]


async def test_the_figures_of_an_erased_account_go_with_its_calls(scene: Scene) -> None:
    async def of_blue_alone() -> bool:
        sql = "SELECT account, sum(attempts) AS attempts FROM v_kpi_day WHERE account != '' GROUP BY account"
        stored = await ws.rows(scene.stack, "SELECT count() AS n FROM kpi_calls WHERE account = 'red' AND calls > 0")
        return await ws.rows(scene.stack, sql) == [{"account": "blue", "attempts": 3}] and stored == [{"n": 0}]

    await ws.until_true("the figures are those of the calls that are left", of_blue_alone)


async def test_the_calls_of_an_erased_account_end_in_tombstones(scene: Scene) -> None:
    newest = await newest_timelines(scene.stack)
    of = {name: [value for key, value in newest.items() if f"{name}-".encode() in key] for name in SECRETS}
    assert of["red"] == [None] * 3
    assert None not in of["blue"]
    assert len(of["blue"]) == 3


def test_the_proof_says_what_was_done_and_what_is_left_until_when(scene: Scene) -> None:
    places = {one["place"]: one for one in scene.proof["places"]}

    assert scene.proof["complete"] is True
    assert stat.S_IMODE((scene.cwd / "p.json").stat().st_mode) == 0o600
    # A call's clear row may have made way for the blanked one that came by the topic, before the command looked.
    assert places["timelines_by_slot"]["left"] == 0
    for name in ("cdr_by_slot", "call_events_by_slot", "dead_letters_versions", "calls.timelines"):
        assert places[name]["done"] > 0, name
        assert places[name]["left"] == 0, name
    for name in ("calls.raw", "calls.facts", "calls.normalized"):
        assert places[name]["left"] > 0, name
        until = datetime.fromisoformat(places[name]["until"])
        assert until > datetime.now(UTC) + timedelta(days=14), name


async def test_the_number_is_in_no_log_proof_or_entry(scene: Scene) -> None:
    audit = await scene.run("audit", "list", "--event", "erased")
    assert len(audit.lines) == 2
    told = [
        audit.text,
        scene.erased.text,
        scene.erased.err,
        (scene.cwd / "p.json").read_text(),
        (scene.cwd / "a.json").read_text(),
    ]
    assert not [text for text in told if scene.core in text]
    data = Path(scene.stack.settings.embedded.data_dir)
    paths = [*paths_under(data / "logs"), *paths_under(data / "clickhouse")]
    logs = contents_of(path for path in paths if path.is_relative_to(data / "logs") or path.suffix == ".log")
    assert len(logs) > 3
    assert not [path for path, held in logs.items() if scene.core.encode() in held]
    mutations = contents_of(path for path in paths if path.name.startswith("mutation_"))
    assert mutations
    assert not [path for path, held in mutations.items() if scene.core.encode() in held]


async def test_a_replay_from_the_beginning_brings_nothing_back(scene: Scene) -> None:
    done = await scene.run("replay", "--since", f"{scene.began:%Y-%m-%dT%H:%M:%S}")
    assert done.code == 0, done.err
    assert int(done.text.split()[0]) > CALLS
    await worked_off(scene.stack)

    assert await everywhere(scene.stack, scene.core) == []
    now = await snapshot(scene.stack)
    for table, rows in scene.before.items():
        kept = rows.keys() & scene.after[table].keys()  # not those of the traffic, which went on changing
        assert {identity for identity, _ in kept} <= {identity for identity, _ in now[table]}
        for key in kept & now[table].keys():  # a call that timed out meanwhile has a later version
            row = scene.after[table][key]
            different = {name for name in row if row[name] != now[table][key][name]}
            assert different <= {"ingested_at"}, (table, key)
    assert not [row for row in now["timelines_by_slot"].values() if row["account"] == "red"]


async def test_workers_from_their_states_and_a_sink_from_the_topics_bring_nothing_back(scene: Scene) -> None:
    """A worker restores states in which the number still is, and a repeated fact makes it publish the call again."""
    stack = scene.stack
    for part in stack.parts:
        if part.name in ("process-1", "sink") and part.pid:
            os.kill(part.pid, signal.SIGKILL)
    for name in ("process-1", "sink"):
        await until_answers(stack.metrics[name], 30)
    done = await scene.run("replay", "--since", f"{scene.began:%Y-%m-%dT%H:%M:%S}")
    assert done.code == 0, done.err
    await worked_off(stack)

    assert await everywhere(stack, scene.core) == []
    newest = await newest_timelines(stack)
    assert not [key for key, value in newest.items() if scene.core.encode() in (value or b"")]


async def test_a_command_killed_in_the_middle_is_run_again(scene: Scene, tmp_path: Path) -> None:
    """Killed right behind its entry in the list, before anything is changed; the next run finds all of it."""
    number = await busiest(scene.stack)
    core = number.removeprefix("+86")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli.main", "erase", "--number", number, "--reason", "again", "--yes"),
        cwd=tmp_path,
        env={**clean_env(**own_settings(scene.stack)), "PYTHONPATH": str(Path(__file__).parents[3])},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b"is on the list" not in await process.stderr.readline():
            continue
    process.kill()
    await process.wait()

    done = await scene.run(
        "erase", "--number", number, "--reason", "again", "--yes", "--proof", str(tmp_path / "p.json")
    )

    assert done.code == 0, done.err
    assert core not in (tmp_path / "p.json").read_text()
    assert await everywhere(scene.stack, core) == []


async def test_a_later_call_of_the_number_is_new_and_stays(scene: Scene) -> None:
    body = msgspec.json.decode(body_of("nxcloud", "later")) | {"phone": scene.core, "code": "86"}
    await push(scene.stack, "/v1/nxcloud/cdr", msgspec.json.encode(body))

    async def there() -> bool:
        rows = await ws.rows(scene.stack, "SELECT from_number FROM timelines WHERE vendor_call_id = 'later'")
        return [row["from_number"] for row in rows] == [scene.number]

    await ws.until_true("the later call shows its number", there)


async def test_a_part_without_the_key_of_the_list_does_not_start(scene: Scene) -> None:
    with pytest.raises(SetupError, match="cannot be carried out without the key"):
        async with followed(scene.stack.settings.kafka, NumberTokens(""), role="sink"):
            pass


async def test_the_list_is_complete_before_a_part_begins(scene: Scene) -> None:
    async with followed(scene.stack.settings.kafka, NumberTokens(KEY), role="sink") as erasures:
        is_erased = erasures.test("", scene.began)
        assert is_erased(scene.number)
        assert is_erased(scene.core)
        assert not is_erased("+8613900005678")
        assert erasures.has_account("red", scene.began)
