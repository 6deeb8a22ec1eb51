"""The ingress that tests of HTTP share."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.config.settings import IngressSettings
from schemas.metrics import Registry
from tests.support.http.memory_publisher import MemoryPublisher
from tests.unit.ingress.http.serving_site import Site, serve


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    publisher, metrics, leaving = MemoryPublisher(), Registry(), asyncio.Event()
    client = await serve(publisher, metrics, getattr(request, "param", IngressSettings()), leaving)
    yield Site(client, publisher, metrics, leaving)
    await client.close()
