"""A password of Kafka is changed under traffic: the broker knows one alone, and each part takes it over at SIGHUP."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from deploy.process.ports import free_port
from schemas.config.settings import ClickHouseSettings
from tests.integration.secured.running_parts import LIMIT_S, Part, environment, part, says
from tests.support.http.pushing import Traffic
from tests.support.kafka.secured_kafka import PASSWORDS, SecuredKafka, until
from tests.support.whole_stack import query

PARTS = {"ingress": "ingress", "process-1": "process", "process-2": "process", "sink": "sink"}
"""The parts of this test, with the command of each. Two workers are one user."""
TAKEN_OVER = "the settings were read again: applied by a new process or connection, when the old one has finished what it holds: kafka.sasl.password"
NEW = {command: f"rotated-password-of-{command}" for command in dict.fromkeys(PARTS.values())}
AT_EACH_STAGE = 20
"""Calls that are acknowledged, and become rows, before the next password is changed."""


def write(file: Path, password: str) -> None:
    """Replaces the file of a password, as those who rotate it do."""
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{password}\n", "utf-8")
    fresh.replace(file)


Calls = set[tuple[str, str]]
"""Calls by vendor and call id."""


def acknowledged(traffic: Traffic) -> Calls:
    return {call for call, status in traffic.answers.items() if status == 200}


async def rows(tables: ClickHouseSettings) -> Counter[tuple[str, str]]:
    """Returns how many rows each call has."""
    found = await query(tables, "SELECT vendor, vendor_call_id FROM v_timelines WHERE vendor_call_id LIKE 'rotated-%'")
    return Counter((row["vendor"], row["vendor_call_id"]) for row in found)


async def become_rows(calls: Calls, tables: ClickHouseSettings, parts: Mapping[str, Part]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not calls <= (await rows(tables)).keys():
            assert [one.text for one in parts.values() if one.process.returncode is not None] == []
            await asyncio.sleep(0.2)


async def more_calls_become_rows(traffic: Traffic, tables: ClickHouseSettings, parts: Mapping[str, Part]) -> None:
    """Waits until calls that are pushed from now on are rows."""
    before = acknowledged(traffic)
    await until(lambda: len(acknowledged(traffic) - before) >= AT_EACH_STAGE, LIMIT_S)
    await become_rows(acknowledged(traffic) - before, tables, parts)


@contextlib.asynccontextmanager
async def all_parts(
    secured: SecuredKafka, tables: ClickHouseSettings, place: Path, port: int
) -> AsyncIterator[dict[str, Part]]:
    """Runs the parts, each with its password in the file of its command."""
    async with contextlib.AsyncExitStack() as running:
        parts = {}
        for label, command in PARTS.items():
            write(place / command, PASSWORDS[f"callweave-{command}"])
            given = {
                **environment(secured, place, f"callweave-{command}", port),
                "CALLWEAVE_KAFKA__SASL__PASSWORD__FILE": str(place / command),
                "CALLWEAVE_CLICKHOUSE__URL": tables.url,
                "CALLWEAVE_CLICKHOUSE__USER": tables.user,
                "CALLWEAVE_CLICKHOUSE__PASSWORD": tables.password.value,
                "CALLWEAVE_PROCESS__INSTANCE": label,
            }
            del given["CALLWEAVE_KAFKA__SASL__PASSWORD"]
            parts[label] = await running.enter_async_context(part(place, command, given, label=label))
        yield parts


def _says(one: Part, text: str) -> bool:
    return text in one.text


async def change(secured: SecuredKafka, place: Path, command: str, parts: Mapping[str, Part]) -> None:
    """Changes the password of a user, first on the broker, and waits until each part of it has taken it over."""
    await secured.set_password(f"callweave-{command}", NEW[command])
    write(place / command, NEW[command])
    for label, one in parts.items():
        if PARTS[label] == command:
            one.process.send_signal(signal.SIGHUP)
            await until(partial(_says, one, TAKEN_OVER), LIMIT_S)


@pytest.mark.long
async def test_each_password_is_changed_under_traffic_and_nothing_is_lost_or_doubled(
    secured: SecuredKafka, tables: ClickHouseSettings, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    traffic = Traffic(f"http://127.0.0.1:{port}", "rotated")
    try:
        async with all_parts(secured, tables, tmp_path, port) as parts:
            await says(http, port, "'ready': True")
            async with traffic.going_on():
                await more_calls_become_rows(traffic, tables, parts)
                for command in NEW:
                    await change(secured, tmp_path, command, parts)
                    await more_calls_become_rows(traffic, tables, parts)
            await become_rows(acknowledged(traffic), tables, parts)
            found = await rows(tables)
    finally:
        for command in NEW:
            await secured.set_password(f"callweave-{command}", PASSWORDS[f"callweave-{command}"])

    written = "\n".join(one.text for one in parts.values())
    assert {status for _, status in traffic.seen} == {200}
    assert found == Counter(traffic.answers.keys())
    assert [one.process.returncode for one in parts.values()] == [0] * len(parts)
    assert "Traceback" not in written
    assert [password for password in (*NEW.values(), *PASSWORDS.values()) if password in written] == []
