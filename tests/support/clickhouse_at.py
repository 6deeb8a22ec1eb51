"""Addresses of a ClickHouse with the name and the password in them."""

import asyncio
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import aiohttp

from deploy.clickhouse.accounts import EngineRole
from deploy.clickhouse.launch import ClickHouseServer
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings

_LIMIT_S: Final = 60.0


def address(server: ClickHouseServer, role: EngineRole = EngineRole.MIGRATOR) -> str:
    """Returns `http://name:password@host:port` of a running server, for one of its accounts."""
    return f"http://{server.account(role)}:{server.password(role)}@127.0.0.1:{server.port}"


def address_of(settings: ClickHouseSettings) -> str:
    """Returns the same for the account in the settings."""
    parts = urlsplit(settings.url)
    account = f"{quote(settings.user, safe='')}:{quote(settings.password.value, safe='')}"
    return f"{parts.scheme}://{account}@{parts.netloc}{parts.path}"


def settings_at(url: str, **more: Any) -> ClickHouseSettings:
    """Returns the settings for the server at such an address, with this one account for everything."""
    parts = urlsplit(url)
    return ClickHouseSettings(
        url=f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}",
        user=unquote(parts.username or "default"),
        password=Secret(unquote(parts.password or "")),
        **more,
    )


async def ask(url: str, sql: str | bytes, *, headers: dict[str, str] | None = None, **params: str) -> str:
    """Returns the server's answer to a statement, or the text of its error."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=sql, headers=headers, params=params) as response,
    ):
        return (await response.text()).strip()


async def until_it_says(url: str, sql: str, wanted: str) -> None:
    """Waits until the server's answer to a statement is this one."""
    async with asyncio.timeout(_LIMIT_S):
        while await ask(url, sql) != wanted:  # noqa: ASYNC110 - another process's state has no event to wait for
            await asyncio.sleep(0.05)
