"""Two servers as two shards: rows of a call are on one of them, and views on either show the calls of both.

The servers have no Keeper, so the statements of a sharded cluster run on each of them without `ON CLUSTER`, and with
the plain form of the replicated engine; everything else is as on a cluster.
"""

import random
import re
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from deploy.admin.erasing.erase import EraseRequest, sought_for
from deploy.admin.erasing.tables import count_number, erase_number
from deploy.process.ports import free_port
from schemas.codec import STAGE_FACT
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import CallweaveError
from sinks import migrate as migrating
from sinks.clickhouse import ClickHouse
from sinks.grants import Role, account, rights
from sinks.migrate import migrate_tables, migrator
from sinks.moving import row_move
from sinks.queries.dead_letter_store import DeadFilter, list_dead, mark_resolved
from sinks.rows import DEAD_LETTERS
from tests.oracle.figures import rolled
from tests.oracle.views import named
from tests.property.real_rows.engine import put
from tests.property.real_rows.extremes import bare
from tests.property.real_rows.way import Way
from tests.property.test_differential import history, interleaved
from tests.support.clickhouse_node import User, cluster, node
from tests.support.scale import SCALE

CALLS: Final = 150 if SCALE == 1 else 250 * SCALE
ACCOUNTS: Final = ClickHouseSettings(
    user="parts",
    password=Secret("parts"),
    migrator="maker",
    migrator_password=Secret("maker"),
    reader="people",
    analyst="analysts",
    cluster="main",
    sharded=True,
)
_REPLICATED: Final = re.compile(r"ReplicatedReplacingMergeTree\('[^']*', '[^']*', version\)")


class Shards(msgspec.Struct, kw_only=True):
    """Two shards with the rows of all calls, inserted over the first of them."""

    ours: tuple[ClickHouseSettings, ClickHouseSettings]
    """The settings that reach each of them."""
    way: Way


def _users() -> list[User]:
    names = {"database": ACCOUNTS.database, "migrator": "maker"}
    roles: tuple[Role, ...] = ("writer", "migrator", "reader", "analyst")
    granted = {
        role: [f"{right.what} ON {right.on.format(**names)}" for right in rights(ACCOUNTS) if right.role == role]
        for role in roles
    }
    granted["migrator"].append("TABLE ENGINE ON ReplacingMergeTree")
    return [User(name=account(role, ACCOUNTS), grants=tuple(granted[role])) for role in roles]


def _calls() -> Way:
    """Returns what the random calls become, and some bodies that nobody can read."""
    rng, way = random.Random("shards"), Way()
    histories = [history(number, rng, "binding" if number % 10 == 0 else "")[:3] for number in range(CALLS)]
    for sent in interleaved(histories, rng):
        way.push(sent.call, sent.kind, bare(sent.kind.body(*sent.elements)), sent.received_at)
        if rng.random() < 0.1:
            way.push("unreadable", sent.kind, b'{"cdr": [1, 2', sent.received_at)
    way.join_all()
    assert way.broken == []
    return way


@pytest.fixture(scope="module")
async def shards() -> AsyncIterator[Shards]:
    """The two servers trust each other by a secret: a shard is then asked in the name of who asks."""
    plain, released, stored = migrating.statements, migrating.migrations(), row_move._stored

    def alone(template: str, settings: ClickHouseSettings) -> list[str]:
        return [
            _REPLICATED.sub("ReplacingMergeTree(version)", one.replace("ON CLUSTER main", ""))
            for one in plain(template, settings)
            if "COMMENT COLUMN" not in one  # most of the statements, and none of these tests' business
        ]

    ports = (free_port(), free_port())
    both = cluster(ports, secret="between the servers")
    with tempfile.TemporaryDirectory(prefix="callweave-shards-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrating, "statements", alone)
        patch.setattr(row_move, "_stored", lambda *a: stored(*a).replace(" ON CLUSTER main", ""))
        async with (
            node(Path(folder) / "1", remote_servers=both, tcp_port=ports[0], users=_users()) as one,
            node(Path(folder) / "2", remote_servers=both, tcp_port=ports[1], users=_users()) as two,
        ):
            ours = (replace(ACCOUNTS, url=one.url), replace(ACCOUNTS, url=two.url))
            # ON CLUSTER would keep them in step: rows move when all have the new tables, and none has lost an old one.
            for last in ("019", "020", "999"):
                known = tuple(one for one in released if one.name[:3] <= last)
                patch.setattr(migrating, "migrations", lambda known=known: known)
                for settings in ours:
                    await migrate_tables(Settings(clickhouse=settings))
            way = _calls()
            async with ClickHouse(ours[0]) as client:
                assert await put(client, way.normalized, way.timelines, random.Random(1)) == []
                await client.insert(DEAD_LETTERS, way.dead_letters)
            for settings in ours:  # without Keeper each has figures of its own; of all calls, wherever they are
                async with ClickHouse(settings) as client:
                    assert await rolled(client) > 0
            yield Shards(ours=ours, way=way)


async def asked(settings: ClickHouseSettings, sql: str) -> list[tuple[Any, ...]]:
    async with ClickHouse(settings) as client:
        return await client.query(sql)


async def places(shards: Shards, table: str, identity: str) -> dict[str, set[int]]:
    """Returns the shards of each row, by its identity."""
    found: dict[str, set[int]] = defaultdict(set)
    for number, settings in enumerate(shards.ours):
        for (name,) in await asked(settings, f"SELECT toString({identity}) FROM calls.{table}_local"):
            found[name].add(number)
    return found


def rows_of_calls(way: Way) -> Iterator[tuple[str, str]]:
    """Yields the case of each record, event, binding snapshot and timeline."""
    cases: dict[str, str] = {}
    for case, messages in way.facts.items():
        for message in messages:
            fact = STAGE_FACT.decode(message)
            cases[fact.call_key] = case
            yield fact.fact_id, case
    for timeline in way.timelines:
        yield timeline.timeline_id, cases[timeline.call_key]


async def test_all_rows_of_a_call_are_on_one_shard(shards: Shards) -> None:
    where: dict[str, set[int]] = {}
    for table, identity in (
        ("cdr_by_slot", "record_id"),
        ("call_events_by_slot", "record_id"),
        ("bindings_by_slot", "record_id"),
        ("timelines_by_slot", "timeline_id"),
    ):
        rows = await places(shards, table, identity)
        assert len(rows) > 20, table
        where |= rows
    calls: dict[str, set[int]] = defaultdict(set)
    for row, case in rows_of_calls(shards.way):
        calls[case] |= where[row]
    assert len(calls) == CALLS
    assert [case for case, found in calls.items() if len(found) != 1] == []
    share = sum(found == {0} for found in calls.values())
    assert 0.4 * CALLS < share < 0.6 * CALLS


async def test_all_dead_letters_of_a_body_are_on_one_shard_resolved_ones_too(shards: Shards) -> None:
    async with ClickHouse(shards.ours[1]) as client:
        found = await list_dead(client, DeadFilter(limit=10_000))
        assert len(found) == len(shards.way.dead_letters)
        await mark_resolved(client, [one.dead_letter for one in found[:20]])
        assert len(await list_dead(client, DeadFilter(limit=10_000))) == len(found) - 20
    rows = await places(shards, "dead_letters_versions", "(topic, partition, offset)")
    assert {len(numbers) for numbers in rows.values()} == {1}
    assert {number for numbers in rows.values() for number in numbers} == {0, 1}


async def test_the_views_of_either_server_show_what_both_have(shards: Shards) -> None:
    newest = {fact.fact_id: fact.version for fact in shards.way.normalized}
    for settings in shards.ours:
        people = replace(settings, user="people", password=Secret("people"))
        ((calls,),) = await asked(people, "SELECT count() FROM calls.v_timelines")
        assert calls == len({timeline.timeline_id for timeline in shards.way.timelines})
        of = "SELECT toString(record_id), version FROM calls."
        rows = await asked(people, f"{of}v_cdr UNION ALL {of}v_call_events")
        assert len(rows) == len(dict(rows)) > CALLS / 2
        assert dict(rows).items() <= newest.items()
        for view in ("v_kpi_day", "v_kpi_hour", "v_kpi_5m"):
            ((attempts,),) = await asked(people, f"SELECT sum(attempts + provisional) FROM calls.{view}")
            ((expected,),) = await asked(people, "SELECT count() FROM calls.v_timelines WHERE call_type = 'call'")
            assert attempts == expected > 0


@pytest.mark.parametrize(
    "view",
    [
        *("v_charges_day", "v_conferences", "v_bindings", "v_conflicts", "v_dead_letters", "v_call_events", "v_causes"),
        *("v_prefixes", "v_vendor_quality", "v_vendor_flags"),
        "v_concurrency(from = '2000-01-01 00:00:00', to = '2100-01-01 00:00:00')",
    ],
)
async def test_a_reader_gets_every_view(shards: Shards, view: str) -> None:
    counts = []
    for settings in shards.ours:
        people = replace(settings, user="people", password=Secret("people"))
        counts.append(await asked(people, f"SELECT count() FROM calls.{view}"))
        await asked(people, f"SELECT * FROM calls.{view}")
    assert counts[0] == counts[1]
    assert counts[0][0][0] > 0


MASKED: Final = {
    "masked_cdr": "v_cdr",
    "masked_timelines": "v_timelines",
    "masked_call_events": "v_call_events",
    "masked_bindings": "v_bindings",
    "v_kpi_day": "v_kpi_day",
    "v_charges_day": "v_charges_day",
    "v_prefixes": "v_prefixes",
}


@pytest.mark.parametrize(("view", "clear"), MASKED.items(), ids=MASKED)
async def test_an_analyst_gets_every_masked_view_and_the_figures(shards: Shards, view: str, clear: str) -> None:
    for settings in shards.ours:
        analyst = replace(settings, user="analysts", password=Secret("analysts"))
        people = replace(settings, user="people", password=Secret("people"))
        await asked(analyst, f"SELECT * FROM calls.{view}")
        counted = await asked(analyst, f"SELECT count() FROM calls.{view}")
        assert counted == await asked(people, f"SELECT count() FROM calls.{clear}") != [(0,)]


@pytest.mark.parametrize(("role", "in_part"), [("people", {}), ("analysts", {"v_cdr_local": "rights"})])
async def test_an_account_gets_every_view_that_it_sees(shards: Shards, role: str, in_part: dict[str, str]) -> None:
    """The analyst has a right on some columns of each shard's records, for the charges, and so none on `*`."""
    for settings in shards.ours:
        refused = {}
        async with ClickHouse(replace(settings, user=role, password=Secret(role))) as client:
            rows = await client.query("SELECT name, create_table_query FROM system.tables WHERE database = 'calls'")
            for name, definition in rows:
                try:
                    await client.query(f"SELECT * FROM calls.{named(str(name), str(definition))}")
                except CallweaveError as exc:
                    refused[name] = exc.code
        assert len(rows) > 20
        assert refused == in_part


async def test_the_country_of_the_other_party_is_that_of_the_prefixes_on_every_shard(shards: Shards) -> None:
    """The analyst's own form of it, too; each server has all prefixes, and a shard only its own calls."""
    people = replace(shards.ours[0], user="people", password=Secret("people"))
    analyst = replace(shards.ours[0], user="analysts", password=Secret("analysts"))
    counted = "SELECT count(), countIf(startsWith(other_masked, '+86')), countIf(country = 'CN') FROM calls."
    ((calls, chinese, told),) = await asked(people, f"{counted}v_other_parties")
    assert (calls,) == (await asked(people, "SELECT count() FROM calls.v_timelines"))[0]
    assert told >= chinese > 0
    assert (await asked(analyst, f"{counted}masked_other_parties"))[0] == (calls, chinese, told)


async def test_an_analyst_reaches_no_clear_number(shards: Shards) -> None:
    analyst = replace(shards.ours[0], user="analysts", password=Secret("analysts"))
    for sql in (
        *(f"SELECT count() FROM calls.{name}" for name in ("cdr", "cdr_local", "cdr_by_slot", "cdr_by_slot_local")),
        *(
            f"SELECT from_number FROM calls.{name}"
            for name in ("v_cdr", "v_cdr_local", "v_timelines", "v_timelines_local")
        ),
        "SELECT `legs.number` FROM calls.v_timelines_local",
        "SELECT from_token FROM calls.v_bindings_rows",
    ):
        with pytest.raises(CallweaveError) as refused:
            await asked(analyst, sql)
        assert refused.value.code == "rights", sql


async def test_a_reader_reaches_nothing_behind_the_views(shards: Shards) -> None:
    people = replace(shards.ours[0], user="people", password=Secret("people"))
    for hidden in ("cdr", "cdr_local", "cdr_by_slot", "cdr_by_slot_local", "dead_letters_local"):
        with pytest.raises(CallweaveError) as refused:
            await asked(people, f"SELECT count() FROM calls.{hidden}")
        assert refused.value.code == "rights"


class EachShard(ClickHouse):
    """A ClickHouse that runs statements of the cluster on each shard, as there is no Keeper that would."""

    shards: tuple[ClickHouseSettings, ...] = ()

    async def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Runs the statement on every shard."""
        assert "_local ON CLUSTER main UPDATE " in sql
        for settings in self.shards:
            async with ClickHouse(migrator(settings)) as client:
                await client.command(sql.replace(" ON CLUSTER main", ""), parameters)


async def test_a_number_is_erased_on_every_shard(shards: Shards) -> None:
    """The last test of this file, as it changes rows."""
    ours = shards.ours[0]
    ((number, rows),) = await asked(
        ours,
        "SELECT from_number, count() AS n FROM calls.cdr_by_slot WHERE startsWith(from_number, '+') "
        "GROUP BY from_number ORDER BY uniq(_shard_num) DESC, n DESC, from_number LIMIT 1",
    )
    counts = await asked(ours, "SELECT count(), sum(billable_s) FROM calls.v_cdr")
    sought = sought_for(Settings(clickhouse=ours), EraseRequest(number=number), datetime.now(UTC), listed=False)
    async with EachShard(migrator(ours)) as client:
        client.shards = shards.ours
        done = await erase_number(client, ours, sought, lambda _: None)
        assert done["cdr_by_slot"] >= rows > 0
        assert not any((await count_number(client, sought)).values())
    for settings in shards.ours:
        for table in ("cdr_by_slot_local", "timelines_by_slot_local"):
            left = f"SELECT count() FROM calls.{table} WHERE from_number = '{number}' OR has(`legs.own_number`, '{number}')"
            assert await asked(settings, left) == [(0,)]
    assert await asked(ours, "SELECT count(), sum(billable_s) FROM calls.v_cdr") == counts
