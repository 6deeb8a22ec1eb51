"""The ingress as a process that strangers reach: the admin port of several workers, a renewed certificate, `--open`."""

import asyncio
import re
import signal
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest

from deploy.process.ports import free_port
from tests.support.front_site import Pki
from tests.support.ingress_process import Ingress, ingress

PUSHES = 30
NO_KAFKA = "127.0.0.1:1"
"""Bodies go to the spool: what is behind the front does not matter here."""
FRESH = {"Connection": "close"}


async def accepted(http: aiohttp.ClientSession, running: Ingress) -> float:
    async with http.get(f"{running.admin_url}/metrics", headers=FRESH) as answer:
        found = re.findall(r'requests_total\{.*outcome="accepted"\} (\S+)', await answer.text())
    return sum(map(float, found))


async def pushed(http: aiohttp.ClientSession, url: str, trust: ssl.SSLContext | None = None) -> int:
    async with http.post(f"{url}/v1/ytx", data=b"{}", headers=FRESH, ssl=trust or True) as answer:
        return answer.status


async def test_the_admin_port_shows_all_workers_and_stays_while_they_are_renewed(
    place: Path, http: aiohttp.ClientSession
) -> None:
    settings = {"host": "0.0.0.0", "workers": "2", "admin_port": str(free_port())}
    async with ingress(place, NO_KAFKA, http, "--open", **settings) as running:
        answers = await asyncio.gather(*(pushed(http, running.url) for _ in range(PUSHES)))
        assert answers == [200] * PUSHES
        seen = 0
        async with asyncio.timeout(30):
            while seen < 15:  # whichever worker is asked; what one knows of another is up to a second old
                seen = seen + 1 if await accepted(http, running) == PUSHES else 0
                await asyncio.sleep(0.1)
        async with http.get(f"{running.url}/metrics") as answer:
            assert answer.status == 404
        async with http.get(f"{running.url}/readyz") as answer:
            assert (answer.status, await answer.read()) == (200, b"")

        running.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while "all workers are new" not in running.log.read_text():
                assert await accepted(http, running) >= PUSHES
                await asyncio.sleep(0.05)
        assert "anybody there may push without an account, as --open says" in running.log.read_text()


async def test_a_certificate_is_renewed_in_all_workers_and_no_push_is_lost(
    place: Path, http: aiohttp.ClientSession
) -> None:
    pki = Pki(place)
    certificate, key = pki.server()
    settings = {
        "workers": "2", "admin_port": str(free_port()), "tls_certificate_file": str(certificate), "tls_key_file": str(key),
    }  # fmt: skip
    async with ingress(place, NO_KAFKA, http, **settings) as running:
        url = running.url.replace("http://127.0.0.1", "https://localhost")
        statuses, trust = list[int](), pki.trusting()

        async def keep_pushing() -> None:
            while True:
                await asyncio.sleep(0.01)
                statuses.append(await pushed(http, url, trust))

        async with asyncio.timeout(60):
            while running.log.read_text().count(" listening: ") < 2:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.05)
        pushing = [asyncio.create_task(keep_pushing()) for _ in range(2)]
        for renewals, name in enumerate(("next", "last"), 1):
            for made, used in zip(pki.server(name), (certificate, key), strict=True):
                made.replace(used)
            before = len(statuses)
            async with asyncio.timeout(60):
                while running.log.read_text().count("a new certificate: ") < 2 * renewals or len(statuses) < before + 9:
                    assert not any(task.done() for task in pushing), [task.exception() for task in pushing]
                    await asyncio.sleep(0.05)
            first = certificate.read_text().partition("-----END CERT")[0] + "-----END CERTIFICATE-----\n"
            assert {await shown(url, trust) for _ in range(5)} == {ssl.PEM_cert_to_DER_cert(first)}
        for task in pushing:
            task.cancel()
        await asyncio.gather(*pushing, return_exceptions=True)
        assert set(statuses) == {200}


async def shown(url: str, trust: ssl.SSLContext) -> bytes | None:
    port = int(url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_admin_port_that_is_taken_is_named(place: Path, http: aiohttp.ClientSession, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        with pytest.raises(AssertionError, match=r"another process already uses[\s\S]*ingress\.admin_port"):
            async with ingress(place, NO_KAFKA, http, "--open", host="0.0.0.0", admin_port=port, workers=workers):
                pytest.fail("it started")
