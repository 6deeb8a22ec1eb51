"""SIGHUP under traffic: secrets are rotated, settings change, and no honest caller sees an error or loses a body."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from deploy.kafka.broker import KafkaServer
from deploy.process.ports import free_port
from tests.support.command import clean_env
from tests.support.http.vendor_callers import VendorCallers
from tests.support.ingress_process import Ingress, in_kafka, push, readyz

SECRETS = ("Wo3iFai9eepoh2ahgh4uTh0e", "quoo6Shahv4Aes9ahweeJ0ei", "aeW9uPhi7zohNgoo4Xeihee5")
CALLERS = 12
LEAST_AT_A_STAGE = 200
"""Honest pushes at each stage of a rotation, so that each reload has traffic before, in and after it."""


def settings_file(file: Path, *secrets: str, more: str = "") -> None:
    """Writes the settings: an account for each secret, the only way in."""
    accounts = "".join(
        f'[[accounts]]\nvendor = "nxcloud"\nname = "main-{SECRETS.index(secret)}"\nsecret = "{secret}"\n'
        for secret in secrets
    )
    fresh = file.with_suffix(".new")
    fresh.write_text(f"[ingress]\nrequire_account = true\n{more}\n{accounts}")
    fresh.replace(file)


@contextlib.asynccontextmanager
async def from_file(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession, *, workers: int, more: str = ""
) -> AsyncIterator[Ingress]:
    """Yields an ingress that reads `settings.toml` of this folder, with the first secret in it."""
    port, log, file = free_port(), place / "ingress.log", place / "settings.toml"
    settings_file(file, SECRETS[0], more=more)
    env = clean_env(
        kafka__bootstrap=broker.bootstrap, ingress__spool_dir=place / "spool", ingress__spool_min_free_bytes=0,
        ingress__port=port, ingress__workers=workers, ingress__leave_s=0.2,
    )  # fmt: skip
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli.main", "--config", str(file), "ingress"),
            env=env, stdout=output, stderr=output,
        )  # fmt: skip
    running = Ingress(process, f"http://127.0.0.1:{port}", log)
    try:
        await until(running, lambda: running.log.read_text().count("listening: ") >= workers)
        while not (await readyz(http, running)).get("ready"):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
        yield running
    finally:
        if process.returncode is None:
            await running.ends(signal.SIGTERM)


async def until(running: Ingress, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            assert running.process.returncode is None, running.log.read_text()
            await asyncio.sleep(0.02)


async def reloaded(running: Ingress, workers: int) -> None:
    """Sends SIGHUP, and waits until everything is as the file says."""
    done = "all workers are new" if workers > 1 else "the settings were read again"
    before = running.log.read_text().count(done)
    running.process.send_signal(signal.SIGHUP)
    await until(running, lambda: running.log.read_text().count(done) > before)


def address(running: Ingress, secret: str) -> str:
    return f"{running.url}/v1/a/{secret}/nxcloud/cdr"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])  # eight new workers are dear
async def test_secrets_are_rotated_under_traffic_and_no_honest_caller_is_refused(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession, workers: int
) -> None:
    file = place / "settings.toml"
    async with from_file(place, broker, http, workers=workers) as running:
        async with VendorCallers(address(running, SECRETS[0]), "reload", callers=CALLERS) as vendor:
            for old, new in ((SECRETS[0], SECRETS[1]), (SECRETS[1], SECRETS[2])):
                await vendor.more(LEAST_AT_A_STAGE)
                # The second time Kafka's client is replaced too.
                settings_file(file, old, new, more="[kafka]\nlinger_ms = 7" if new == SECRETS[2] else "")
                await reloaded(running, workers)
                await vendor.more(LEAST_AT_A_STAGE)
                vendor.address = address(running, new)
                # Nobody may be under way with the old one when it ends.
                await vendor.more(LEAST_AT_A_STAGE)
                settings_file(file, new)
                await reloaded(running, workers)
            await vendor.more(LEAST_AT_A_STAGE)
        assert vendor.wrong == {}
        refused = [(await push(http, running, f"/v1/a/{s}/nxcloud/cdr", b'{"callId":"late"}'))[0] for s in SECRETS]
        assert refused == [403, 403, 200]
        log = running.log.read_text()
    stored = {value for _, value, _ in await in_kafka(broker.bootstrap)}
    assert set(vendor.acknowledged) <= stored
    assert b'{"callId":"late"}' in stored
    assert not [secret for secret in SECRETS if secret in log]
    assert workers > 1 or log.count("replacing the Kafka producer: its settings changed") == 2  # and back


BROKEN: dict[str, tuple[str, str]] = {
    "no TOML": ("[ingress\n", "settings.toml"),
    "a wrong type": ("[ingress]\nmax_body_bytes = 'much'\n", "$.ingress.max_body_bytes"),
    "an unknown name": ("[ingress]\nno_such_setting = 1\n", "no_such_setting"),
    "a secret in a file that is not there": (
        '[[accounts]]\nvendor = "nxcloud"\nname = "x"\nsecret = { file = "/nowhere/secret" }\n',
        "/nowhere/secret",
    ),
    "an account that anybody could use": ('[[accounts]]\nvendor = "nxcloud"\nname = "x"\n', "$.accounts[0].secret"),
}


async def test_a_broken_file_changes_nothing_and_says_where_it_is_wrong(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    file = place / "settings.toml"
    async with from_file(place, broker, http, workers=1) as running:
        for text, where in BROKEN.values():
            file.write_text(text)
            before = running.log.read_text().count("the settings stay as they are")
            running.process.send_signal(signal.SIGHUP)
            await until(running, lambda: running.log.read_text().count("the settings stay as they are") > before)  # noqa: B023 - awaited here
            assert where in running.log.read_text().splitlines()[-1]
            path = f"/v1/a/{SECRETS[0]}/nxcloud/cdr"
            assert (await push(http, running, path, b'{"callId":"still"}'))[0] == 200


async def test_limits_and_networks_and_the_log_change_in_a_running_ingress(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    file, path = place / "settings.toml", f"/v1/a/{SECRETS[0]}/nxcloud/cdr"
    async with from_file(place, broker, http, workers=1) as running:
        assert (await push(http, running, path, b'{"callId":"1","x":"%s"}' % (b"x" * 500)))[0] == 200
        settings_file(file, SECRETS[0], more='max_body_bytes = 100\nport = 1\n[log]\nlevel = "debug"\nformat = "json"')
        await reloaded(running, 1)
        statuses = [(await push(http, running, path, body))[0] for body in (b'{"callId":"2"}', b"x" * 101)]
        assert statuses == [200, 413]
        settings_file(file, SECRETS[0])
        with file.open("a") as more:
            more.write('allow = ["192.0.2.0/24"]\n')
        await reloaded(running, 1)
        assert (await push(http, running, path, b'{"callId":"3"}'))[0] == 403
        lines = running.log.read_text().splitlines()
    assert any(
        line.startswith('{"time": ') and '"status": 200' in line and '"level": "DEBUG"' in line for line in lines
    )
    assert [line for line in lines if "applied: ingress.max_body_bytes, log.level, log.format" in line]
