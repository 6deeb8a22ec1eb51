"""Fuzzes the ingress over raw sockets: `python -m tests.security.fuzz_http --seconds 3600 --seed 7`.

Garbage comes from a seeded grammar, through every door: plain, TLS, a PROXY header, and both. Between the garbage
honest callers push, and each must get its success. At the end the process must live, be as large as before, have
answered no 5xx, and have written nothing of what callers sent into its log.

A machine that is busy with something else refuses pushes with `overload`, as documented. Such answers are counted and
printed, and an honest caller then does what its vendor does: it sends again. On an idle machine there are none or few.
So does one whose connection ends without a byte of an answer: of a caller that gets no processor for a head's time the
ingress sees no request, and cuts it. Of those there must not be more than the ingress itself counts.
"""

import asyncio
import contextlib
import logging
import re
import signal
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tests.security.fuzzing.answers import Answers, answers
from tests.security.fuzzing.fuzzed_ingress import DOORS, Door
from tests.security.fuzzing.grammar import MARK, SECRET, Conversation, Grammar
from tests.support.front_site import said
from tests.unit.ingress.front.test_proxy_header import header

AT_ONCE: Final = 24
HONEST_EVERY: Final = 15
TRIES: Final = 5
"""Times that an honest caller sends its pushes, while it is asked to send again."""
AGAIN_S: Final = 1.0
GROWTH_MIB: Final = 24
"""Most growth after the first third: the allocator's own fluctuation is some MiB."""
HONEST: Final = (
    b"POST /v1/nxcloud/cdr HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
_ANSWER_S: Final = 1.2
_METRICS: Final = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_OURS: Final = re.compile(r"\d{4}-\d\d-\d\dT\S+ (INFO|WARNING|ERROR) callweave\.")
_FAILURE: Final = re.compile(r"\S+ ERROR ")
"""Beginning of a line that says that something of ours has failed; callers alone cause none."""


class Report(msgspec.Struct, kw_only=True):
    """Everything that one run has seen."""

    conversations: int = 0
    honest: int = 0
    dishonoured: list[str] = msgspec.field(default_factory=list)
    """Honest callers that did not get their success."""
    sent_again: int = 0
    """Times that an honest caller was asked to send again, or got no answer, and did."""
    unanswered: int = 0
    """Connections of honest callers that ended without a byte of an answer."""
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    overloads: int = 0
    """Answers to anybody that ask to send again."""
    broken: list[bytes] = msgspec.field(default_factory=list)
    """Answers of 5xx that no vendor is asked to send again with."""
    resident_mib: list[float] = msgspec.field(default_factory=list)
    """Memory, after each ninth of the time."""
    in_hand: Counter[str] = msgspec.field(default_factory=Counter)
    """Requests that wait, and bytes that are held, as the ingress counts them when all callers have gone."""
    files: tuple[int, int] = (0, 0)
    """Open files before, and when all callers had gone."""
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    cut: Counter[str] = msgspec.field(default_factory=Counter)
    exit_code: int | None = None
    log: str = ""

    def heard(self, data: bytes) -> Answers:
        """Takes what was answered on a connection, and returns it."""
        found = answers(data)
        self.statuses.update(found.statuses)
        self.overloads += found.again
        self.broken += found.broken
        return found

    def faults(self) -> list[str]:
        """Returns a sentence for each thing that must not be."""
        quoted = [line for line in self.log.splitlines() if MARK in line or SECRET in line]
        strange = [line for line in self.log.splitlines() if not _OURS.match(line)]
        failures = [line for line in self.log.splitlines() if _FAILURE.match(line)]
        growth = self.resident_mib[-1] - self.resident_mib[2]
        found = {
            f"an honest caller got {self.dishonoured[:3]}": self.dishonoured,
            "nobody was honest": not self.honest,
            f"{self.unanswered} honest connections were answered nothing, of {dict(self.cut)} that were cut": (
                self.unanswered > self.cut["no_request"]
            ),
            f"5xx: {self.broken[:3]}": self.broken,
            f"{self.overloads} were asked to send again, of {dict(self.outcomes)}": (
                self.overloads > self.outcomes["overload"] or self.outcomes["buffer_full"]
            ),
            f"an outcome `error` was counted, or a failure logged: {failures[:3]}": self.outcomes["error"] or failures,
            f"it ended with {self.exit_code}": self.exit_code != 0,
            f"the log quotes what callers sent, as in {quoted[:1]}": quoted,
            f"the log has lines that are not ours, as {strange[:3]}": strange,
            f"it grew by {growth:.0f} MiB": growth > GROWTH_MIB,
            f"files stay open: {self.files}": self.files[1] > self.files[0],
            f"what nobody waits for is counted: {dict(self.in_hand)}": any(self.in_hand.values()),
        }
        return [sentence for sentence, is_so in found.items() if is_so]


async def fuzz(folder: Path, *, seconds: float, seed: int) -> Report:
    """Returns the report of one run; the log stays in `folder`."""
    report = Report()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of the callers, whose connections are cut all the time
    async with _fuzzed(folder, report) as (process, doors):
        trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
        for door in doors:
            await be_honest(door, trust, report)
        before = await _settled(process.pid)
        end = time.monotonic() + seconds
        callers = [
            asyncio.create_task(_call(Grammar(seed * 1000 + number), doors, trust, report, end))
            for number in range(AT_ONCE)
        ]
        for _ in range(9):
            await asyncio.sleep(seconds / 9)
            report.resident_mib.append(_resident_mib(process.pid))
        await asyncio.gather(*callers)
        report.files = (before, await _settled(process.pid, before))
        for door in doors:
            await be_honest(door, trust, report)
            await _count(door, report)
    return report


@contextlib.asynccontextmanager
async def _fuzzed(folder: Path, report: Report) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[Door]]]:
    log = folder / "fuzzed.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.security.fuzzing.fuzzed_ingress", str(folder), stdout=output, stderr=output
        )
    try:
        async with asyncio.timeout(60):
            while not (folder / DOORS).exists():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield process, msgspec.json.decode((folder / DOORS).read_bytes(), type=list[Door])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        report.exit_code = await process.wait()
        report.log = log.read_text("utf-8", "replace")


async def _call(grammar: Grammar, doors: list[Door], trust: ssl.SSLContext, report: Report, end: float) -> None:
    turn = 0
    while time.monotonic() < end:
        door = doors[turn % len(doors)]
        # Of the conversations with a TLS door, half are garbage in the place of a handshake.
        through_tls = door.tls and turn % 8 < 4
        one = grammar.conversation(proxied=door.proxied, raw_tls=door.tls and not through_tls and turn % 16 < 12)
        heard = await _converse(door, one, trust if through_tls and not door.proxied else None)
        report.conversations += 1
        report.heard(heard)
        turn += 1
        if turn % HONEST_EVERY == 0:
            await be_honest(doors[turn // HONEST_EVERY % len(doors)], trust, report)


async def _converse(door: Door, one: Conversation, trust: ssl.SSLContext | None) -> bytes:
    """Returns what was answered; whatever the caller does, it ends within a few seconds."""
    heard = b""
    names: dict[str, Any] = {"ssl": trust, "server_hostname": "localhost"} if trust else {}
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port, **names)
        try:
            async with asyncio.timeout(_ANSWER_S):
                for piece in one.pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                if one.leaves == "half" and writer.can_write_eof():
                    writer.write_eof()
                if one.leaves != "resets":
                    while data := await reader.read(1 << 16):
                        heard += data
        finally:
            writer.transport.abort()
    return heard


async def be_honest(door: Door, trust: ssl.SSLContext, report: Report) -> None:
    """Pushes twice over one connection, again while it is asked to or not answered; notes all but two successes."""
    report.honest += 1
    for tries_left in reversed(range(TRIES)):
        try:
            heard = await (_through_both(door, trust) if door.tls and door.proxied else _through(door, trust))
        except (OSError, TimeoutError) as exc:
            # Noted with its time, and the run goes on: its other figures say whether ingress or machine was at fault.
            report.dishonoured.append(f"{door}: {exc!r} at {datetime.now(UTC):%H:%M:%S}")
            return
        found = report.heard(heard)
        if found.statuses == (200, 200):
            return
        report.unanswered += not heard
        if (heard and not found.again) or not tries_left:
            report.dishonoured.append(f"{door}: {heard[:200]!r}")
            return
        report.sent_again += 1
        await asyncio.sleep(AGAIN_S)


async def _through(door: Door, trust: ssl.SSLContext) -> bytes:
    names: dict[str, Any] = {"ssl": trust, "server_hostname": "localhost"} if door.tls else {}
    return await said(door.port, (header() if door.proxied else b"") + HONEST, HONEST, answers=2, **names)


async def _through_both(door: Door, trust: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    heard = b""
    try:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                writer.write(header())
                await writer.drain()
                await writer.start_tls(trust, server_hostname="localhost")
                writer.write(HONEST * 2)
                while heard.count(b"HTTP/1.") < 2 and (data := await reader.read(1 << 16)):
                    heard += data
    finally:
        writer.transport.abort()
    return heard


async def _count(door: Door, report: Report) -> None:
    port = door.admin_port if door.tls or door.proxied else door.port
    page = await said(port, _METRICS, answers=99)
    for name, own in (("queued_requests", 0), ("held_bytes", 0 if port == door.admin_port else len(_METRICS))):
        (held,) = re.findall(rf"^callweave_ingress_{name} (\S+)$", page.decode(), re.MULTILINE)
        report.in_hand[name] += int(float(held)) - own
    for name, counts, label in (("requests", report.outcomes, "outcome"), ("connections_cut", report.cut, "reason")):
        pattern = rf'callweave_ingress_{name}_total\{{.*{label}="(\w+)"\}} (\S+)'
        for kind, count in re.findall(pattern, page.decode()):
            counts[kind] += int(float(count))


async def _settled(pid: int, wanted: int = 0) -> int:
    """Returns the number of open files once callers have gone: when it is as wanted, or does not change any more."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 5 and last != wanted:
        await asyncio.sleep(0.2)
        now = _open_files(pid)
        if now != last:
            last, since = now, time.monotonic()
    return last


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@click.command()
@click.option("--seconds", default=3600.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(seconds: float, seed: int) -> None:
    """Fuzz, print what was seen, and end with 1 where something must not be."""
    with tempfile.TemporaryDirectory(prefix="callweave-fuzz-") as folder:
        report = asyncio.run(fuzz(Path(folder), seconds=seconds, seed=seed))
    click.echo(f"{report.conversations} conversations, {report.honest} honest callers, {len(report.log)} bytes of log")
    click.echo(
        f"{report.overloads} were asked to send again, {report.unanswered} honest ones answered nothing, "
        f"{report.sent_again} times an honest one sent again"
    )
    click.echo(f"counted when all had gone: {dict(report.in_hand)}")
    click.echo(f"statuses {dict(report.statuses.most_common())}")
    click.echo(f"outcomes {dict(report.outcomes.most_common())}, connections cut {dict(report.cut.most_common())}")
    click.echo(f"MiB {[round(each, 1) for each in report.resident_mib]}, files {report.files}")
    for fault in (faults := report.faults()):
        click.echo(f"FAULT: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
