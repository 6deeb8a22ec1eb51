"""Inputs that once stopped, hid or falsified a call: all of them pushed into one running stack, and read back by SQL.

The tables in `tests/integration/cases` say what is sent and what must be shown; everything is sent once, one after the
other, and looked at until it is as it must be, or no longer changes.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from aiohttp import web

from deploy.local.stack import Stack
from schemas.config.secret import Secret
from schemas.config.settings import Account, PollAccount
from tests.integration.cases import amounts, conflicts, figures, parties, poison, spellings
from tests.integration.cases.parts import Case, Push, call, record
from tests.property.real_rows.kinds import KINDS, Element
from tests.support import whole_stack as ws
from tests.support.http.serving import serving

LIMIT_S = 60.0
APP_ID = "1400000000"
CASES = (*poison.CASES, *conflicts.CASES, *spellings.CASES, *amounts.CASES, *parties.CASES, *figures.CASES)
VIEWS = ("v_timelines", "v_cdr", "v_bindings", "v_conflicts", "v_conferences", "v_kpi_hour")
DEAD_LETTERS = "SELECT headers['request_id'] AS request_id, code, detail, vendor, stage FROM dead_letters"


def pulled(call_id: str, **changes: str) -> Element:
    return KINDS["pulled"].of(call_id) | changes


# The pull API's pages for the first polls, and for the later ones.
FIRST: list[Element] = [
    pulled("case-A2", duration="2147483648"),
    pulled("case-C5", dstAcceptTime="0", duration="0", callEndStatus="3"),
    {("CallId" if name == "callId" else name): value for name, value in pulled("case-K2t").items()},
]
LATER = [FIRST[0], pulled("case-C5"), FIRST[2]]
PULLED = (
    Case(
        name="A2 68 years of a minute, pulled",
        pushes=(),
        wants=(record("case-A2", "range_error", billable_s=None),),
    ),
    Case(
        name="C5 the archive corrects itself",
        pushes=(),
        wants=(
            record("case-C5", disposition="answered", talk_ms=60_000, billable_s=60),
            call("case-C5", disposition="answered", talk_ms=60_000),
        ),
    ),
    Case(
        name="K2 a key of the archive's in capitals",
        pushes=(),
        wants=(call("case-K2t", "key_normalised", disposition="answered"),),
    ),
)


class Shown(msgspec.Struct, kw_only=True):
    """The outcome of all cases."""

    stack: Stack
    statuses: dict[str, list[int]]
    wrong: dict[str, list[str]]


@pytest.fixture(scope="module")
async def vendor_api() -> AsyncIterator[str]:
    """Yields a server of the pull API."""
    pages = 0

    async def get_cdr(_request: web.Request) -> web.Response:
        nonlocal pages
        pages += 1
        return web.Response(
            body=KINDS["pulled"].body(*(FIRST if pages < 3 else LATER)), content_type="application/json"
        )

    async with serving(get_cdr, "/{version}/getCdr") as url:
        yield url


@pytest.fixture(scope="module")
async def shown(vendor_api: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    """Sends all cases and returns their outcome."""
    poll = PollAccount(
        vendor="tencent",
        account="archive",
        url=vendor_api,
        app_id=APP_ID,
        key_id="example",
        interval_s=1.0,
        lag_s=1,
        window_s=86_400,
        sweep_hour_utc=-1,
        min_gap_s=0.05,
    )
    accounts = (
        Account(vendor="ytx", name="main", secret=Secret(poison.SECRET), external_ids=(poison.OWN_APP,)),
        *(Account(vendor="nxcloud", name=name, allow=("127.0.0.1/32",)) for name in figures.ACCOUNTS),
    )
    async with ws.whole_stack(tmp_path_factory.mktemp("cases"), poll, accounts=accounts) as stack:
        statuses: dict[str, list[int]] = {}
        requests: dict[str, str] = {}
        for case in CASES:
            answers = [await pushed(stack.ingress_url, push) for push in case.pushes]
            statuses[case.name] = [status for status, _ in answers]
            requests |= {request_id: case.name for _, request_id in answers if request_id}
        found: dict[str, list[str]] = {}

        async def wrong() -> dict[str, list[str]]:
            found.clear()
            found.update(await _wrong(stack, requests))
            return found

        await ws.until(wrong, LIMIT_S)
        yield Shown(stack=stack, statuses=statuses, wrong=dict(found))


async def _wrong(stack: Stack, requests: dict[str, str]) -> dict[str, list[str]]:
    """Returns the differences of each case."""
    rows = {view: await ws.rows(stack, f"SELECT * FROM {view}") for view in VIEWS}
    dead_letters: dict[str, list[str]] = defaultdict(list)
    for dead_letter in await ws.rows(stack, DEAD_LETTERS):
        dead_letters[requests.get(str(dead_letter["request_id"]), "")].append(str(dead_letter["code"]))
    found: dict[str, list[str]] = {}
    for case in (*CASES, *PULLED):
        faults = [sentence for want in case.wants for sentence in want.wrong(rows[want.view])]
        codes = tuple(sorted(dead_letters[case.name]))
        if case.dead is not None and codes != case.dead:
            faults.append(f"dead letters {codes}, not {case.dead}")
        if faults:
            found[case.name] = faults
    return found


async def pushed(base: str, push: Push) -> tuple[int, str]:
    """Returns the status and the request id, over a raw connection: a client library would not send all headers."""
    url = urlsplit(base)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        head = (
            f"POST {push.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\nContent-Length: {len(push.body)}\r\n"
            + (f"Content-Encoding: {push.encoding}\r\n" if push.encoding else "")
        )
        writer.write(head.encode() + b"Content-Type: " + push.content_type + b"\r\n\r\n" + push.body)
        await writer.drain()
        lines = (await reader.read()).split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    finally:
        writer.close()
    names = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split()[1]), names.get("x-request-id", "")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_a_push_shows_what_it_must(shown: Shown, case: Case) -> None:
    assert shown.statuses[case.name] == [200] * len(case.pushes)
    assert shown.wrong.get(case.name, []) == []


@pytest.mark.parametrize("case", PULLED, ids=[case.name for case in PULLED])
async def test_a_pulled_page_shows_what_it_must(shown: Shown, case: Case) -> None:
    assert shown.wrong.get(case.name, []) == []


async def test_no_process_ended_by_any_of_it(shown: Shown) -> None:
    assert {part.name: part.restarts for part in shown.stack.parts} == dict.fromkeys(
        (part.name for part in shown.stack.parts), 0
    )


async def test_a_verification_code_is_nowhere_in_a_row(shown: Shown) -> None:
    found = await ws.rows(shown.stack, "SELECT vendor_call_id FROM cdr WHERE toString(extras) LIKE '%842177%'")

    assert found == []


async def test_a_dead_letter_of_a_call_without_an_id_shows_its_binding_and_its_times(shown: Shown) -> None:
    query = "SELECT detail FROM dead_letters WHERE code = 'no_id' AND vendor = 'huawei'"
    details = [str(row["detail"]) for row in await ws.rows(shown.stack, query)]

    assert details
    assert all("b-case-V1" in detail for detail in details), details


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/ytx", "/v1/nxcloud/cdr", "/v1/huawei/ax"])
async def test_a_console_may_look_at_an_address(shown: Shown, method: str, path: str) -> None:
    """Case K11: the vendor's console must be able to save the address."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, shown.stack.ingress_url + path) as answer,
    ):
        text = await answer.text()
        assert answer.status == (204 if method == "OPTIONS" else 200)
        assert ("POST" in text) == (method == "GET")


def test_every_case_that_is_sent_is_looked_at() -> None:
    """A case that expects nothing would prove nothing."""
    assert [case.name for case in CASES if not case.wants and not case.dead] == []
    assert len({case.name for case in CASES}) == len(CASES)
