"""Checks of clickhouse-connect, plain and asynchronous, with each compression of its answers."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import clickhouse_connect
import report
from clickhouse_connect.driver.exceptions import DatabaseError
from report import expect, setting

ROWS = 1_000_000


def given(prefix: str = "", **more: Any) -> dict[str, Any]:
    return {
        "host": setting("HOST"),
        "port": int(setting(f"{prefix}PORT")),
        "username": setting(f"{prefix}USER"),
        "password": setting(f"{prefix}PASSWORD"),
        **more,
    }


def refused(work: Callable[[], object], code: int) -> None:
    try:
        work()
    except DatabaseError as exc:
        expect(f"ode: {code}" in str(exc), True)
    else:
        raise AssertionError("it was answered")


def types(db: Any) -> None:
    rows = db.query(
        "SELECT toInt32(-5), 2.5::Float64, toDateTime64('2026-03-01 08:00:00.123', 3, 'UTC'), [1, -2]::Array(Int8),"
        " map('a', 1)::Map(String, UInt8), CAST(NULL, 'Nullable(String)'), '应答'::LowCardinality(String), '{\"a\": 1}'::JSON"
    ).result_rows
    expect(rows[0][:2] + rows[0][3:], (-5, 2.5, [1, -2], {"a": 1}, None, "应答", {"a": 1}))
    expect(rows[0][2].replace(tzinfo=UTC), datetime(2026, 3, 1, 8, 0, 0, 123000, UTC))


def inserts(db: Any) -> None:
    db.command("DROP TABLE IF EXISTS connect_rows")
    db.command(
        "CREATE TABLE connect_rows (id UInt32, name String, note Nullable(String)) ENGINE = MergeTree ORDER BY id"
    )
    summary = db.insert(
        "connect_rows",
        [(n, f"应答 {n}", None if n % 2 else "x") for n in range(50_000)],
        column_names=["id", "name", "note"],
    )
    expect(summary.written_rows, 50_000)
    columns = [list(range(50_000, 100_000)), ["y"] * 50_000, [None] * 50_000]
    db.insert("connect_rows", columns, column_names=["id", "name", "note"], column_oriented=True)
    db.raw_insert("connect_rows", ["id", "name"], "100000,z\n", fmt="CSV")
    expect(
        db.query("SELECT count(), sum(id), count(note) FROM connect_rows").result_rows,
        [(100_001, 5_000_050_000, 25_000)],
    )


def many_rows(db: Any) -> None:
    count = 0
    with db.query_row_block_stream(f"SELECT number, toString(number) FROM numbers({ROWS})") as blocks:
        for block in blocks:
            count += len(block)
    expect(count, ROWS)


def frames(db: Any) -> None:
    expect(db.query_df("SELECT number, toString(number) AS s FROM numbers(1000)").shape, (1000, 2))
    expect(db.query_arrow("SELECT number FROM numbers(1000)").num_rows, 1000)
    expect(int(db.query_np("SELECT number FROM numbers(1000)").sum()), 499_500)


def errors(db: Any) -> None:
    for sql, code in (
        ("SELECT * FROM no_such_table", 60),
        ("SELEC 1", 62),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", 497),
    ):
        refused(partial(db.query, sql), code)


def parameters(db: Any) -> None:
    expect(
        db.query("SELECT {a:Array(UInt8)}, {s:String}", parameters={"a": [1, 2], "s": "it's \\ 应答"}).result_rows,
        [([1, 2], "it's \\ 应答")],
    )


def summary(db: Any) -> None:
    answer = db.query("SELECT sum(number) FROM numbers(1000000)", settings={"wait_end_of_query": 1})
    expect(answer.summary["read_rows"], "1000000")


def session(db: Any) -> None:
    with clickhouse_connect.get_client(**given(session_id=str(uuid.uuid4()))) as own:
        own.command("CREATE TEMPORARY TABLE connect_kept (id UInt8)")
        own.insert("connect_kept", [(7,)], column_names=["id"])
        expect(own.query("SELECT id FROM connect_kept").result_rows, [(7,)])
    refused(partial(db.query, "SELECT id FROM connect_kept"), 60)


def wrong_password() -> None:
    refused(lambda: clickhouse_connect.get_client(**{**given(), "password": "wrong"}), 516)


def reader() -> None:
    with clickhouse_connect.get_client(**given("BI_", database="bi")) as db:
        expect(db.query("SELECT id FROM v_call").result_rows, [(1,)])
        refused(partial(db.query, "SELECT number FROM call"), 497)


async def asynchronous() -> None:
    db = await clickhouse_connect.get_async_client(**given())
    answers = await asyncio.gather(*(db.query(f"SELECT sum(number) + {n} FROM numbers(1000)") for n in range(20)))
    expect([answer.result_rows[0][0] for answer in answers], [499_500 + n for n in range(20)])
    await db.insert("connect_rows", [(1, "async", None)], column_names=["id", "name", "note"])
    expect((await db.query("SELECT count() FROM connect_rows WHERE name = 'async'")).result_rows, [(1,)])
    await db.close()


def main() -> None:
    report.version("clickhouse-connect")
    for way, compress in (("plain", False), ("lz4", "lz4"), ("zstd", "zstd"), ("gzip", "gzip")):
        db = clickhouse_connect.get_client(**given(compress=compress))
        checks: dict[str, Callable[[], object]] = {
            "types are read": partial(types, db),
            "inserts by row, by column and raw": partial(inserts, db),
            "a million rows stream": partial(many_rows, db),
            "pandas, Arrow and numpy": partial(frames, db),
            "parameters are bound": partial(parameters, db),
            "errors have their code": partial(errors, db),
            "the summary tells what was read": partial(summary, db),
            "sessions keep temporary tables": partial(session, db),
        }
        report.run({f"{way}: {name}": check for name, check in checks.items()})
    report.run({"asynchronous: many at once, and an insert": lambda: asyncio.run(asynchronous())})
    report.run({"a wrong password is refused": wrong_password, "the reader reads a view and not its table": reader})


if __name__ == "__main__":
    main()
