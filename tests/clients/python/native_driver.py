"""Checks of clickhouse-driver, over the native protocol with each compression."""

import threading
import time
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import report
from clickhouse_driver import Client, connect
from clickhouse_driver.errors import ServerException
from report import expect, setting

ROWS = 1_000_000
_SLOW = (
    "SELECT sum(sleepEachRow(0.01)) FROM numbers(100000)"
    " SETTINGS max_block_size = 10, function_sleep_max_microseconds_per_block = 0"
)


def client(compression: Any, **more: Any) -> Client:
    given = {"port": int(setting("TCP_PORT")), "user": setting("USER"), "password": setting("PASSWORD"), **more}
    return Client(setting("HOST"), compression=compression, **given)


def refused(db: Client, sql: str, code: int) -> None:
    try:
        db.execute(sql)
    except ServerException as exc:
        expect(exc.code, code)
    else:
        raise AssertionError(f"{sql} was answered")


def types(db: Client) -> None:
    rows = db.execute(
        "SELECT toInt32(-5), 2.5::Float64, true, toDate('2026-03-01'), toDateTime64('2026-03-01 08:00:00.123', 3, 'UTC'),"
        " toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), [1, -2]::Array(Int8), map('a', 1)::Map(String, UInt8),"
        " CAST(NULL, 'Nullable(String)'), '应答'::LowCardinality(String), toDecimal64('0.15', 4), (1, 'x')"
    )
    wanted = (-5, 2.5, True, date(2026, 3, 1), datetime(2026, 3, 1, 8, 0, 0, 123000, UTC))
    expect((*rows[0][:4], rows[0][4].astimezone(UTC)), wanted)
    expect(
        rows[0][5:],
        (uuid.UUID("61f0c404-5cb3-11e7-907b-a6006ad3dba0"), [1, -2], {"a": 1}, None, "应答", Decimal("0.15"), (1, "x")),
    )


def inserts(db: Client) -> None:
    db.execute("DROP TABLE IF EXISTS driver_rows")
    db.execute(
        "CREATE TABLE driver_rows (id UInt32, name String, note Nullable(String), tags Array(String)) ENGINE = MergeTree ORDER BY id"
    )
    rows = [(n, f"应答 {n}", None if n % 2 else "note", ["a", "b"]) for n in range(20_000)]
    expect(db.execute("INSERT INTO driver_rows VALUES", rows), 20_000)
    by_column = [[20_000, 20_001], ["x", "y"], [None, "n"], [[], ["z"]]]
    db.execute("INSERT INTO driver_rows VALUES", by_column, columnar=True)
    expect(
        db.execute("SELECT count(), sum(id), count(note), sum(length(tags)) FROM driver_rows"),
        [(20_002, 200_030_001, 10_001, 40_001)],
    )


def many_rows(db: Client) -> None:
    count = total = 0
    for number, text in db.execute_iter(f"SELECT number, toString(number) FROM numbers({ROWS})"):
        count, total = count + 1, total + number
        assert text
    expect((count, total), (ROWS, ROWS * (ROWS - 1) // 2))


def progress(db: Client) -> None:
    progressed = sum(rows for rows, _ in db.execute_with_progress("SELECT sum(number) FROM numbers(1000000)"))
    assert progressed > 0
    expect(db.last_query.progress.rows, 1_000_000)


def cancel(compression: Any, db: Client) -> None:
    name = f"driver-{uuid.uuid4()}"
    running = f"SELECT count() FROM system.processes WHERE query_id = '{name}'"
    slow = client(compression)
    next(slow.execute_with_progress(_SLOW, query_id=name))
    expect(db.execute(running), [(1,)])
    slow.cancel()
    _until(lambda: db.execute(running) == [(0,)])


def _until(condition: Any) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("never")


def kill(compression: Any, db: Client) -> None:
    name = f"driver-{uuid.uuid4()}"
    slow = client(compression)
    codes: list[int] = []

    def work() -> None:
        try:
            slow.execute(_SLOW, query_id=name)
        except ServerException as exc:
            codes.append(exc.code)

    thread = threading.Thread(target=work)
    thread.start()
    _until(lambda: db.execute(f"SELECT count() FROM system.processes WHERE query_id = '{name}'") == [(1,)])
    db.execute(f"KILL QUERY WHERE query_id = '{name}' SYNC")
    thread.join()
    expect(codes, [394])


def external_table(db: Client) -> None:
    tables = [
        {
            "name": "given",
            "structure": [("id", "UInt8"), ("name", "String")],
            "data": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
        }
    ]
    expect(db.execute("SELECT max(id) FROM given", external_tables=tables), [(2,)])


def errors(db: Client) -> None:
    for sql, code in (
        ("SELECT * FROM no_such_table", 60),
        ("SELECT no_such", 47),
        ("SELEC 1", 62),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", 497),
    ):
        refused(db, sql, code)
    refused(db, "SELECT throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_block_size = 10000", 395)
    expect(db.execute("SELECT 1"), [(1,)])


def session(db: Client) -> None:
    db.execute("CREATE TEMPORARY TABLE driver_kept (id UInt8)")
    db.execute("INSERT INTO driver_kept VALUES", [(7,)])
    expect(db.execute("SELECT id FROM driver_kept"), [(7,)])
    db.execute("DROP TABLE driver_kept")


def dbapi() -> None:
    connection = connect(
        host=setting("HOST"), port=int(setting("TCP_PORT")), user=setting("USER"), password=setting("PASSWORD")
    )
    cursor = connection.cursor()
    cursor.execute("SELECT %(n)s + 1, %(s)s", {"n": 41, "s": "it's"})
    expect(cursor.fetchall(), [(42, "it's")])
    connection.close()


def wrong_password(compression: Any) -> None:
    refused(client(compression, password="wrong"), "SELECT 1", 516)


def reader(compression: Any) -> None:
    db = client(compression, port=int(setting("BI_TCP_PORT")), user=setting("BI_USER"), password=setting("BI_PASSWORD"))
    expect(db.execute("SELECT id FROM bi.v_call"), [(1,)])
    expect(db.execute("SHOW TABLES FROM bi"), [("v_call",)])
    refused(db, "SELECT number FROM bi.call", 497)


def main() -> None:
    report.version("clickhouse-driver")
    report.run({"DB-API": dbapi})
    for way, compression in (("plain", False), ("lz4", "lz4"), ("zstd", "zstd")):
        db = client(compression)
        checks = {
            "types are read": partial(types, db),
            "inserts by row and by column": partial(inserts, db),
            "parameters are bound": lambda db=db: expect(
                db.execute("SELECT %(a)s, %(b)s", {"a": [1, 2], "b": "it's \\"}), [([1, 2], "it's \\")]
            ),
            "a million rows stream": partial(many_rows, db),
            "progress is told": partial(progress, db),
            "cancel ends the query on the server": partial(cancel, compression, db),
            "a killed query says so": partial(kill, compression, db),
            "external tables": partial(external_table, db),
            "errors have their code": partial(errors, db),
            "a connection keeps temporary tables": partial(session, db),
            "a wrong password is refused": partial(wrong_password, compression),
            "the reader reads a view and not its table": partial(reader, compression),
        }
        report.run({f"{way}: {name}": check for name, check in checks.items()})


if __name__ == "__main__":
    main()
