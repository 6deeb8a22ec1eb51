"""Checks of clickhouse-sqlalchemy over HTTP and the native protocol; its asynch dialect fails with asynch 0.4."""

from collections.abc import Callable
from functools import partial
from typing import Any

import report
from clickhouse_sqlalchemy import Table, engines, make_session, types
from report import expect, setting
from sqlalchemy import Column, MetaData, create_engine, func, inspect, select, text
from sqlalchemy.engine import Engine


def address(scheme: str, port: str, *, prefix: str = "", database: str = "default") -> str:
    return f"clickhouse+{scheme}://{setting(prefix + 'USER')}:{setting(prefix + 'PASSWORD')}@{setting('HOST')}:{setting(prefix + port)}/{database}"


def table(metadata: MetaData) -> Any:
    columns = (
        Column("id", types.UInt32, primary_key=True),
        Column("name", types.String),
        Column("note", types.Nullable(types.String)),
    )
    return Table("alchemy_rows", metadata, *columns, engines.MergeTree(order_by=("id",)))


def tables(engine: Engine) -> None:
    metadata = MetaData()
    rows = table(metadata)
    with engine.connect() as connection:
        connection.execute(text("DROP TABLE IF EXISTS alchemy_rows"))
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(
            rows.insert(), [{"id": n, "name": f"n{n}", "note": None if n % 2 else "x"} for n in range(1000)]
        )
        expect(
            connection.execute(select(func.count(), func.sum(rows.c.id), func.count(rows.c.note))).fetchall(),
            [(1000, 499500, 500)],
        )
        expect(
            connection.execute(select(rows.c.name).where(rows.c.id.in_([1, 2])).order_by(rows.c.id)).fetchall(),
            [("n1",), ("n2",)],
        )


def inspection(engine: Engine) -> None:
    about = inspect(engine)
    expect("alchemy_rows" in about.get_table_names(), True)
    expect([column["name"] for column in about.get_columns("alchemy_rows")], ["id", "name", "note"])
    expect("default" in about.get_schema_names(), True)


def session(engine: Engine) -> None:
    expect(make_session(engine).execute(text("SELECT number FROM numbers(3)")).fetchall(), [(0,), (1,), (2,)])


def error(engine: Engine) -> None:
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM no_such_table")).fetchall()
    except Exception as exc:  # noqa: BLE001 - each of the two transports has a class of its own
        expect("Code: 60" in str(exc), True)
    else:
        raise AssertionError("it was answered")


def reader(scheme: str, port: str) -> None:
    engine = create_engine(address(scheme, port, prefix="BI_", database="bi"))
    expect(inspect(engine).get_view_names(), ["v_call"])
    with engine.connect() as connection:
        expect(connection.execute(text("SELECT id FROM v_call")).fetchall(), [(1,)])


def main() -> None:
    report.version("clickhouse-sqlalchemy")
    for way, scheme, port in (("http", "http", "PORT"), ("native", "native", "TCP_PORT")):
        engine = create_engine(address(scheme, port))
        checks: dict[str, Callable[[], object]] = {
            "tables are made, filled and read": partial(tables, engine),
            "tables and columns are inspected": partial(inspection, engine),
            "a session reads": partial(session, engine),
            "an error has its code": partial(error, engine),
            "the reader sees and reads a view": partial(reader, scheme, port),
        }
        report.run({f"{way}: {name}": check for name, check in checks.items()})


if __name__ == "__main__":
    main()
