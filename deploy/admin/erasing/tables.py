"""The tables: finds the rows of an erasure, changes or deletes them, and counts what is left."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from deploy.admin.erasing.letter_changes import (
    LETTERS,
    MAY_HOLD,
    FoundLetter,
    any_letter_holds,
    letter_of,
    letter_updates,
)
from deploy.admin.erasing.row_changes import (
    KINDS,
    FoundRow,
    RowKind,
    changes,
    places_of_tokens,
    read_column,
    searched,
    updates,
    values_of,
)
from schemas.config.settings import ClickHouseSettings
from schemas.dead_letter import DeadLetter
from schemas.privacy.blanking import Place, places
from schemas.privacy.erasures import Erasure, Erasures
from schemas.privacy.number_forms import SEARCHED_DIGITS, IsErased, core, forms
from schemas.privacy.tokens import NumberTokens
from sinks.clickhouse import ClickHouse
from sinks.columns import Table
from sinks.migrate import migrator
from sinks.retention import KPI_TABLE
from sinks.rollups.marks import Marks
from sinks.rows import shown_columns

PAGE_ROWS: Final = 5_000
_PAGE_LETTERS: Final = 500
_PAGE_EXPORTED: Final = 1_000
_STATEMENT_S: Final = 600.0
"""Time for one statement: a mutation is answered when all parts are written anew."""
_MS: Final = 1000
Progress = Callable[[str], None]


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure with what is needed to search for it; the number itself, "" for an account."""

    erasure: Erasure
    erasures: Erasures
    """The list with this entry alone: tables and topics are judged by the same rule as records on their way."""
    number: str = ""
    tokens: Mapping[str, frozenset[str]] = {}
    """The account's name to the tokens of all forms of the number in it."""

    @property
    def core(self) -> str:
        """Digits that every form of the number has."""
        return core(self.number)

    @property
    def in_texts(self) -> bool:
        """True for a number that is long enough to be looked for in texts and bodies."""
        return len(self.core) >= SEARCHED_DIGITS and self.core.isdecimal()

    @property
    def needle(self) -> bytes:
        """Bytes that every record of ours has that the erasure covers."""
        return (self.core if self.number else self.erasure.account).encode()

    def parameters(self) -> dict[str, Any]:
        """Returns the values of a search in ClickHouse."""
        given: dict[str, Any] = {"at": int(self.erasure.at.timestamp() * _MS), "account": self.erasure.account}
        return (
            {
                **given,
                "core": self.core,
                "forms": list(forms(self.number)),
                "tokens": sorted(set().union(*self.tokens.values())),
            }
            if self.number
            else given
        )

    def where(self, receipt: str) -> str:
        """Returns the condition on receipt and account."""
        by_account = " AND account = {account:String}" if self.erasure.account else ""
        return f"{receipt} <= fromUnixTimestamp64Milli({{at:Int64}}, 'UTC'){by_account}"


def eraser(settings: ClickHouseSettings) -> ClickHouse:
    """Returns a ClickHouse for long statements, as the account that may change tables."""
    ours = msgspec.structs.replace(migrator(settings), insert_timeout_s=_STATEMENT_S)
    return ClickHouse(ours)


def target(settings: ClickHouseSettings, table: str) -> str:
    """Returns the table that a statement changes: on shards that of each shard; replicas follow by themselves."""
    if settings.sharded:
        return f"{settings.database}.{table}_local ON CLUSTER {settings.cluster}"
    return f"{settings.database}.{table}"


async def found_rows(client: ClickHouse, kind: RowKind, sought: Sought) -> AsyncIterator[list[FoundRow]]:
    """Yields the versions of rows with the number, page by page."""
    names = (*kind.identity, "account", kind.receipt, *kind.columns, *kind.tokens)
    columns = ", ".join(map(read_column, names))
    where = f"{sought.where(kind.receipt)} AND ({searched(kind, texts=sought.in_texts)})"
    async for page in _pages(client, kind.table, kind.identity, kind.types, columns, where, sought, PAGE_ROWS):
        yield [row for each in page if (row := _found(kind, each, sought)) is not None]


def _found(kind: RowKind, row: Sequence[Any], sought: Sought) -> FoundRow | None:
    count = len(kind.identity)
    account, received_at = row[count], row[count + 1]
    at = _places(values_of(kind, row), account, received_at, sought)
    return FoundRow(identity=tuple(row[:count]), changes=changes(kind, at)) if at else None


def _places(values: Mapping[str, Any], account: str, received_at: datetime, sought: Sought) -> frozenset[Place]:
    clear = places(values, sought.erasures.test(account, received_at))
    return clear | places_of_tokens(values, sought.tokens.get(account, frozenset()))


async def with_tokens(client: ClickHouse, sought: Sought, tokens: NumberTokens) -> Sought:
    """Returns the same with the tokens of the number in every account that has rows."""
    accounts: set[str] = {sought.erasure.account} if sought.erasure.account else set()
    if not accounts:
        for kind in KINDS:
            sql = f"SELECT DISTINCT account FROM {client.database}.{kind.table}"  # noqa: S608 - our own names
            accounts |= {str(name) for (name,) in await client.query(sql)}
    listed = forms(sought.number)
    made = {name: frozenset(filter(None, (tokens.of(name, form) for form in listed))) for name in accounts}
    return msgspec.structs.replace(sought, tokens=made)


async def rows_with(client: ClickHouse, table: Table[Any], sought: Sought) -> AsyncIterator[list[dict[str, Any]]]:
    """Yields the newest versions of rows with the number, with all columns, page by page."""
    kind = next(one for one in KINDS if one.table == table.name)
    names = shown_columns(table)
    columns = ", ".join(f"`{name}`" for name in (*kind.identity, *names))
    where = f"{sought.where(kind.receipt)} AND ({searched(kind, texts=sought.in_texts, shown=True)})"
    async for page in _pages(client, table.label, kind.identity, kind.types, columns, where, sought, _PAGE_EXPORTED):
        rows = [dict(zip(names, row[len(kind.identity) :], strict=True)) for row in page]
        yield [row for row in rows if _places(row, row["account"], row[kind.receipt], sought)]


async def letters_with(client: ClickHouse, sought: Sought) -> AsyncIterator[list[DeadLetter]]:
    """Yields the dead letters with the number in their bytes, headers or words, page by page."""
    async for page in _letters(client, sought):
        yield [letter for _, letter, _ in page]


async def found_letters(client: ClickHouse, sought: Sought) -> AsyncIterator[list[FoundLetter]]:
    """Yields the versions of dead letters with the number, page by page."""
    async for page in _letters(client, sought):
        yield [FoundLetter.of(row, letter, is_erased) for row, letter, is_erased in page]


async def _letters(
    client: ClickHouse, sought: Sought
) -> AsyncIterator[list[tuple[Sequence[Any], DeadLetter, IsErased]]]:
    where = f"{sought.where('occurred_at')} AND ({MAY_HOLD})"
    columns = ", ".join(LETTERS.columns)
    pages = _pages(
        client, LETTERS.table, LETTERS.identity, LETTERS.types, columns, where, sought, _PAGE_LETTERS, as_bytes=("original",)
    )  # fmt: skip
    async for page in pages:
        found: list[tuple[Sequence[Any], DeadLetter, IsErased]] = []
        for row in page:
            letter = letter_of(row)
            is_erased = sought.erasures.test(letter.account, letter.occurred_at)
            if any_letter_holds(letter, is_erased):
                found.append((row, letter, is_erased))
        yield found


async def _pages(
    client: ClickHouse,
    table: str,
    identity: Sequence[str],
    types: Sequence[str],
    columns: str,
    where: str,
    sought: Sought,
    size: int,
    *,
    as_bytes: Sequence[str] = (),
) -> AsyncIterator[list[tuple[Any, ...]]]:
    key = ", ".join(identity)
    after, last = "", dict[str, Any]()
    while True:
        page = await client.query(
            f"SELECT {columns} FROM {client.database}.{table} WHERE {where}{after} ORDER BY {key} LIMIT {size}",  # noqa: S608 - our own names
            {**sought.parameters(), **last},
            as_bytes=as_bytes,
        )
        if page:
            yield page
        if len(page) < size:
            return
        after = f" AND ({key}) > ({', '.join(f'{{last_{name}:{kind}}}' for name, kind in zip(identity, types, strict=True))})"
        last = {
            f"last_{name}": str(value) if kind == "UUID" else value
            for name, kind, value in zip(identity, types, page[-1], strict=False)
        }


async def erase_number(
    client: ClickHouse, settings: ClickHouseSettings, sought: Sought, tell: Progress
) -> dict[str, int]:
    """Takes the number out of all tables; returns the versions of rows that were found in each."""
    done: dict[str, int] = {}
    for kind in KINDS:
        done[kind.table] = 0
        async for rows in found_rows(client, kind, sought):
            for statement in updates(target(settings, kind.table), kind, rows):
                await client.command(statement)
            done[kind.table] += len(rows)
            if rows:
                tell(f"{kind.table}: {done[kind.table]} versions of rows")
    done[LETTERS.table] = 0
    if sought.in_texts:
        async for letters in found_letters(client, sought):
            for statement in letter_updates(target(settings, LETTERS.table), letters):
                await client.command(statement)
            done[LETTERS.table] += len(letters)
    return done


async def count_number(client: ClickHouse, sought: Sought) -> dict[str, int]:
    """Returns the number of versions of rows of each table in which the number stands."""
    counted = {kind.table: sum([len(rows) async for rows in found_rows(client, kind, sought)]) for kind in KINDS}
    letters = sum([len(found) async for found in found_letters(client, sought)]) if sought.in_texts else 0
    return {**counted, LETTERS.table: letters}


_RECEIPTS: Final[Mapping[str, str]] = {**{kind.table: kind.receipt for kind in KINDS}, LETTERS.table: "occurred_at"}


async def count_account(client: ClickHouse, sought: Sought) -> dict[str, int]:
    """Returns the number of versions of rows of the account in each table."""
    counted = {}
    for table, receipt in _RECEIPTS.items():
        sql = f"SELECT count() FROM {client.database}.{table} WHERE {sought.where(receipt)}"  # noqa: S608 - our own names
        ((count,),) = await client.query(sql, sought.parameters())
        counted[table] = int(count)
    return counted


async def erase_account(
    client: ClickHouse, settings: ClickHouseSettings, sought: Sought, tell: Progress
) -> dict[str, int]:
    """Deletes the account's rows from all tables; returns their numbers."""
    counted = await count_account(client, sought)
    for table, receipt in _RECEIPTS.items():
        if counted[table]:
            statement = f"ALTER TABLE {target(settings, table)} DELETE WHERE {sought.where(receipt)} SETTINGS mutations_sync = 2"
            await client.command(statement, sought.parameters())
            tell(f"{table}: {counted[table]} versions of rows")
    await _erase_figures(client, settings, sought.erasure.account)
    await erase_reconciliations(client, sought.erasure.account)
    return counted


async def erase_reconciliations(client: ClickHouse, account: str) -> None:
    """Deletes what reconciliations said of an account. Like figures, they are on no shard."""
    named = {"account": account}
    for table in ("reconciled_records", "reconciliations"):
        sql = f"SELECT count() FROM {client.database}.{table} WHERE account = {{account:String}}"  # noqa: S608 - our own names
        ((count,),) = await client.query(sql, named)
        if count:
            await client.command(
                f"ALTER TABLE {client.database}.{table} DELETE WHERE account = {{account:String}} SETTINGS mutations_sync = 2",
                named,
            )


async def _erase_figures(client: ClickHouse, settings: ClickHouseSettings, account: str) -> None:
    """Deletes the figures of an account, and has the sink compute those of the calls that are left."""
    named = {"account": account}
    sql = (
        f"SELECT DISTINCT grain = 'day', slot_at FROM {client.database}.{KPI_TABLE} WHERE account = {{account:String}}"  # noqa: S608 - our own names
    )
    found = await client.query(sql, named)
    if not found:
        return
    async with ClickHouse(settings) as writer:
        await Marks(writer).set({slot for is_day, slot in found if not is_day})
    # On no shard of its own, and replicas follow by themselves.
    await client.command(
        f"ALTER TABLE {client.database}.{KPI_TABLE} DELETE WHERE account = {{account:String}} SETTINGS mutations_sync = 2",
        named,
    )
