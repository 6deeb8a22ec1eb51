"""The tables and views on the real engine: rows converge whatever is inserted twice, late or in another cut."""

import random
import re
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any

import msgspec
import pytest

from processors.normalise import make_dead_letter
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.dead_letter import DeadLetter, hash_of
from schemas.errors import SetupError
from schemas.facts import (
    Direction,
    Disposition,
    Fact,
    FactType,
    Flag,
    Kind,
    Leg,
    NumberKind,
    RecordContent,
    RecordingState,
    Role,
    State,
)
from schemas.raw import Position, RawCallback
from schemas.timeline import Timeline
from sinks import migrate as migrating
from sinks.clickhouse import ClickHouse
from sinks.error_classes import RowsRefused
from sinks.migrate import migrate, migrations, statements
from sinks.queries.dead_letter_store import DeadFilter, find_dead, get_dead, list_dead, mark_resolved
from sinks.rows import BINDINGS, CALL_EVENTS, CDR, DEAD_LETTERS, TABLES, TIMELINES, Table
from tests.support.clickhouse_at import settings_at

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PROMISED = {
    "v_timelines": """vendor account_id vendor_call_id direction from_number to_number setup_at alerting_at answer_at end_at
        pdd_ms ring_ms talk_ms billable_s disposition hangup_cause q850 sip_code cost currency is_final has_record has_states
        legs.role legs.number legs.setup_at legs.alerting_at legs.answer_at legs.end_at legs.disposition quality_flags
        version""",
    "v_cdr": """record_id vendor kind adapter_version schema_version account_id vendor_call_id session_id conference_id
        binding_id direction from_number to_number display_number privacy_number from_kind to_kind display_kind
        privacy_kind setup_at alerting_at answer_at end_at time_precision legs.role legs.number legs.setup_at
        legs.alerting_at legs.answer_at legs.end_at legs.disposition legs.hangup_reason legs.q850 legs.sip_code pdd_ms
        ring_ms talk_ms vendor_duration_s billable_s billable_source disposition hangup_cause q850 sip_code hangup_reason
        cause_confidence hangup_party cost currency cost_source recording_state has_recording recording_expires_at
        custom_ref agent_id agent_name extras is_final version quality_flags received_at ingested_at source raw_topic
        raw_partition raw_offset raw_sha256""",
    "call_events": "vendor account_id vendor_call_id leg leg_number state event_at record_id version",
    "dead_letters": "stage code detail vendor topic partition offset element original occurred_at resolved",
    "v_bindings": "vendor account_id binding_id binding_state bound_at unbound_at revised_at version",
    "v_conferences": "vendor account_id conference_id started_at ended_at participants cost currency peak_concurrency",
    "v_kpi_hour": """slot_at vendor account_id direction attempts answered asr ner acd_s pdd_p50_ms pdd_p95_ms ring_p50_ms
        ring_p95_ms short_call_ratio cost currency""",
}


def _settings(url: str) -> Settings:
    return Settings(clickhouse=settings_at(url, database=f"calls_{uuid.uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
async def migrated(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """A migrated database for the tests that only put rows in."""
    settings = _settings(clickhouse_url)
    async with ClickHouse(settings.clickhouse) as client:
        await migrate(client, settings)
        yield client
        await client.command(f"DROP DATABASE {client.database}")


@pytest.fixture
async def db(migrated: ClickHouse) -> ClickHouse:
    """The same, with empty tables."""
    for table in TABLES:
        await migrated.command(f"TRUNCATE TABLE {migrated.database}.{table.name}")
    return migrated


@pytest.fixture
def settings(clickhouse_url: str) -> Settings:
    """Of a database that does not exist yet."""
    return _settings(clickhouse_url)


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[ClickHouse]:
    """A client of that database, which goes with the test."""
    async with ClickHouse(settings.clickhouse) as client:
        yield client
        await client.command(f"DROP DATABASE IF EXISTS {client.database}")


def record(number: int = 1, **fields: Any) -> Fact:
    default: dict[str, Any] = {
        "fact_id": str(uuid.UUID(int=number)),
        "fact_type": FactType.RECORD,
        "vendor": "ytx",
        "kind": Kind.CALLBACK_CDR,
        "account_id": "acc",
        "vendor_call_id": f"call-{number}",
        "received_at": START,
        "version": 1,
    }
    return Fact(**{**default, **fields})


def call(number: int = 1, **fields: Any) -> Timeline:
    default: dict[str, Any] = {
        "timeline_id": f"ytx|acc|{number}",
        "call_key": f"ytx|acc|{number}",
        "vendor": "ytx",
        "account_id": "acc",
        "vendor_call_id": str(number),
        "first_received_at": START,
        "last_received_at": START,
        "version": 1,
    }
    return Timeline(**{**default, **fields})


def letter(offset: int = 1, **fields: Any) -> DeadLetter:
    default: dict[str, Any] = {
        "stage": "normalise",
        "code": "json",
        "detail": "not JSON",
        "vendor": "ytx",
        "topic": "calls.raw",
        "partition": 3,
        "offset": offset,
        "original": b"\x00\xff{",
        "occurred_at": START,
    }
    return DeadLetter(**{**default, **fields})


async def ask(db: ClickHouse, sql: str) -> list[tuple[Any, ...]]:
    return await db.query(sql.replace("FROM ", f"FROM {db.database}."))


# --- the tables themselves ---


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_the_code_and_the_migration_name_the_same_columns_and_types(db: ClickHouse, table: Table[Any]) -> None:
    described = await db.query(f"DESCRIBE TABLE {db.database}.{table.name}")
    theirs = {name: kind for name, kind, *_ in described if name != "ingested_at"}
    assert {column.name: column.type for column in table.columns} == theirs


@pytest.mark.parametrize("view", PROMISED)
async def test_a_view_has_the_promised_columns(db: ClickHouse, view: str) -> None:
    described = {row[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.{view}")}
    assert set(PROMISED[view].split()) <= described


async def test_views_for_people_show_nothing_restricted(db: ClickHouse) -> None:
    columns = await db.query(
        f"SELECT table, name FROM system.columns WHERE database = '{db.database}' AND startsWith(table, 'v_')"
    )
    assert [
        (table, name) for table, name in columns if re.search(r"_raw$|recording_url|^original$|^headers$", name)
    ] == []


async def test_views_for_people_need_no_rights_on_the_tables_behind_them(db: ClickHouse) -> None:
    """Else whoever reads a view needed rights on its table, which has restricted columns."""
    views = await db.query(
        f"SELECT name, create_table_query FROM system.tables WHERE database = '{db.database}' AND startsWith(name, 'v_')"
    )
    assert len(views) > 10
    assert [name for name, query in views if "SQL SECURITY DEFINER" not in query] == []


async def test_every_view_says_what_it_is_and_every_key_figure_how_it_is_computed(db: ClickHouse) -> None:
    views = await db.query(f"SELECT name, comment FROM system.tables WHERE database = '{db.database}'")
    columns = await db.query(
        f"SELECT table, name, comment FROM system.columns WHERE database = '{db.database}' AND startsWith(table, 'v_kpi')"
    )
    assert [name for name, comment in views if not comment] == []
    dimensions = {"vendor", "account_id", "direction"}
    assert [row for row in columns if not row[2] and row[1] not in dimensions] == []


async def test_what_is_billed_is_said_in_one_rule_wherever_it_stands(db: ClickHouse) -> None:
    said = await db.query(
        f"SELECT table, comment FROM system.columns WHERE database = '{db.database}' AND name = 'billable_s' ORDER BY table"
    )
    rule = dict(said)["cdr_versions"]
    assert rule.startswith("the vendor's billed seconds where its document says they are billed; else the talk; 0 when")
    assert {table for table, comment in said if comment == rule} == {
        "cdr", "cdr_versions", "timelines", "timelines_versions", "v_cdr", "v_timelines",
    }  # fmt: skip


async def test_every_percentile_says_by_which_definition_it_is_taken(db: ClickHouse) -> None:
    """ClickHouse's quantileExact is no nearest rank and does not interpolate: of four values the median is the third."""
    await db.insert(TIMELINES, [call(n, is_final=True, pdd_ms=pdd) for n, pdd in enumerate((40, 10, 30, 20))])
    assert await ask(db, "SELECT pdd_p50_ms, pdd_p95_ms FROM v_kpi_day") == [(30, 40)]
    said = await db.query(
        f"SELECT comment FROM system.columns WHERE database = '{db.database}' AND table = 'v_kpi_day' AND name LIKE '%_p%_ms'"
    )
    assert len(said) == 4
    assert all(re.search(r"floor\(0\.\d+ n\)", comment) for (comment,) in said)


async def test_values_come_back_as_they_went_in(db: ClickHouse) -> None:
    """Microseconds, exact money, NULL apart from zero, text beyond ASCII, legs and maps."""
    leg = Leg(
        role=Role.B, number="+8613912345678", number_kind=NumberKind.E164, answer_at=START + timedelta(microseconds=1),
        disposition=Disposition.ANSWERED, q850=16,
    )  # fmt: skip
    sent = record(
        legs=(leg, Leg(role=Role.A)), setup_at=START + timedelta(microseconds=999_999), answer_at=None, talk_ms=0,
        ring_ms=None, cost=Decimal("0.060001"), currency="CNY", extras={"stateDesc": "应答|正常"},
        quality_flags=(Flag.TZ_ASSUMED,), recording_url="https://example.invalid/r", is_final=True,
        recording_state=RecordingState.AVAILABLE,
    )  # fmt: skip
    await db.insert(CDR, [sent, record(2, cost=Decimal(0))])
    rows = await ask(
        db,
        "SELECT record_id, setup_at, answer_at, talk_ms, ring_ms, cost, extras, quality_flags, `legs.role`, `legs.number`, "
        "`legs.answer_at`, has_recording, is_final FROM v_cdr ORDER BY record_id",
    )
    assert rows[0] == (
        uuid.UUID(int=1), START + timedelta(microseconds=999_999), None, 0, None, Decimal("0.060001"),
        {"stateDesc": "应答|正常"}, ["tz_assumed"], ["B", "A"], ["+8613912345678", None],
        [START + timedelta(microseconds=1), None], True, True,
    )  # fmt: skip
    assert (rows[1][5], rows[1][11]) == (Decimal(0), False)


TEXT: Any = "now"


@pytest.mark.parametrize(
    ("table", "bad", "column"),
    [
        pytest.param(CDR, record(q850=70_000), "q850", id="a cause that no 16 bits hold"),
        pytest.param(CDR, record(fact_id=""), "record_id", id="no identity"),
        pytest.param(CDR, record(fact_id="not-a-uuid"), "record_id", id="a broken identity"),
        pytest.param(TIMELINES, call(talk_ms=-1), "talk_ms", id="a negative duration"),
        pytest.param(TIMELINES, call(cost=Decimal("1e30")), "cost", id="money out of range"),
        pytest.param(CDR, record(custom_ref="\ud800"), "custom_ref", id="text that is no text"),
        pytest.param(CDR, record(legs=(Leg(role=Role.A, sip_code=-3),)), "legs.sip_code", id="a leg's code below zero"),
        pytest.param(CDR, record(setup_at="yesterday"), "setup_at", id="a time that is a text"),
        pytest.param(CDR, record(received_at=None), "received_at", id="a receipt that is missing"),
        pytest.param(CDR, record(legs=None), "legs.role", id="legs that are none"),
        pytest.param(CDR, record(legs=("A",)), "legs.role", id="a leg of another type"),
        pytest.param(
            CDR,
            record(legs=(Leg(role=Role.A, end_at=TEXT),)),
            "legs.end_at",
            id="a leg's time that is a text",
        ),
        pytest.param(CDR, record(extras={1: object()}), "extras", id="extras of another type"),
        pytest.param(CDR, record(cost="a lot"), "cost", id="money that is a text"),
        pytest.param(CDR, record(cost=Decimal("NaN")), "cost", id="money that is no number"),
        pytest.param(CDR, record(cost=Decimal("Infinity")), "cost", id="money without end"),
        pytest.param(CDR, record(talk_ms=1 << 32), "talk_ms", id="one above what 32 bits hold"),
        pytest.param(CDR, record(talk_ms=1 << 63), "talk_ms", id="what 64 bits do not hold"),
        pytest.param(CDR, record(talk_ms=1e300), "talk_ms", id="a fraction without end"),
        pytest.param(TIMELINES, call(vendor="\ud800"), "vendor", id="a word that is no text"),
        pytest.param(TIMELINES, call(quality_flags=None), "quality_flags", id="flags that are none"),
        pytest.param(TIMELINES, call(version=-1), "version", id="a version below zero"),
    ],
)
async def test_a_row_that_does_not_fit_is_refused_by_column_and_nothing_of_its_batch_lands(
    db: ClickHouse, table: Table[Any], bad: Any, column: str
) -> None:
    good = call(9) if table is TIMELINES else record(9)
    with pytest.raises(RowsRefused, match=f"column {re.escape(column)}:"):
        await db.insert(table, [good, bad])
    assert await ask(db, f"SELECT count() FROM {table.name}") == [(0,)]


EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
EXTREMES: list[Any] = [
    pytest.param("talk_ms", [0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, None], id="milliseconds"),
    pytest.param("billable_s", [0, (1 << 32) - 1, None], id="billed seconds"),
    pytest.param("vendor_duration_s", [0, (1 << 32) - 1], id="the vendor's seconds"),
    pytest.param("q850", [0, (1 << 16) - 1, None], id="a cause"),
    pytest.param(
        "cost",
        [Decimal(0), Decimal("999999999999.999999"), Decimal("-999999999999.999999"), Decimal("0.000001"), None],
        id="money",
    ),
    pytest.param("setup_at", [EARLIEST, datetime(1970, 1, 1, tzinfo=UTC), datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
                              datetime(2262, 4, 11, 23, 47, 17, tzinfo=UTC), LATEST, None], id="an instant"),
    pytest.param("received_at", [EARLIEST, LATEST.replace(microsecond=999_000)], id="a receipt"),
    pytest.param("raw_offset", [0, (1 << 63) - 1, -1], id="an offset"),
    pytest.param("raw_element", [-1, (1 << 31) - 1], id="an element"),
    pytest.param("version", [0, (1 << 64) - 1], id="a version"),
    pytest.param("custom_ref", ["", "\x00", "\uffff", "\U0010ffff", "x" * 65_536], id="a text"),
    pytest.param("extras", [{}, {"": ""}, {"k" * 256: "\x00"}], id="extras"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "values"), EXTREMES)
async def test_a_column_holds_the_extremes_that_the_stages_before_let_through(
    db: ClickHouse, column: str, values: list[Any]
) -> None:
    await db.insert(CDR, [record(n, **{column: value}) for n, value in enumerate(values, 1)])
    assert await ask(db, f"SELECT {column} FROM cdr ORDER BY record_id") == [(value,) for value in values]


async def test_extremes_in_all_columns_at_once_are_rows_of_every_table_and_view(db: ClickHouse) -> None:
    """Also in sums: nothing overflows, and every view can be read."""
    most: dict[str, Any] = {
        "setup_at": EARLIEST, "alerting_at": EARLIEST, "answer_at": EARLIEST, "end_at": LATEST, "pdd_ms": (1 << 32) - 1,
        "ring_ms": (1 << 32) - 1, "talk_ms": (1 << 32) - 1, "vendor_duration_s": (1 << 32) - 1, "billable_s": (1 << 32) - 1,
        "cost": Decimal("999999999999.999999"), "currency": "CNY", "is_final": True, "disposition": Disposition.ANSWERED,
    }  # fmt: skip
    legs = (Leg(role=Role.A, setup_at=EARLIEST, end_at=LATEST, q850=65535, sip_code=65535),)
    content = _content(
        "aa", is_shown=True, **{k: v for k, v in most.items() if k in ("cost", "talk_ms", "billable_s", "end_at")}
    )
    kinds = (Kind.CONFERENCE_LEG, Kind.PRIVACY_AX, Kind.VOICE_OTP, Kind.SOFTPHONE_CDR)
    await db.insert(
        CDR,
        [
            record(10 * i + n, kind=kind, conference_id="1", binding_id="b", legs=legs, contents=(content,), **most)
            for i, kind in enumerate(kinds, 1)
            for n in range(3)
        ],
    )
    await db.insert(CALL_EVENTS, [record(1, event_at=LATEST)])
    await db.insert(BINDINGS, [record(1, binding_id="b", revised_at=LATEST)])
    await db.insert(TIMELINES, [call(n, legs=legs, started_at=EARLIEST, **most) for n in range(3)])
    await db.insert(DEAD_LETTERS, [letter(occurred_at=LATEST)])
    shown = await _everything(db)
    assert [view for view, rows in shown.items() if not rows] == []
    assert await ask(db, "SELECT sum(cost) FROM v_kpi_day") == [(3 * most["cost"],)]


# --- migrations ---


async def test_migrations_run_in_order_and_once_and_again_when_one_broke_off(
    settings: Settings, own: ClickHouse
) -> None:
    names = [migration.name for migration in migrations()]
    assert await migrate(own, settings) == names
    assert await ask(own, "SELECT name FROM schema_migrations ORDER BY applied_at, name") == [(name,) for name in names]
    assert await migrate(own, settings) == []

    await own.insert(CDR, [record()])
    await own.command(f"TRUNCATE TABLE {own.database}.schema_migrations")
    assert await migrate(own, settings) == names
    assert await ask(own, "SELECT count() FROM v_cdr") == [(1,)]


RELEASED = "008_kpi"
"""The last migration of the release before accounts and conflicts."""
NEW_COLUMNS = {"account", "call_type", "started_at", "origin_hash"}


def _of_before(table: Table[Any]) -> Table[Any]:
    old = [column for column in table.columns if column.name.split(".")[0] not in {*NEW_COLUMNS, "contents"}]
    if table is DEAD_LETTERS:
        old += [column for column in table.columns if column.name == "account"]  # it had one from the start
    return Table(table.name, tuple(old))


async def test_a_filled_database_of_the_release_before_comes_along(
    settings: Settings, own: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of before have the defaults, count where they counted or better, and can be replaced by newer versions."""
    ours = migrations()
    monkeypatch.setattr(migrating, "migrations", lambda: tuple(one for one in ours if one.name <= RELEASED))
    await migrate(own, settings)
    legs = (Leg(role=Role.A, answer_at=TWO_PM - timedelta(seconds=20)), Leg(role=Role.B))
    rows: list[tuple[Table[Any], list[Any]]] = [
        (CDR, [record(n, vendor=("ytx", "huawei")[n % 2]) for n in range(1, 500)]),
        (CALL_EVENTS, [record(n, fact_type=FactType.STATE) for n in range(1, 500)]),
        (BINDINGS, [_snapshot(n, "bound", n, binding_id=f"b{n}") for n in range(1, 500)]),
        (TIMELINES, [
            *(call(n, kind=Kind.CALLBACK_CDR, legs=legs, end_at=TWO_PM, is_final=True) for n in range(1, 400)),
            *(call(n, kind=Kind.CONFERENCE_LEG, is_final=True) for n in range(400, 450)),
            *(call(n, kind=Kind.VOICE_OTP, is_final=True) for n in range(450, 500)),
        ]),
        (DEAD_LETTERS, [letter(n) for n in range(1, 500)]),
    ]  # fmt: skip
    async with ClickHouse(settings.clickhouse) as sink_of_before:  # a client keeps what it knows of a table
        for table, records in [*rows, *((table, records[:100]) for table, records in rows)]:
            await sink_of_before.insert(_of_before(table), records)
    views = ("cdr", "call_events", "bindings", "timelines", "dead_letters", "v_cdr", "v_bindings", "v_timelines")
    before = {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views}
    assert set(before.values()) == {499}

    monkeypatch.setattr(migrating, "migrations", lambda: ours)
    assert await migrate(own, settings) == [one.name for one in ours if one.name > RELEASED]

    assert {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views} == before
    assert await ask(own, "SELECT call_type, count() FROM v_timelines GROUP BY 1 ORDER BY 1") == [
        ("call", 399), ("conference", 50), ("voice_code", 50),
    ]  # fmt: skip
    assert await ask(own, "SELECT slot_at, attempts FROM v_kpi_hour") == [(TWO_PM.replace(hour=13), 399)]
    assert await ask(own, "SELECT DISTINCT account, length(`contents.digest`) FROM cdr") == [("", 0)]
    await own.insert(
        CDR, [record(n, vendor=("ytx", "huawei")[n % 2], version=2, custom_ref="new") for n in range(1, 500)]
    )
    await own.insert(TIMELINES, [call(1, version=2, started_at=TWO_PM, is_final=True)])
    await own.insert(DEAD_LETTERS, [letter(n) for n in range(1, 500)])
    assert {view: (await ask(own, f"SELECT count() FROM {view}"))[0][0] for view in views} == before
    assert await ask(own, "SELECT DISTINCT custom_ref FROM v_cdr") == [("new",)]


@pytest.fixture
def one_migration(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a release whose only migration has this template."""

    def release(template: str, name: str = "001_a") -> None:
        only = (migrating.Migration(name=name, template=template),)
        monkeypatch.setattr(migrating, "migrations", lambda: only)

    return release


async def test_a_changed_migration_is_an_error(
    settings: Settings, own: ClickHouse, one_migration: Callable[[str], None]
) -> None:
    one_migration("SELECT 1;\n")
    await migrate(own, settings)
    one_migration("SELECT 2;\n")
    with pytest.raises(SetupError, match="001_a ran in another form"):
        await migrate(own, settings)


async def test_a_database_of_a_newer_release_is_an_error(
    settings: Settings, own: ClickHouse, one_migration: Callable[..., None]
) -> None:
    one_migration("SELECT 1;\n", "002_b")
    await migrate(own, settings)
    one_migration("SELECT 1;\n", "001_a")
    with pytest.raises(SetupError, match="does not know: 002_b"):
        await migrate(own, settings)


async def test_a_failing_migration_names_itself_and_does_not_count_as_applied(
    settings: Settings, own: ClickHouse, one_migration: Callable[[str], None]
) -> None:
    one_migration("SELECT nothing_of_this_name;\n")
    with pytest.raises(SetupError, match="migration 001_a"):
        await migrate(own, settings)
    assert await ask(own, "SELECT count() FROM schema_migrations") == [(0,)]


async def test_the_clustered_form_is_sql_that_clickhouse_parses(db: ClickHouse) -> None:
    clustered = ClickHouseSettings(database="calls", cluster="main")
    for migration in migrations():
        for statement in statements(migration.template, clustered):
            ((parsed,),) = await db.query("SELECT formatQuery({sql:String})", {"sql": statement})
            assert "ON CLUSTER main" in parsed
            if parsed.startswith("CREATE TABLE"):
                assert "ReplicatedReplacingMergeTree('/clickhouse/tables/callweave/{database}/{table}'" in parsed
            assert "{{" not in statement


# --- convergence ---


def _histories(rng: random.Random) -> dict[str, tuple[Table[Any], list[list[Any]]]]:
    """For each table some identities, each with all its versions in order."""
    versions = range(1, 4)
    kinds = (
        ("cdr", CDR, FactType.RECORD),
        ("call_events", CALL_EVENTS, FactType.STATE),
        ("bindings", BINDINGS, FactType.BINDING),
    )
    found: dict[str, tuple[Table[Any], list[list[Any]]]] = {}
    for name, table, kind in kinds:
        found[name] = (
            table,
            [
                [
                    # What a row is sorted and partitioned by stays; all else may change, the account's spelling aside.
                    record(n, fact_type=kind, vendor=("ytx", "huawei")[n % 2], version=v, state=rng.choice(list(State)),
                           custom_ref=f"v{v}", received_at=START + timedelta(days=rng.randrange(-400, 400)),
                           setup_at=rng.choice([None, START + timedelta(days=rng.randrange(-400, 400))]))
                    for v in versions
                ]
                for n in range(1, 12)
            ],
        )  # fmt: skip
    found["timelines"] = (
        TIMELINES,
        [
            [
                call(n, version=v, account_id=rng.choice(["", "acc"]), talk_ms=rng.choice([None, 0, v]), custom_ref=f"v{v}",
                     setup_at=rng.choice([None, START + timedelta(days=rng.randrange(-400, 400))]))
                for v in versions
            ]
            for n in range(1, 12)
        ],
    )  # fmt: skip
    found["dead_letters"] = (DEAD_LETTERS, [[letter(n)] for n in range(1, 12)])
    return found


def _cuts(rows: Sequence[Any], rng: random.Random) -> list[list[Any]]:
    bounds = sorted({0, len(rows), *(rng.randrange(len(rows) + 1) for _ in range(4))})
    return [list(rows[low:high]) for low, high in pairwise(bounds)]


async def _everything(db: ClickHouse) -> dict[str, list[str]]:
    """What each view shows, as text and in no particular order."""
    names = await db.query(f"SELECT name FROM system.tables WHERE database = '{db.database}' AND engine = 'View'")
    shown = {}
    for (name,) in names:
        columns = {row[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.{name}")}
        dropped = "EXCEPT (ingested_at)" if "ingested_at" in columns else ""
        rows = await db.query(f"SELECT toString(tuple(* {dropped})) AS row FROM {db.database}.{name} ORDER BY row")
        shown[name] = [row[0] for row in rows]
    return shown


@pytest.mark.parametrize("seed", range(4))
async def test_repetitions_other_cuts_and_older_versions_change_no_view(db: ClickHouse, seed: int) -> None:
    rng = random.Random(seed)
    histories = _histories(rng)
    for table, history in histories.values():
        await db.insert(table, [versions[-1] for versions in history])
    expected = await _everything(db)
    assert len(expected["v_cdr"]) == len(expected["timelines"]) == len(expected["call_events"]) == 11

    for table, history in histories.values():
        rows = [version for versions in history for version in versions] * 2
        rng.shuffle(rows)
        for cut in _cuts(rows, rng):
            await db.insert(table, cut)
        await db.insert(table, rows)
    assert await _everything(db) == expected


async def test_the_newest_version_shows_whatever_order_the_versions_came_in(db: ClickHouse) -> None:
    for version in (2, 3, 1):
        await db.insert(TIMELINES, [call(version=version, talk_ms=version * 1000)])
    assert await ask(db, "SELECT version, talk_ms FROM v_timelines") == [(3, 3000)]


async def test_a_binding_shows_its_newest_snapshot_by_the_vendors_clock(db: ClickHouse) -> None:
    def snapshot(number: int, binding: str, state: str, minutes: int | None) -> Fact:
        at = None if minutes is None else START + timedelta(minutes=minutes)
        return record(
            number,
            fact_type=FactType.BINDING,
            kind=Kind.BINDING,
            binding_id=binding,
            binding_state=state,
            revised_at=at,
        )

    await db.insert(
        BINDINGS, [snapshot(1, "b1", "unbound", 9), snapshot(2, "b1", "bound", 1), snapshot(3, "b1", "x", None)]
    )
    await db.insert(BINDINGS, [snapshot(4, "", "bound", 1), snapshot(5, "", "failed", 1)])
    rows = await ask(db, "SELECT binding_id, binding_state FROM v_bindings ORDER BY binding_id, binding_state")
    assert rows == [("", "bound"), ("", "failed"), ("b1", "unbound")]
    assert await ask(db, "SELECT count() FROM bindings") == [(5,)]


def _state(number: int, state: str, minutes: int | None, **fields: Any) -> dict[str, Any]:
    """What a row says of binding b1 at that minute of the vendor's clock."""
    at = None if minutes is None else START + timedelta(minutes=minutes)
    return {
        "number": number,
        "vendor": "huawei",
        "binding_id": "b1",
        "binding_state": state,
        "revised_at": at,
        **fields,
    }


def _snapshot(*args: Any, **fields: Any) -> Fact:
    return record(fact_type=FactType.BINDING, kind=Kind.BINDING, **_state(*args, **fields))


def _call_row(*args: Any, **fields: Any) -> Fact:
    leg = Leg(role=Role.A, number="+8613900000001")
    return record(**{"kind": Kind.PRIVACY_AX, "legs": (leg,), **_state(*args, **fields)})


BOUND = [
    pytest.param([_snapshot(1, "bound", 1)], [_call_row(2, "unbound", 5)], [("unbound", "+8613900000001")], id="a newer call row says unbound"),
    pytest.param([_snapshot(1, "unbound", 9, from_number="+8613900000009")], [_call_row(2, "bound", 5)], [("unbound", "+8613900000009")], id="an older call row says bound"),
    pytest.param([], [_call_row(2, "bound", 5)], [("bound", "+8613900000001")], id="known from one call row only"),
    pytest.param([], [_call_row(2, "bound", 5), _call_row(3, "unbound", 7), _call_row(4, "bound", 6)], [("unbound", "+8613900000001")], id="known from call rows only"),
    pytest.param([_snapshot(1, "bound", None)], [_call_row(2, "unbound", 5)], [("unbound", "+8613900000001")], id="a snapshot without the clock"),
    pytest.param([_snapshot(1, "bound", 1)], [_call_row(2, "", None)], [("bound", None)], id="a bill that names no state"),
    pytest.param([], [_call_row(2, "", None)], [("", None)], id="known from a bill only"),
    pytest.param([_snapshot(1, "bound", 1)], [_call_row(2, "", 9)], [("bound", None)], id="a newer row that names no state"),
    pytest.param([_snapshot(1, "bound", 1)], [_call_row(2, "unbound", 5, kind=Kind.CALLBACK_CDR)], [("bound", None)], id="another kind's record with a binding"),
    pytest.param([_snapshot(1, "bound", 1, account="main")], [_call_row(2, "unbound", 5)], [("unbound", "+8613900000001"), ("bound", None)], id="a call row by another address"),
    pytest.param([_snapshot(1, "bound", 1, account="main"), _snapshot(3, "failed", 8)], [], [("failed", None), ("bound", None)], id="a snapshot by another address"),
]  # fmt: skip


@pytest.mark.parametrize(("snapshots", "calls", "shown"), BOUND)
async def test_a_binding_is_in_the_state_that_its_newest_row_says(
    db: ClickHouse, snapshots: list[Fact], calls: list[Fact], shown: list[tuple[str, str | None]]
) -> None:
    """Call rows move a binding's state by the vendor's clock, and make a binding known; one address hides nothing of another."""
    for table, rows in ((BINDINGS, snapshots), (CDR, calls)):
        if rows:
            await db.insert(table, rows)
    assert await ask(db, "SELECT binding_state, from_number FROM v_bindings ORDER BY account") == shown


GROUPED = [
    pytest.param("v_bindings", BINDINGS, lambda n, **fields: _snapshot(n, "bound", n, **fields), id="bindings"),
    pytest.param("v_conferences", CDR, lambda n, **fields: _participant(n, "1", "+8613900000001", 0, 1, **fields), id="conferences"),
    pytest.param("v_kpi_5m", TIMELINES, lambda n, **fields: call(n, is_final=True, **fields), id="key figures of 5 minutes"),
    pytest.param("v_kpi_hour", TIMELINES, lambda n, **fields: call(n, is_final=True, **fields), id="key figures of an hour"),
    pytest.param("v_kpi_day", TIMELINES, lambda n, **fields: call(n, is_final=True, **fields), id="key figures of a day"),
    pytest.param("v_charges_day", CDR, lambda n, **fields: record(n, is_final=True, **fields), id="charges"),
    pytest.param("v_cdr", CDR, record, id="records"),
    pytest.param("v_call_events", CALL_EVENTS, record, id="events"),
    pytest.param("v_timelines", TIMELINES, call, id="calls"),
]  # fmt: skip


@pytest.mark.parametrize(("view", "table", "made"), GROUPED)
async def test_what_one_address_let_in_hides_and_changes_nothing_of_another(
    db: ClickHouse, view: str, table: Table[Any], made: Callable[..., Any]
) -> None:
    columns = {row[0] for row in await db.query(f"DESCRIBE TABLE {db.database}.{view}")}
    own = f"SELECT * {'EXCEPT (ingested_at)' if 'ingested_at' in columns else ''} FROM {view} WHERE account = 'main'"
    await db.insert(table, [made(1, account="main")])
    before = await ask(db, own)
    await db.insert(table, [made(2, account=""), made(3, account="other", version=9)])
    assert len(before) == 1
    assert await ask(db, own) == before
    assert await ask(db, f"SELECT count() FROM {view}") == [(3,)]


# --- key figures ---


def _random_call(rng: random.Random, number: int) -> Timeline:
    disposition = rng.choice(list(Disposition))
    answered = disposition is Disposition.ANSWERED
    started = START + timedelta(minutes=rng.randrange(0, 3000))
    money = rng.choice([None, Decimal(rng.randrange(10_000)) / 1000])
    return call(
        number,
        account=rng.choice(["", "main"]),
        account_id=rng.choice(["a", "b"]),
        call_type=rng.choices(["call", "conference", "voice_code"], [8, 1, 1])[0],
        started_at=rng.choice([None, started - timedelta(seconds=rng.randrange(600))]),
        direction=rng.choice([Direction.INBOUND, Direction.CALLBACK]),
        setup_at=rng.choice([started, None]),
        answer_at=started if answered else None,
        end_at=rng.choice([started + timedelta(seconds=30), None]),
        disposition=disposition,
        alerting_at=rng.choice([None, started]),
        hangup_reason=rng.choice(["caller_cancel", "answered_elsewhere", ""]),
        hangup_party=rng.choice(["a", "platform", "unknown"]),
        quality_flags=rng.choices(
            [(), (Flag.CONFLICT_FINAL,), (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)], [8, 1, 1]
        )[0],
        billable_s=rng.choice([None, rng.randrange(100)]),
        talk_ms=rng.choice([None, rng.randrange(12_000)]) if answered else None,
        pdd_ms=rng.choice([None, rng.randrange(9_000)]),
        ring_ms=rng.choice([None, rng.randrange(60_000)]),
        cost=money,
        currency="" if money is None else rng.choices(["CNY", "USD"], [9, 1])[0],
        is_final=rng.random() < 0.9,
        version=1,
    )


def _quantile(level: float, values: list[int]) -> int | None:
    ordered = sorted(values)
    return ordered[int(level * len(ordered))] if ordered else None


def _effective(c: Timeline) -> bool:
    rang = c.alerting_at is not None or bool(c.ring_ms)
    by_caller = c.hangup_party == "a" or c.hangup_reason in ("caller_cancel", "caller_hangup")
    return c.disposition in ("answered", "busy", "no_answer", "rejected") or (
        c.disposition is Disposition.CANCELLED and by_caller and rang
    )


def _disputed(c: Timeline) -> bool:
    return Flag.CONFLICT_FINAL in c.quality_flags and Flag.CONFLICT_RESOLVED not in c.quality_flags


def _total(amounts: Sequence[Any]) -> Any:
    known = [amount for amount in amounts if amount is not None]
    return sum(known[1:], known[0]) if known else None


def _figures(calls: Sequence[Timeline]) -> tuple[Any, ...]:
    final = [c for c in calls if c.is_final]
    attempts = len(final)
    answered = [c for c in final if c.disposition is Disposition.ANSWERED]
    effective = [c for c in final if _effective(c)]
    counted = [c for c in final if not _disputed(c)]
    talks = [c.talk_ms for c in counted if c.disposition is Disposition.ANSWERED]
    known = [talk for talk in talks if talk is not None]
    pdd = [c.pdd_ms for c in final if c.pdd_ms is not None]
    ring = [c.ring_ms for c in final if c.ring_ms is not None]
    currencies = {c.currency for c in calls if c.cost is not None}
    disputed = [c for c in calls if _disputed(c)]
    open_ = [c for c in calls if not c.is_final and not _disputed(c)]
    return (
        attempts, len(answered), len(answered) / attempts if attempts else None,
        len(effective) / attempts if attempts else None,
        sum(known) / 1000 / len(known) if known else None, len(talks) - len(known),
        _quantile(0.5, pdd), _quantile(0.95, pdd), _quantile(0.5, ring), _quantile(0.95, ring),
        sum(talk < 6000 for talk in known) / len(known) if known else None,
        "mixed" if len(currencies) > 1 else next(iter(currencies), ""), len(calls) - attempts, len(disputed),
        *(None if len(currencies) > 1 else _total([c.cost for c in some]) for some in (counted, disputed, open_)),
        *(_total([c.billable_s for c in some]) for some in (counted, disputed, open_)),
    )  # fmt: skip


def _slot(view: str, at: datetime) -> datetime:
    at = at.replace(second=0, microsecond=0)
    if view == "v_kpi_5m":
        return at.replace(minute=at.minute // 5 * 5)
    return at.replace(minute=0) if view == "v_kpi_hour" else at.replace(minute=0, hour=0)


@pytest.mark.parametrize("view", ["v_kpi_5m", "v_kpi_hour", "v_kpi_day"])
async def test_key_figures_equal_a_count_by_hand_after_corrections(db: ClickHouse, view: str) -> None:
    """Random calls, a third of them corrected later (another slot, another outcome), all inserted again."""
    rng = random.Random(view)
    first = [_random_call(rng, n) for n in range(400)]
    corrected = [msgspec.structs.replace(_random_call(rng, n), version=2) for n in rng.sample(range(400), 130)]
    for batch in (first, corrected, first[::2]):
        await db.insert(TIMELINES, batch)
    newest = {c.timeline_id: c for c in [*first, *corrected]}

    def group(c: Timeline) -> tuple[Any, ...]:
        instants = [at for at in (c.setup_at, c.alerting_at, c.answer_at, c.end_at) if at]
        started = c.started_at or min(instants, default=c.first_received_at)
        return (_slot(view, started), c.account, c.account_id, str(c.direction))

    groups = groupby(sorted((c for c in newest.values() if c.call_type == "call"), key=group), key=group)
    expected = [(*key, *_figures(list(calls))) for key, calls in groups]
    rows = await ask(
        db,
        "SELECT slot_at, account, account_id, direction, attempts, answered, asr, ner, acd_s, answered_without_talk, "
        "pdd_p50_ms, pdd_p95_ms, ring_p50_ms, ring_p95_ms, short_call_ratio, currency, provisional, in_conflict, cost, "
        "cost_in_conflict, cost_provisional, billed_s, billable_in_conflict_s, billable_provisional_s "
        f"FROM {view} ORDER BY slot_at, account, account_id, direction",
    )
    assert rows == expected


ANSWERED: dict[str, Any] = {"disposition": Disposition.ANSWERED, "is_final": True, "setup_at": START}
CANCELLED: dict[str, Any] = {
    "disposition": Disposition.CANCELLED, "hangup_reason": "caller_cancel", "hangup_party": "a", "is_final": True, "setup_at": START,
}  # fmt: skip
NO_COST: dict[str, Any] = {"cost": None, "cost_in_conflict": None, "cost_provisional": None}


def _cny(amount: str) -> dict[str, Any]:
    return {"cost": Decimal(amount), "currency": "CNY"}


FIGURES = [
    pytest.param(
        [{**ANSWERED, "talk_ms": 120_000}, {**ANSWERED, "talk_ms": None}],
        {"attempts": 2, "answered": 2, "acd_s": 120.0, "answered_without_talk": 1, "asr": 1.0},
        id="an answered call without an end is left out of the average and said",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": None}],
        {"answered": 1, "acd_s": None, "answered_without_talk": 1, "short_call_ratio": None},
        id="no answered call has a known talk",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 0}, {**ANSWERED, "talk_ms": 60_000}],
        {"acd_s": 30.0, "answered_without_talk": 0, "short_calls": 1, "short_call_ratio": 0.5},
        id="a talk of nothing is known",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED, "alerting_at": START}],
        {"network_effective": 2, "ner": 1.0, "asr": 0.5},
        id="cancelled by the caller after it rang",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED, "ring_ms": 9000}],
        {"ner": 1.0},
        id="cancelled after ringing that is counted from the start",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED}],
        {"network_effective": 1, "ner": 0.5},
        id="cancelled before anything rang",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 1000}, {**CANCELLED, "ring_ms": 0}],
        {"ner": 0.5},
        id="cancelled in the instant of the start",
    ),
    pytest.param(
        [{**CANCELLED, "hangup_reason": "answered_elsewhere", "hangup_party": "unknown", "alerting_at": START}],
        {"ner": 0.0},
        id="another leg won the race",
    ),
    pytest.param(
        [{**CANCELLED, "hangup_reason": "platform", "hangup_party": "platform", "alerting_at": START}],
        {"ner": 0.0},
        id="cancelled by the platform",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 5000}, {"disposition": Disposition.IN_PROGRESS, "setup_at": START, "pdd_ms": 7}],
        {"attempts": 1, "provisional": 1, "asr": 1.0, "ner": 1.0, "pdd_p50_ms": None},
        id="a provisional call is in no ratio",
    ),
    pytest.param(
        [{"disposition": Disposition.ANSWERED, "setup_at": START, "talk_ms": 9000, "billable_s": 9, **_cny("1")}],
        {
            "attempts": 0, "provisional": 1, "asr": None, "ner": None, "acd_s": None, **NO_COST, "billed_s": None,
            "cost_provisional": Decimal(1), "billable_provisional_s": 9,
        },
        id="only provisional calls",
    ),
    pytest.param(
        [
            {**ANSWERED, "talk_ms": 60_000, "billable_s": 60, **_cny("0.5")},
            {**ANSWERED, "talk_ms": 1000, "billable_s": 70, **_cny("2.94"), "quality_flags": (Flag.CONFLICT_FINAL,)},
        ],
        {
            "attempts": 2, "answered": 2, "in_conflict": 1, "cost": Decimal("0.5"), "cost_in_conflict": Decimal("2.94"),
            "billed_s": 60, "billable_in_conflict_s": 70, "talk_total_ms": 60_000, "talk_in_conflict_ms": 1000,
            "acd_s": 60.0, "short_calls": 0, "answered_without_talk": 0, "cost_per_minute": 0.5,
        },
        id="amounts in conflict are in no sum",
    ),
    pytest.param(
        [{**ANSWERED, **_cny("2.94"), "quality_flags": (Flag.CONFLICT_FINAL,)}],
        {**NO_COST, "cost_in_conflict": Decimal("2.94"), "currency": "CNY", "cost_per_minute": None},
        id="only amounts in conflict",
    ),
    pytest.param(
        [{**ANSWERED, **_cny("2.94"), "quality_flags": (Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED)}],
        {**NO_COST, "cost": Decimal("2.94"), "in_conflict": 0},
        id="a conflict that somebody resolved counts again",
    ),
    pytest.param(
        [{**ANSWERED, **_cny("2.94"), "quality_flags": (Flag.FIELD_CONFLICT,)}],
        {**NO_COST, "cost": Decimal("2.94"), "in_conflict": 0},
        id="a conflict about something that is not billed",
    ),
    pytest.param(
        [{**ANSWERED, "talk_ms": 60_000, **_cny("1")}, {**ANSWERED, "cost": Decimal(1), "currency": "USD"}],
        {**NO_COST, "currency": "mixed", "is_mixed": True, "cost_per_minute": None},
        id="two currencies have no total",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("calls", "figures"), FIGURES)
async def test_a_key_figure_counts_what_its_name_says(
    db: ClickHouse, calls: list[dict[str, Any]], figures: dict[str, Any]
) -> None:
    await db.insert(TIMELINES, [call(n, **fields) for n, fields in enumerate(calls, 1)])
    ((*shown,),) = await ask(db, f"SELECT {', '.join(figures)} FROM v_kpi_hour")
    assert dict(zip(figures, shown, strict=True)) == figures


TWO_PM = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
STARTS = [
    pytest.param({"started_at": TWO_PM - timedelta(seconds=20), "end_at": TWO_PM + timedelta(seconds=20)}, 13, id="as the joiner says"),
    pytest.param(
        {"legs": (Leg(role=Role.A, answer_at=TWO_PM - timedelta(seconds=20)), Leg(role=Role.B)), "end_at": TWO_PM + timedelta(seconds=20)},
        13,
        id="of before the column: A answered, B never, the end is the call's only time",
    ),
    pytest.param({"legs": (Leg(role=Role.B, setup_at=TWO_PM),), "answer_at": TWO_PM + timedelta(hours=1)}, 14, id="of before the column: a leg's start"),
    pytest.param({"setup_at": TWO_PM + timedelta(minutes=1), "end_at": TWO_PM - timedelta(minutes=1)}, 13, id="of before the column: instants in no order"),
    pytest.param({}, 8, id="no instant at all: the first receipt"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "hour"), STARTS)
async def test_a_call_counts_in_the_hour_of_its_earliest_instant(
    db: ClickHouse, fields: dict[str, Any], hour: int
) -> None:
    await db.insert(TIMELINES, [call(1, is_final=True, **fields)])
    assert await ask(db, "SELECT slot_at FROM v_kpi_hour") == [(START.replace(hour=hour),)]


async def test_conferences_and_voice_codes_are_no_calls_and_a_conference_counts_once(db: ClickHouse) -> None:
    """A conference of three under three requestids: no attempt of a call, one conference."""
    legs = [_participant(n, "516152", f"+8613900000{n:03}", n, 5) for n in range(1, 4)]
    await db.insert(CDR, legs)
    await db.insert(
        TIMELINES,
        [
            *(call(n, kind=Kind.CONFERENCE_LEG, call_type="conference", **ANSWERED) for n in range(1, 4)),
            call(4, kind=Kind.VOICE_OTP, call_type="voice_code", **ANSWERED),
            call(5, kind=Kind.SOFTPHONE_CDR, **ANSWERED),
        ],
    )
    assert await ask(db, "SELECT attempts FROM v_kpi_hour") == [(1,)]
    assert await ask(db, "SELECT conference_id, participants FROM v_conferences") == [("516152", 3)]


async def test_legs_without_a_conferences_number_are_not_merged_with_strangers(db: ClickHouse) -> None:
    await db.insert(
        CDR,
        [
            _participant(1, "", "+8613900000001", 0, 5, vendor_call_id="r1", **_cny("0.1")),
            _participant(2, "", "+8613900000002", 0, 5, vendor_call_id="r1", **_cny("0.2")),
            _participant(3, "", "+8613900000003", 0, 5, vendor_call_id="r2"),
        ],
    )
    rows = await ask(db, "SELECT conference_id, call_id, participants, cost FROM v_conferences ORDER BY call_id")
    assert rows == [("", "r1", 2, Decimal("0.3")), ("", "r2", 1, None)]


async def test_a_conferences_legs_in_conflict_are_in_no_sum(db: ClickHouse) -> None:
    disputed = {"quality_flags": (Flag.CONFLICT_FINAL,)}
    await db.insert(
        CDR,
        [
            _participant(1, "1", "+8613900000001", 0, 5, talk_ms=300_000, billable_s=300, **_cny("0.1")),
            _participant(2, "1", "+8613900000002", 0, 5, talk_ms=1000, billable_s=7, **_cny("9"), **disputed),
        ],
    )
    rows = await ask(
        db,
        "SELECT talk_ms, billed_s, billable_in_conflict_s, cost, cost_in_conflict, legs, legs_in_conflict FROM v_conferences",
    )
    assert rows == [(300_000, 300, 7, Decimal("0.1"), Decimal(9), 2, 1)]


async def test_charges_of_every_kind_are_summed_once_by_day_and_currency(db: ClickHouse) -> None:
    late = START.replace(hour=23, minute=59)
    done: dict[str, Any] = {"is_final": True, "setup_at": START}
    await db.insert(
        CDR,
        [
            record(1, **done, billable_s=60, **_cny("0.15")),
            record(2, **done, billable_s=0, **_cny("0.15")),
            record(3, **done, cost=Decimal(1), currency="USD"),
            record(4, **done, billable_s=5),
            record(5, **done, billable_s=9, **_cny("7"), quality_flags=(Flag.CONFLICT_FINAL,)),
            record(6, setup_at=START, billable_s=3, **_cny("3")),
            record(7, **done, kind=Kind.VOICE_OTP, **_cny("0.06")),
            record(8, kind=Kind.CONFERENCE_LEG, is_final=True, end_at=late + timedelta(minutes=9),
                   legs=(Leg(role=Role.P, answer_at=late),), **_cny("0.044")),
            record(9, **done, account="main", **_cny("5")),
        ],
    )  # fmt: skip
    rows = await ask(
        db,
        "SELECT account, call_type, currency, records, in_conflict, provisional, billed_s, billable_in_conflict_s, cost_total, "
        "cost_in_conflict, cost_provisional FROM v_charges_day ORDER BY account, call_type, currency",
    )
    assert rows == [
        ("", "call", "", 1, 0, 0, 5, None, None, None, None),
        ("", "call", "CNY", 2, 1, 1, 60, 9, Decimal("0.3"), Decimal(7), Decimal(3)),
        ("", "call", "USD", 1, 0, 0, None, None, Decimal(1), None, None),
        ("", "conference", "CNY", 1, 0, 0, None, None, Decimal("0.044"), None, None),
        ("", "voice_code", "CNY", 1, 0, 0, None, None, Decimal("0.06"), None, None),
        ("main", "call", "CNY", 1, 0, 0, None, None, Decimal(5), None, None),
    ]
    assert await ask(db, "SELECT DISTINCT day FROM v_charges_day") == [(START.date(),)]


# --- conflicts ---


def _content(digest: str, **fields: Any) -> RecordContent:
    default: dict[str, Any] = {
        "is_shown": False, "is_final": True, "received_at": START, "source": "push", "raw_topic": "calls.raw",
        "raw_partition": 3, "raw_offset": 7, "raw_element": 0, "disposition": Disposition.NO_ANSWER,
    }  # fmt: skip
    return RecordContent(digest=digest, **{**default, **fields})


async def test_contradicting_contents_can_be_read_each_with_where_it_came_from(db: ClickHouse) -> None:
    shown = _content("aa" * 16, is_shown=True, billable_s=0, talk_ms=0, hangup_cause="NO_ANSWER", q850=19, sip_code=480)
    other = _content(
        "bb" * 16, received_at=START + timedelta(minutes=3), source="poll", raw_offset=9, raw_element=2,
        disposition=Disposition.ANSWERED, setup_at=START, answer_at=START + timedelta(seconds=5),
        end_at=START + timedelta(seconds=40), talk_ms=35_000, vendor_duration_s=35, billable_s=35, from_number="+8613900000001",
        to_number="+8613900000002", hangup_cause="NORMAL_CLEARING", q850=16, hangup_reason="normal", hangup_party="b", **_cny("2.94"),
    )  # fmt: skip
    disputed = record(1, account="main", contents=(shown, other), quality_flags=(Flag.CONFLICT_FINAL,))
    await db.insert(CDR, [disputed, record(2)])

    names = ", ".join(field.name for field in msgspec.structs.fields(RecordContent))
    rows = await ask(db, f"SELECT {names} FROM v_conflicts ORDER BY received_at")
    assert rows == [tuple(msgspec.structs.asdict(one).values()) for one in (shown, other)]
    assert await ask(db, "SELECT DISTINCT record_id, vendor, account, account_id, vendor_call_id, is_resolved FROM v_conflicts") == [
        (uuid.UUID(int=1), "ytx", "main", "acc", "call-1", False)
    ]  # fmt: skip

    resolved = msgspec.structs.replace(disputed, version=2, quality_flags=(Flag.CONFLICT_FINAL, Flag.CONFLICT_RESOLVED))
    await db.insert(CDR, [resolved])
    assert await ask(db, "SELECT count(), min(is_resolved) FROM v_conflicts") == [(2, True)]
    await db.insert(CDR, [msgspec.structs.replace(disputed, version=3, contents=(), quality_flags=())])
    assert await ask(db, "SELECT count() FROM v_conflicts") == [(0,)]


def _participant(number: int, confid: str, phone: str, joined_min: float, minutes: float | None, **fields: Any) -> Fact:
    joined = START + timedelta(minutes=joined_min)
    answered = {} if minutes is None else {"answer_at": joined, "end_at": joined + timedelta(minutes=minutes)}
    return record(
        number, kind=Kind.CONFERENCE_LEG, direction=Direction.CONFERENCE, conference_id=confid, setup_at=joined,
        legs=(Leg(role=Role.P, number=phone),), **answered, **fields,
    )  # fmt: skip


async def test_a_conference_number_used_again_after_six_quiet_hours_is_another_conference(db: ClickHouse) -> None:
    money = {"cost": Decimal("0.044"), "currency": "CNY"}
    await db.insert(
        CDR,
        [
            _participant(1, "516152", "+8613900000001", 0, 30, **money),
            _participant(2, "516152", "+8613900000002", 5, 30, **money),
            _participant(3, "516152", "+8613900000003", 29, 2, **money),
            _participant(4, "516152", "+8613900000004", 10, None),
            # 35 min + 6 h is the last moment that still belongs to it; one minute later it is the next one.
            _participant(5, "516152", "+8613900000001", 35 + 360, 1),
            _participant(6, "516152", "+8613900000001", 36 + 360 + 361, 1),
            _participant(7, "999", "+8613900000001", 0, 1),
        ],
    )
    rows = await ask(
        db,
        "SELECT conference_id, session, participants, legs, answered_legs, started_at, ended_at, cost, currency, "
        "peak_concurrency, is_incomplete FROM v_conferences ORDER BY conference_id, session",
    )
    minute = timedelta(minutes=1)
    assert rows == [
        ("516152", 1, 4, 5, 4, START, START + 396 * minute, Decimal("0.132"), "CNY", 3, False),
        ("516152", 2, 1, 1, 1, START + 757 * minute, START + 758 * minute, None, "", 1, True),
        ("999", 1, 1, 1, 1, START, START + minute, None, "", 1, True),
    ]


async def test_the_peak_of_a_conference_equals_a_sweep_over_its_legs(db: ClickHouse) -> None:
    rng = random.Random(11)
    legs = [_participant(n, "1", f"+86139000000{n:02}", rng.randrange(60), rng.randrange(30)) for n in range(1, 60)]
    await db.insert(CDR, legs)
    instants = [leg.answer_at for leg in legs if leg.answer_at]
    peak = max(
        sum(1 for leg in legs if leg.answer_at and leg.end_at and leg.answer_at <= at < leg.end_at) for at in instants
    )
    assert await ask(db, "SELECT peak_concurrency FROM v_conferences") == [(peak,)]


# --- dead letters ---


async def test_dead_letters_are_listed_newest_first_by_what_is_asked(db: ClickHouse) -> None:
    later = START + timedelta(hours=1)
    await db.insert(DEAD_LETTERS, [letter(1), letter(2, code="no_id", occurred_at=later), letter(3, vendor="huawei")])
    assert [found.letter.offset for found in await list_dead(db, DeadFilter())] == [2, 1, 3]
    assert [found.letter.offset for found in await list_dead(db, DeadFilter(code="no_id"))] == [2]
    assert [found.letter.offset for found in await list_dead(db, DeadFilter(vendor="huawei"))] == [3]
    assert [found.letter.offset for found in await list_dead(db, DeadFilter(since=later))] == [2]
    assert [found.letter.offset for found in await list_dead(db, DeadFilter(until=later, limit=1))] == [1]


async def test_a_letter_comes_back_whole(db: ClickHouse) -> None:
    sent = letter(
        5, element=2, headers={"vendor": "ytx", "request_id": "r1"}, callback="cdr", account="main", processor="1"
    )
    await db.insert(DEAD_LETTERS, [sent])
    found = await get_dead(db, "calls.raw", 3, 5, 2)
    assert found is not None
    assert (found.letter, found.resolved) == (sent, False)
    assert await get_dead(db, "calls.raw", 3, 5, 7) is None


async def test_elements_of_a_body_share_its_bytes(db: ClickHouse) -> None:
    await db.insert(DEAD_LETTERS, [letter(5, element=0, original=b"[whole]"), letter(5, element=900, original=b"")])
    assert [found.letter.original for found in await list_dead(db, DeadFilter())] == [b"[whole]", b"[whole]"]


async def test_letters_of_topics_that_were_made_anew_take_no_older_ones_place(db: ClickHouse) -> None:
    """Forty letters, the topics made anew so that offsets begin again, forty more: eighty; the same bytes again or others."""
    first = [letter(n, original=b"old", origin_hash=hash_of(b"old", START)) for n in range(40)]
    others = [letter(n, original=b"new", origin_hash=hash_of(b"new", START)) for n in range(20)]
    later = START + timedelta(days=1)
    same = [letter(n, original=b"old", origin_hash=hash_of(b"old", later)) for n in range(20, 40)]
    for batch in (first, others + same, first[::3]):
        await db.insert(DEAD_LETTERS, batch)
    assert await ask(db, "SELECT count() FROM v_dead_letters") == [(80,)]

    found = await list_dead(db, DeadFilter(limit=200))
    assert sorted((one.letter.offset, one.letter.origin_hash, one.letter.original) for one in found) == sorted(
        (one.offset, one.origin_hash, one.original) for one in [*first, *others, *same]
    )
    await mark_resolved(db, first)
    left = await list_dead(db, DeadFilter(limit=200))
    assert sorted(one.letter.origin_hash for one in left) == sorted(one.origin_hash for one in [*others, *same])


@pytest.mark.parametrize(
    ("second", "replay_of"),
    [
        pytest.param(b"<body>", "", id="other bodies"),
        pytest.param(b"<html>", "", id="the same bodies, sent again"),
        pytest.param(b"<html>", "calls.raw/1/5", id="the same bodies, replayed"),
    ],
)
async def test_forty_letters_of_the_normaliser_before_and_after_topics_were_made_anew_are_eighty(
    db: ClickHouse, second: bytes, replay_of: str
) -> None:
    def letters(body: bytes, at: datetime, replay_of: str) -> list[DeadLetter]:
        raw = RawCallback(vendor="ytx", callback="", received_at=at, request_id="r", replay_of=replay_of, body=body)
        return [make_dead_letter(raw, Position("calls.raw", n % 4, n // 4), -1, "json", "not JSON") for n in range(40)]

    first = letters(b"<html>", START, "")
    again = letters(second, START if replay_of else START + timedelta(days=1), replay_of)
    for batch in (first, again, first):
        await db.insert(DEAD_LETTERS, batch)
    assert await ask(db, "SELECT count(), sum(original_bytes) FROM v_dead_letters") == [(80, 480)]
    assert len(await list_dead(db, DeadFilter(limit=1000))) == 80


async def test_letters_of_before_the_hash_and_of_the_same_offset_keep_apart(db: ClickHouse) -> None:
    later = START + timedelta(days=1)
    old = letter(1, original=b"old")
    new = letter(1, original=b"new", origin_hash=hash_of(b"new", later), occurred_at=later)
    await db.insert(DEAD_LETTERS, [old, new])
    assert [one.letter for one in await find_dead(db, "calls.raw", 3, 1)] == [new, old]
    assert [one.letter for one in await find_dead(db, "calls.raw", 3, 1, origin_hash=new.origin_hash)] == [new]
    assert [one.letter for one in await find_dead(db, "calls.raw", 3, 1, origin_hash="")] == [old]
    await mark_resolved(db, [new])
    assert [(one.letter, one.resolved) for one in await find_dead(db, "calls.raw", 3, 1)] == [(new, True), (old, False)]


async def test_only_dead_letters_have_an_offset_in_their_key_and_theirs_ends_with_the_hash(db: ClickHouse) -> None:
    keys = await db.query(
        f"SELECT name, sorting_key FROM system.tables WHERE database = '{db.database}' AND sorting_key LIKE '%offset%'"
    )
    assert keys == [("dead_letters_versions", "topic, partition, offset, element, stage, origin_hash")]


async def test_a_resolved_letter_stays_resolved_when_it_comes_again(db: ClickHouse) -> None:
    await db.insert(DEAD_LETTERS, [letter(1), letter(2)])
    await mark_resolved(db, [letter(1)])
    await db.insert(DEAD_LETTERS, [letter(1), letter(2)])
    await mark_resolved(db, [letter(1)])
    assert await ask(db, "SELECT offset, resolved, original FROM dead_letters ORDER BY offset") == [
        (1, True, "00ff7b"),
        (2, False, "00ff7b"),
    ]
    assert [found.letter.offset for found in await list_dead(db, DeadFilter())] == [2]
    assert len(await list_dead(db, DeadFilter(resolved_too=True))) == 2
