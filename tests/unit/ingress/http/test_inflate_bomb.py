"""A body that inflates past the cap is accepted as it came, and becomes a dead letter of the normaliser."""

import gzip
from datetime import UTC, datetime

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ingress.app import SERVER_OPTIONS, create_app
from processors.normalise import Directory, normalise
from schemas.config.limits import DEFAULT
from schemas.config.settings import Settings
from schemas.metrics import Registry
from schemas.raw import Position, raw_from_kafka
from schemas.vendors import VENDORS
from tests.support.http.memory_publisher import MemoryPublisher


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}], ids=["declared", "not declared"])
async def test_a_body_that_inflates_past_the_cap_is_accepted_and_becomes_a_dead_letter(headers: dict[str, str]) -> None:
    bomb = gzip.compress(bytes(DEFAULT.inflate_bytes + 1))
    publisher = MemoryPublisher()
    app = create_app(Settings(), VENDORS, publisher, Registry(), lambda: datetime(2026, 5, 6, tzinfo=UTC))
    server = TestServer(app)
    await server.start_server(**SERVER_OPTIONS)
    async with TestClient(server) as client:
        assert (await client.post("/v1/ytx", data=bomb, headers=headers)).status == 200
    (record,) = publisher.records
    assert record.value == bomb
    raw = raw_from_kafka(record.value, record.headers, 0)
    outcome = normalise(raw, Position("calls.raw", 0, 0), Directory(), DEFAULT)
    assert ([letter.code for letter in outcome.dead], outcome.facts) == (["inflate"], ())
