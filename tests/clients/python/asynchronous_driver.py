"""Checks of asynch, over the native protocol."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asynch
import report
from asynch.errors import ServerException
from report import expect, setting


async def asked(sql: str, given: Any = None) -> Any:
    async with (
        asynch.Connection(
            host=setting("HOST"), port=int(setting("TCP_PORT")), user=setting("USER"), password=setting("PASSWORD")
        ) as connection,
        connection.cursor() as cursor,
    ):
        await cursor.execute(sql, given)
        return await cursor.fetchall()


async def types() -> None:
    rows = await asked(
        "SELECT toInt32(-5), 2.5::Float64, [1, 2]::Array(UInt8), map('a', 1)::Map(String, UInt8), CAST(NULL, 'Nullable(String)'), '应答'"
    )
    expect(list(rows[0]), [-5, 2.5, [1, 2], {"a": 1}, None, "应答"])


async def inserts() -> None:
    await asked("DROP TABLE IF EXISTS asynch_rows")
    await asked("CREATE TABLE asynch_rows (id UInt32, name String) ENGINE = MergeTree ORDER BY id")
    await asked("INSERT INTO asynch_rows (id, name) VALUES", [(n, f"n{n}") for n in range(10_000)])
    expect(await asked("SELECT count(), sum(id) FROM asynch_rows"), [(10_000, 49_995_000)])


async def many_rows() -> None:
    rows = await asked("SELECT number FROM numbers(1000000)")
    expect((len(rows), rows[-1][0]), (1_000_000, 999_999))


async def error() -> None:
    try:
        await asked("SELECT * FROM no_such_table")
    except ServerException as exc:
        expect(exc.code, 60)
    else:
        raise AssertionError("it was answered")


def main() -> None:
    report.version("asynch")
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "types are read": types,
        "inserts": inserts,
        "a million rows": many_rows,
        "an error has its code": error,
    }
    report.run({name: lambda check=check: asyncio.run(check()) for name, check in checks.items()})


if __name__ == "__main__":
    main()
