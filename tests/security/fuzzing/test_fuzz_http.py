"""Some seconds of HTTP fuzzing in `make test`, five minutes in `make test-long`; an hour is a command of its own."""

import asyncio
import ssl
from collections import Counter
from pathlib import Path

import pytest

from deploy.process.ports import free_port
from ingress.http.responses import malformed
from ingress.overload.shedding import LoadShedder
from schemas.errors import Unavailable
from schemas.raw import Headers
from schemas.vendors import VENDORS
from tests.security import fuzz_http
from tests.security.fuzz_http import HONEST, TRIES, Report, be_honest, fuzz
from tests.security.fuzzing.answers import answers
from tests.security.fuzzing.fuzzed_ingress import Door
from tests.support.front_site import PUSH, front_site
from tests.support.http.memory_publisher import MemoryPublisher


@pytest.mark.parametrize(
    ("seconds", "seed"),
    [
        pytest.param(6, 1, id="some seconds"),
        pytest.param(300, 2, id="five minutes", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
async def test_garbage_harms_nobody_and_is_told_to_nobody(tmp_path: Path, seconds: float, seed: int) -> None:
    report = await fuzz(tmp_path, seconds=seconds, seed=seed)

    assert report.faults() == []
    assert report.statuses[400] > 0
    assert report.statuses[200] > 0


@pytest.mark.parametrize(("tls", "proxied"), [(False, False), (True, True)], ids=["plain", "TLS behind a proxy"])
async def test_an_honest_caller_without_an_answer_is_a_fault_and_does_not_end_the_run(
    *, tls: bool, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour's figures must not be lost with one caller."""
    monkeypatch.setattr(fuzz_http, "AGAIN_S", 0.0)
    report, nobody = Report(), free_port()
    door = Door(port=nobody, admin_port=nobody, tls=tls, proxied=proxied)
    await be_honest(door, ssl.create_default_context(), report)

    assert report.honest == 1
    (noted,) = report.dishonoured
    assert f"port={nobody}" in noted


class Refusing(MemoryPublisher):
    """Asks for its first bodies to be sent again."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, *, no_retry: bool = False) -> None:
        self._times -= 1
        if self._times >= 0:
            raise Unavailable("refuses on purpose", code="kafka")
        await super().publish(topic, key, value, headers, no_retry=no_retry)


@pytest.mark.parametrize(
    ("refused", "sent_again", "noted"),
    [
        pytest.param(0, 0, 0, id="taken"),
        pytest.param(1, 1, 0, id="one of two is refused"),
        pytest.param(2 * (TRIES - 1), TRIES - 1, 0, id="taken at last"),
        pytest.param(2 * TRIES, TRIES - 1, 1, id="never taken"),
    ],
)
async def test_an_honest_caller_sends_again_while_it_is_asked_to(
    refused: int, sent_again: int, noted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_http, "AGAIN_S", 0.0)
    report = Report()
    async with front_site(publisher=Refusing(refused)) as site:
        door = Door(port=site.port, admin_port=site.admin_port, tls=False, proxied=False)
        await be_honest(door, ssl.create_default_context(), report)
    assert (report.honest, report.sent_again, len(report.dishonoured)) == (1, sent_again, noted)
    assert report.overloads == refused


@pytest.mark.parametrize(
    ("cuts", "words", "sent_again", "unanswered", "noted"),
    [
        pytest.param(0, b"", 0, 0, 0, id="none"),
        pytest.param(1, b"", 1, 1, 0, id="once"),
        pytest.param(TRIES - 1, b"", TRIES - 1, TRIES - 1, 0, id="all but the last time"),
        pytest.param(TRIES, b"", TRIES - 1, TRIES, 1, id="every time"),
        pytest.param(1, b"HTTP/1.1 2", 0, 0, 1, id="in the middle of an answer"),
    ],
)
async def test_an_honest_caller_sends_again_when_its_connection_ends_without_an_answer(
    cuts: int, words: bytes, sent_again: int, unanswered: int, noted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else that it hears brings it back: half an answer is a fault at once."""
    monkeypatch.setattr(fuzz_http, "AGAIN_S", 0.0)
    report, left = Report(), cuts

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        left -= 1
        await reader.readexactly(len(HONEST) * 2)
        writer.write(words if left >= 0 else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2)
        writer.close()

    port = free_port()
    async with await asyncio.start_server(answer, "127.0.0.1", port):
        door = Door(port=port, admin_port=port, tls=False, proxied=False)
        await be_honest(door, ssl.create_default_context(), report)
    assert (report.sent_again, report.unanswered, len(report.dishonoured)) == (sent_again, unanswered, noted)


@pytest.mark.parametrize(
    ("unanswered", "cut", "faults"),
    [
        pytest.param(2, {"no_request": 2}, 0, id="all counted"),
        pytest.param(2, {"no_request": 1}, 1, id="one too few"),
        pytest.param(2, {"tls": 9, "unread": 9}, 1, id="counted for other reasons"),
    ],
)
def test_what_was_answered_nothing_is_a_fault_beyond_what_the_ingress_says_it_cut(
    unanswered: int, cut: dict[str, int], faults: int
) -> None:
    report = Report(honest=1, resident_mib=[1.0] * 9, exit_code=0, unanswered=unanswered, cut=Counter(cut))
    assert len(report.faults()) == faults


def shed(path: bytes) -> bytes:
    refusal = LoadShedder(VENDORS).refusal(PUSH.replace(b"/v1/ytx", path))
    assert refusal is not None
    return refusal.response


def test_a_refusal_that_asks_to_send_again_is_told_from_any_other_5xx() -> None:
    body = malformed(500, "KeyError").body
    assert isinstance(body, bytes)
    other = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    taken = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    old = b"HTTP/0.9 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    heard = shed(b"/v1/ytx") + taken + other + shed(b"/v1/nxcloud/cdr") + old
    assert answers(heard) == ((500, 200, 500, 503, 503), 3, (other,))


@pytest.mark.parametrize(
    ("said", "outcomes", "faults"),
    [
        pytest.param(shed(b"/v1/ytx"), {"overload": 1}, 0, id="an overload that is counted"),
        pytest.param(shed(b"/v1/ytx"), {}, 1, id="one that is not"),
        pytest.param(shed(b"/v1/ytx"), {"overload": 1, "buffer_full": 1}, 1, id="memory that was full"),
        pytest.param(shed(b"/v1/ytx"), {"overload": 1, "error": 1}, 1, id="a failure of ours"),
        pytest.param(b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", {}, 1, id="another 5xx"),
    ],
)
def test_only_an_overload_that_the_ingress_counts_is_no_fault(
    said: bytes, outcomes: dict[str, int], faults: int
) -> None:
    report = Report(honest=1, resident_mib=[1.0] * 9, exit_code=0, outcomes=Counter(outcomes))
    report.heard(said)
    assert len(report.faults()) == faults


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        pytest.param("INFO callweave.ingress no request could be read: status=400", 0, id="a caller's"),
        pytest.param("ERROR callweave.ingress no request could be read: status=500", 1, id="of ours"),
        pytest.param("ERROR asyncio Task exception was never retrieved", 2, id="nobody's"),
    ],
)
def test_a_failure_in_the_log_is_a_fault(line: str, faults: int) -> None:
    report = Report(honest=1, resident_mib=[1.0] * 9, exit_code=0, log=f"2026-01-31T00:00:00.000Z {line}\n")
    assert len(report.faults()) == faults
