"""Bounds on what an account pushes and on how often a caller is refused, and the entries of the audit trail."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ingress.app import SERVER_OPTIONS, create_app
from ingress.quota.caller_counts import CallerCounts, no_counts
from schemas.config.secret import Secret
from schemas.config.settings import Account, IngressSettings, Settings
from schemas.metrics import Registry
from schemas.vendors import VENDORS
from tests.support.http.memory_publisher import MemoryPublisher

SECRET = "k3vq9xw2mz7rt5hb"
WRONG = "z9xq3vw2mz7rt5hc"
FLOODED = 5
ACCOUNTS = (
    Account(vendor="ytx", name="main", secret=Secret(SECRET), rate_per_s=0.3, daily_cap=4),
    Account(vendor="huawei", name="once", secret=Secret(SECRET[::-1])),
)
LIMITS = IngressSettings(require_account=True, account_rate_per_s=0.001, unknown_per_minute=FLOODED)


class Site:
    """An ingress whose clock stands still until it is set."""

    def __init__(
        self,
        client: TestClient[web.Request, web.Application],
        counts: CallerCounts,
        publisher: MemoryPublisher,
        clock: list[datetime],
    ) -> None:
        self.client = client
        self.counts = counts
        self.publisher = publisher
        self.clock = clock

    async def push(self, secret: str = SECRET, path: str = "ytx", **options: Any) -> tuple[int, bytes]:
        answer = await self.client.post(f"/v1/a/{secret}/{path}", data=b'{"cdr":[]}', **options)
        return answer.status, await answer.read()

    def audited(self) -> list[tuple[str, str, str, int]]:
        return [(one.vendor, one.account, one.code, one.count) for one in self.counts.refusals.take()]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    counts = no_counts(LIMITS.unknown_per_minute)
    publisher = MemoryPublisher()
    clock = [datetime(2026, 3, 1, 12, tzinfo=UTC)]
    app = create_app(
        Settings(accounts=ACCOUNTS, ingress=LIMITS), VENDORS, publisher, Registry(), lambda: clock[0], counts=counts
    )
    server = TestServer(app)
    await server.start_server(**SERVER_OPTIONS)
    client = TestClient(server)
    await client.start_server()
    yield Site(client, counts, publisher, clock)
    await client.close()


async def test_beyond_its_rate_an_account_gets_the_vendors_retry_answer(site: Site) -> None:
    answers = [(await site.push())[0] for _ in range(5)]

    assert answers == [200, 200, 200, VENDORS["ytx"].retry.status, VENDORS["ytx"].retry.status]
    assert len(site.publisher.records) == 3
    assert site.audited() == [("ytx", "main", "rate", 2)]


async def test_beyond_its_cap_of_a_day_an_account_waits_for_midnight(site: Site) -> None:
    answers = []
    for minutes in (0, 1, 2, 3, 4, 12 * 60 + 1):
        site.clock[0] = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
        answers.append((await site.push())[0])

    assert answers == [200] * 4 + [VENDORS["ytx"].retry.status] + [200]
    assert site.audited() == [("ytx", "main", "daily_cap", 1)]


async def test_a_vendor_that_calls_once_is_not_bounded_by_the_general_rate(site: Site) -> None:
    answers = [await site.push(SECRET[::-1], "huawei/ax") for _ in range(20)]

    assert {status for status, _ in answers} == {200}


async def test_forged_pushes_use_up_nothing_of_the_account(site: Site) -> None:
    for _ in range(50):
        assert (await site.push(WRONG))[0] in (403, 429)

    assert (await site.push())[0] == 200


async def test_who_is_refused_again_and_again_gets_429_and_true_pushes_from_there_come_in(site: Site) -> None:
    refused = [await site.push(WRONG) for _ in range(FLOODED + 3)]

    assert [status for status, _ in refused] == [403] * FLOODED + [429] * 3
    assert b"refused_often" in refused[-1][1]
    assert (await site.push())[0] == 200
    assert site.audited() == [("ytx", "", "forbidden", FLOODED), ("ytx", "", "refused_often", 3)]


async def test_addresses_of_nobody_count_for_the_bound_and_stand_in_no_trail(site: Site) -> None:
    answers = [(await site.client.get(f"/wp-login-{number}.php")).status for number in range(FLOODED + 1)]

    assert answers == [404] * FLOODED + [429]
    assert site.audited() == [("", "", "refused_often", 1)]


async def test_a_push_without_an_account_is_audited_without_what_the_caller_wrote(site: Site) -> None:
    await site.client.post("/v1/ytx?account=my-own-words", data=b"body of the caller")
    (entry,) = site.counts.refusals.take()

    assert (entry.vendor, entry.account, entry.code, entry.address) == ("ytx", "", "unknown_account", "127.0.0.1")
    assert "my-own-words" not in repr(entry)
    assert "body of the caller" not in repr(entry)
