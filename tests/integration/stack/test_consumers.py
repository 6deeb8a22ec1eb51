"""Another team's service reads the public topics with librdkafka, fastavro and a schema registry, without our code.

The registry is a stub with Confluent's HTTP interface: once it has the pinned ids, once the parts register there.
"""

import asyncio
import io
import json
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import confluent_kafka
import fastavro
import pytest
from aiohttp import web

from deploy.local.stack import Stack
from deploy.process.scrape import total
from schemas.codec import PUBLISHED
from schemas.config.kafka.registry import SchemaRegistrySettings
from tests.golden.cases import HERE, load
from tests.support import whole_stack as ws
from tests.support.command import addresses, callweave
from tests.support.http.pushing import JSON
from tests.support.http.serving import serving_app

LIMIT_S = 45.0
AVRO = Path(__file__).parents[3] / "schemas" / "avro"
PINNED = {published.schema_id: published.file for published in PUBLISHED}
SUBJECTS = {subject: published.file for published in PUBLISHED for subject in published.subjects}
"""The newest schema of each topic."""
TOPICS = ("calls.normalized", "calls.timelines", "calls.dead")
PUSHED = {
    "voice code": "ytx/push-V01-document-example",
    "state": "ytx/push-S01-document-example",
    "empty": "ytx/push-G01-empty-body",
}


class RegistryStub:
    """A schema registry as far as producers and consumers need it."""

    def __init__(self) -> None:
        self.schemas: dict[int, str] = {}
        self.subjects: dict[str, int] = {}
        self.url = ""

    def id_of(self, schema: str) -> int:
        """Returns the id of a schema; equal schemas share it, as in a real registry."""
        for schema_id, known in self.schemas.items():
            if json.loads(known) == json.loads(schema):
                return schema_id
        schema_id = 41 + len(self.schemas)
        self.schemas[schema_id] = schema
        return schema_id

    async def register(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked.get("schemaType", "AVRO") == "AVRO"
        self.subjects[request.match_info["subject"]] = self.id_of(asked["schema"])
        return web.json_response({"id": self.subjects[request.match_info["subject"]]})

    async def by_id(self, request: web.Request) -> web.Response:
        schema = self.schemas.get(int(request.match_info["id"]))
        return web.json_response({"schema": schema} if schema else {"error_code": 40403}, status=200 if schema else 404)


@pytest.fixture(scope="module")
async def registry() -> AsyncIterator[RegistryStub]:
    stub = RegistryStub()
    app = web.Application()
    app.router.add_post("/subjects/{subject}/versions", stub.register)
    app.router.add_get("/schemas/ids/{id}", stub.by_id)
    async with serving_app(app) as url:
        stub.url = url
        yield stub


@pytest.fixture(scope="module", params=["pinned ids", pytest.param("ids of a registry", marks=pytest.mark.long)])
async def stack(
    request: pytest.FixtureRequest, registry: RegistryStub, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """Yields the stack after three pushes, without a registry and with one."""
    registry.schemas.clear()
    registry.subjects.clear()
    own = request.param == "pinned ids"
    if own:
        registry.schemas = {schema_id: (AVRO / file).read_text("utf-8") for schema_id, file in PINNED.items()}
    settings = SchemaRegistrySettings(url="" if own else registry.url)
    async with ws.whole_stack(tmp_path_factory.mktemp("consumers"), schema_registry=settings) as stack:
        async with aiohttp.ClientSession() as session:
            for name in PUSHED.values():
                body = load(HERE / f"{name}.json").raw.body
                async with session.post(f"{stack.ingress_url}/v1/ytx", data=body, headers=JSON) as answer:
                    assert answer.status == 200
        yield stack


Record = tuple[str, str, int, dict[str, Any]]
"""A record: topic, key, schema id, value."""


class Service:
    """Reads topics as another team's service does."""

    def __init__(self, bootstrap: str, registry: str) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}
        self._consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "another-team", "auto.offset.reset": "earliest"}
        )
        self._consumer.subscribe(list(TOPICS))

    async def read(self, wanted: int) -> list[Record]:
        """Returns the records of all topics, once there are as many as wanted, or those at the limit."""
        deadline = asyncio.get_running_loop().time() + LIMIT_S
        records: list[Record] = []
        async with aiohttp.ClientSession() as session:
            while len(records) < wanted and asyncio.get_running_loop().time() < deadline:
                message = await asyncio.to_thread(self._consumer.poll, 0.5)
                if message is None:
                    continue
                assert message.error() is None
                topic, key, raw = message.topic(), message.key(), message.value()
                assert topic is not None
                assert key is not None
                assert raw is not None
                magic, schema_id = struct.unpack(">bI", raw[:5])
                assert magic == 0
                body = io.BytesIO(raw[5:])
                value: Any = fastavro.schemaless_reader(body, await self._schema(session, schema_id), None)
                assert body.read() == b""
                records.append((topic, key.decode(), schema_id, value))
        return records

    async def _schema(self, session: aiohttp.ClientSession, schema_id: int) -> Any:
        if schema_id not in self._schemas:
            async with session.get(f"{self._registry}/schemas/ids/{schema_id}") as answer:
                assert answer.status == 200, f"the registry has no schema {schema_id}"
                self._schemas[schema_id] = fastavro.parse_schema(json.loads((await answer.json())["schema"]))
        return self._schemas[schema_id]

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture(scope="module")
async def read(stack: Stack, registry: RegistryStub) -> list[Record]:
    """The public topics have two records, their two timelines and one dead letter."""
    service = Service(stack.settings.kafka.bootstrap, registry.url)
    try:
        return await service.read(5)
    finally:
        service.close()


def of(read: list[Record], topic: str) -> dict[str, dict[str, Any]]:
    return {key: value for where, key, _, value in read if where == topic}


async def test_the_ids_on_the_wire_are_those_that_the_registry_knows(
    read: list[Record], registry: RegistryStub
) -> None:
    """Ids are the pinned ones without a registry, else the registry's, with every subject under its topic's name."""
    seen = {(topic, schema_id) for topic, _, schema_id, _ in read}
    known = registry.subjects or {
        subject: number for number, file in PINNED.items() for subject, of in SUBJECTS.items() if of == file
    }

    assert seen == {(topic, known[f"{topic}-value"]) for topic in TOPICS}
    assert set(known) == set(SUBJECTS)
    for subject, file in SUBJECTS.items():
        assert json.loads(registry.schemas[known[subject]]) == json.loads((AVRO / file).read_text("utf-8"))


async def test_a_record_is_read_with_nothing_but_its_schema(read: list[Record]) -> None:
    record = of(read, "calls.normalized")["ytx||2016010000000205"]

    assert (record["vendor"], record["kind"], record["disposition"]) == ("ytx", "voice_otp", "answered")
    assert record["vendor_call_id"] == "2016010000000205"
    assert record["answer_at"] == datetime(2016, 2, 2, 3, 19, 36, tzinfo=UTC)
    assert (record["cost"], record["currency"]) == (Decimal("0.06"), "CNY")
    assert (record["talk_ms"], record["vendor_duration_s"]) == (22000, 10)
    assert record["quality_flags"] == ["duration_mismatch", "number_unverified"]


async def test_a_state_is_read_from_the_same_topic(read: list[Record]) -> None:
    state = of(read, "calls.normalized")["ytx||20180635240289460415365120401"]

    assert (state["fact_type"], state["state"], state["leg_number"]) == ("state", "setup", "+8613600007556")
    assert state["event_at"] == datetime(2018, 6, 4, 3, 13, 4, tzinfo=UTC)


async def test_a_timeline_is_read_with_its_version(read: list[Record]) -> None:
    calls = {value["vendor_call_id"]: value for value in of(read, "calls.timelines").values()}

    assert set(calls) == {"2016010000000205", "20180635240289460415365120401"}
    assert [calls[one]["is_final"] for one in sorted(calls)] == [True, False]
    assert all(call["version"] > 0 for call in calls.values())


async def test_a_dead_letter_is_read_with_its_bytes(read: list[Record]) -> None:
    ((key, dead_letter),) = of(read, "calls.dead").items()

    assert (key, dead_letter["code"], dead_letter["original"], dead_letter["topic"]) == (
        "ytx",
        "empty",
        b"",
        "calls.raw",
    )
    assert dead_letter["headers"]["vendor"] == "ytx"


async def test_a_replay_writes_the_same_ids(stack: Stack, tmp_path: Path) -> None:
    """The joiner reads the command's records: repetitions, and no dead letter of bytes with an unknown schema."""
    settings = {**addresses(stack), "schema_registry__url": stack.settings.schema_registry.url}
    before = await replayed(stack)

    done = await callweave("replay", "--since", "2020-01-01", cwd=tmp_path, settings=settings)

    async def untold() -> bool:
        return await replayed(stack) < before + 2

    assert done.text == "3 bodies, 2 facts, 1 dead letters\n"
    assert not await ws.until(untold, LIMIT_S)


async def replayed(stack: Stack) -> float:
    return total(await ws.samples(stack), "callweave_join_outcomes_total", outcome="replayed")


async def test_the_sink_reads_the_same_ids(stack: Stack) -> None:
    """The sink decoded the records, as their rows show, and made no dead letters of them."""

    async def missing() -> bool:
        return len(await ws.rows(stack, "SELECT 1 FROM v_timelines")) < 2

    assert not await ws.until(missing, LIMIT_S)
    assert [row["stage"] for row in await ws.rows(stack, "SELECT stage FROM dead_letters")] == ["normalise"]
