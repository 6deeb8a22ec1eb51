"""The doctor's check of ClickHouse: each server of `clickhouse.url`, its tables, its cluster and its clock."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from deploy.doctor.finding import Finding
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import CallweaveError
from sinks.clickhouse import ClickHouse
from sinks.migrate import missing
from sinks.server.trouble import place

_ADVICE: Final = {
    "away": "Check that the server runs, and its port in clickhouse.url; `callweave up` starts one where none is set.",
    "unknown_ca": "Set clickhouse.tls.ca_file to the certificate of the authority that signed the server's.",
    "wrong_name": "Use a name from the certificate in clickhouse.url, or let the server have one for this name.",
    "expired": "Renew the server's certificate, or set the clock of this machine.",
    "client_certificate": "Set clickhouse.tls.certificate_file and key_file to a pair that the server's authority signed.",
    "tls": "Compare the TLS versions and ciphers of the server with those of this machine's OpenSSL.",
    "speaks_http": "Write http:// in clickhouse.url, or the server's https port (8443).",
    "speaks_tls": "Write https:// in clickhouse.url, or the server's http port (8123).",
    "not_clickhouse": "Check host, port and path in clickhouse.url: a proxy or another program answers there.",
    "rights": "`callweave migrate --grants` prints the statements that give each account its rights.",
}
_LOGIN: Final = (
    "Set clickhouse.user and clickhouse.password (CALLWEAVE_CLICKHOUSE__PASSWORD) to what it takes; "
    "`callweave migrate --grants` prints the rights that each user needs."
)
_ABOUT: Final = """
SELECT
    toUnixTimestamp64Milli(now64(3)) / 1000,
    (SELECT count() FROM system.settings WHERE name = 'cloud_mode' AND value = '1')
"""


async def clickhouse(settings: Settings, *, embedded: bool) -> Finding:
    """Asks every server; bad: one that cannot be used. With several servers it names those that can."""
    urls = settings.clickhouse.urls
    found = await asyncio.gather(*(_server(settings, url, embedded=embedded) for url in urls))
    worst = next((one for state in ("bad", "note") for one in found if one.state == state), found[0])
    if len(urls) == 1 or worst.state == "ok":
        names = ", ".join(urls)
        return replace(worst, detail=f"{names}: all tables and views are there") if worst.state == "ok" else worst
    details = "\n      ".join(one.detail for one in found)
    return replace(worst, detail=details)


async def clickhouse_skew_s(settings: ClickHouseSettings) -> float | None:
    """Returns by how many seconds this machine's clock differs from ClickHouse's; None when it does not tell."""
    try:
        async with ClickHouse(settings) as client:
            ((their_s, _),) = await client.query(_ABOUT)
    except CallweaveError:
        return None
    return abs(float(their_s) - time.time())


async def _server(settings: Settings, url: str, *, embedded: bool) -> Finding:
    only = replace(settings, clickhouse=replace(settings.clickhouse, url=url))
    try:
        async with ClickHouse(only.clickhouse) as client:
            lacking = await missing(client, only)
            ((_, is_cloud),) = await client.query(_ABOUT)
    except CallweaveError as exc:
        return Finding(
            what="ClickHouse", state="bad", detail=_with_place(url, exc), advice=_advice(only, exc, embedded)
        )
    return verdict(only.clickhouse, url, lacking, is_cloud=bool(is_cloud))


def verdict(settings: ClickHouseSettings, url: str, lacking: Sequence[str], *, is_cloud: bool) -> Finding:
    """Judges a server that answers; bad: Cloud with a cluster in the settings."""
    if is_cloud and settings.cluster:
        return Finding(
            what="ClickHouse",
            state="bad",
            detail=f"{url} is ClickHouse Cloud, which replicates by itself, and clickhouse.cluster is set",
            advice="Leave clickhouse.cluster empty.",
        )
    if lacking:
        detail = f"{url}: without {', '.join(lacking)}"
        return Finding(what="ClickHouse", state="note", detail=detail, advice="`callweave migrate` makes them.")
    return Finding(what="ClickHouse", state="ok", detail=f"{url}: all tables and views are there")


def _with_place(url: str, exc: CallweaveError) -> str:
    here = f"at {place(url)}"
    return str(exc).replace(here, f"at {url}") if here in str(exc) else f"{url}: {exc}"


def _advice(settings: Settings, exc: CallweaveError, embedded: bool) -> str:  # noqa: FBT001 - private, and named where it is called
    if exc.code != "login":
        return _ADVICE.get(exc.code, "Check clickhouse.url, user and password, and the server.")
    if not embedded:
        return _LOGIN
    return (
        f"The password is that of {settings.embedded.data_dir}, or clickhouse.password: does the server run on another data directory, "
        "or was the setting changed after its start? Start `callweave up` again, or set embedded.data_dir to where it runs."
    )
