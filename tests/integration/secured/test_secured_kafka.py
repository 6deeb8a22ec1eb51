"""A broker with TLS, logins and access control: every way in, every right, and the whole way from a push to a row.

Each part runs with a user of its own that has exactly the rights of the table. While the door is closed the ingress
spools, and nothing needs a restart once it opens again.
"""

import asyncio
import contextlib
import shutil
from pathlib import Path

import aiohttp
import msgspec
import pytest

from deploy.admin.topic_setup import create_topics, differences
from deploy.kafka.acl_commands import acl_commands
from deploy.process.ports import free_port
from ingress.poll.checkpoints import read_checkpoints
from processors.main import run as run_worker
from schemas.config.settings import ClickHouseSettings, Settings
from schemas.errors import CallweaveError, SetupError, Unavailable
from schemas.kafka.away import require
from schemas.kafka.granted import lacking
from schemas.kafka.rights import ROLE
from schemas.kafka.watch import watch
from schemas.metrics import Registry
from schemas.topics import POLLS, RAW
from sinks.consumer import member
from tests.integration.secured.roles import NOBODY, WORK, playing, publisher, send
from tests.integration.secured.running_parts import LIMIT_S, environment, part, readyz, says
from tests.integration.secured.ways import IN, OUT, WRONG, Given
from tests.support.http.pushing import JSON, PATHS, body_of
from tests.support.kafka.secured_kafka import PASSWORDS, SecuredKafka, until
from tests.support.whole_stack import query


async def push(http: aiohttp.ClientSession, port: int, call_id: str) -> int:
    url = f"http://127.0.0.1:{port}{PATHS['ytx']}"
    async with http.post(url, data=body_of("ytx", call_id), headers=JSON) as answer:
        return answer.status


@pytest.mark.parametrize("given", IN.values(), ids=IN)
async def test_it_lets_us_in(secured: SecuredKafka, given: Given) -> None:
    await require(given(secured), "ingress")


@pytest.mark.parametrize(("given", "code", "said"), OUT.values(), ids=OUT)
async def test_what_is_wrong_is_one_sentence(secured: SecuredKafka, given: Given, code: str, said: str) -> None:
    kafka = given(secured)

    with pytest.raises(Unavailable) as error:
        await require(kafka, "ingress")

    text = str(error.value)
    assert error.value.code == code
    assert said in text
    assert "\n" not in text
    assert WRONG not in text
    assert all(password not in text for password in PASSWORDS.values())


@pytest.mark.parametrize("name", WORK)
async def test_the_rights_of_a_role_are_enough_for_its_work(secured: SecuredKafka, name: str) -> None:
    await send(secured.plain, "ingress", RAW.name)  # something to read
    async with playing(secured, ROLE[name]) as kafka:
        await require(kafka, name)
        await WORK[name](kafka)


def test_every_role_is_tried() -> None:
    assert {*WORK, "process"} == set(ROLE)


@pytest.mark.parametrize("name", ["ingress", "poll", "process", "sink", pytest.param("doctor", marks=pytest.mark.long)])
async def test_each_right_that_is_missing_is_named_alone(secured: SecuredKafka, name: str) -> None:
    role = ROLE[name]
    async with playing(secured, role) as kafka:
        for right in role.rights:
            without = msgspec.structs.replace(role, rights=(right,))
            await secured.take(NOBODY, right.operation, right.resource, right.name)
            missing = await lacking(kafka, name)
            await secured.allow(acl_commands([without], {name: NOBODY}, bootstrap="k:1", command_config="a"))

            # Describe comes with Read and Write, so it is missed only where neither is there; then nothing is seen.
            implied = right.operation == "Describe" and any(
                other.name == right.name and other.operation == "Read" for other in role.rights
            )
            assert (right in missing) is not implied
            assert {other.name for other in missing} <= {right.name}


@pytest.mark.parametrize("part", ["process", "sink", "poll"])
async def test_a_part_without_a_right_ends_with_the_sentence(secured: SecuredKafka, part: str) -> None:
    kafka = secured.settings(NOBODY)
    settings = Settings(kafka=kafka)

    async def start() -> None:
        if part == "process":
            await run_worker(settings, asyncio.Event(), Registry())
        elif part == "poll":
            await read_checkpoints(kafka)
        else:
            async with member(kafka, settings.sink):
                pass

    with pytest.raises(Unavailable) as error:
        await start()

    assert error.value.code == "kafka_rights"
    assert str(error.value).startswith(f"Kafka refuses user {NOBODY} what `callweave {part}` needs: ")
    assert f"{ROLE[part].rights[0].operation} on topic {ROLE[part].rights[0].name}" in str(error.value)
    assert "\n" not in str(error.value)


async def test_the_ingress_says_which_right_it_lost_and_goes_on_when_it_is_back(secured: SecuredKafka) -> None:
    role = ROLE["ingress"]
    async with playing(secured, role) as kafka, publisher(kafka, "ingress", RAW.name) as out:
        await until(lambda: not out.why_not())
        await secured.take(NOBODY, "Write", "topic", RAW.name)
        with pytest.raises(Unavailable):
            await out.publish(RAW.name, b"key", b"{}", [])
        await until(lambda: "Write on topic calls.raw" in out.why_not())
        await secured.allow(acl_commands([role], {"ingress": NOBODY}, bootstrap="k:1", command_config="a"))
        await until(lambda: not out.why_not())
        await out.publish(RAW.name, b"key", b"{}", [])


async def test_where_we_may_not_create_topics_one_sentence_says_so(secured: SecuredKafka) -> None:
    async with playing(secured, ROLE["topics"]) as kafka:
        assert await create_topics(kafka) == ()  # they are there: nothing to create, no right needed
        await secured.delete_topic(POLLS.name)
        with pytest.raises(SetupError) as error:
            await create_topics(kafka)
        assert await create_topics(secured.settings("callweave-admin")) == (POLLS.name,)

    assert error.value.code == "kafka_rights"
    assert str(error.value).splitlines()[0] == f"Kafka does not let user {NOBODY} create topics: {POLLS.name}"
    assert "`callweave topics acls`" in str(error.value)


async def test_a_right_on_topics_that_nobody_may_see_is_not_taken_for_a_missing_topic(secured: SecuredKafka) -> None:
    with pytest.raises(CallweaveError, match=r"Describe on topic calls\.raw, calls\.facts"):
        await differences(secured.settings(NOBODY))


async def test_a_running_part_says_once_that_it_lost_a_right_and_once_that_it_has_it_again(
    secured: SecuredKafka, caplog: pytest.LogCaptureFixture
) -> None:
    role, lost = ROLE["sink"], ROLE["sink"].rights[-1]
    caplog.set_level("INFO", "callweave.kafka")

    def said(text: str) -> bool:
        return any(text in record.message for record in caplog.records if record.name == "callweave.kafka")

    async with playing(secured, role) as kafka:
        looking = asyncio.create_task(watch(kafka, "sink", 0.05))
        await secured.take(NOBODY, lost.operation, lost.resource, lost.name)
        await until(lambda: said(f"kafka_rights: Kafka refuses user {NOBODY} what `callweave sink` needs: {lost} ("))
        await secured.allow(acl_commands([role], {"sink": NOBODY}, bootstrap="k:1", command_config="a"))
        await until(lambda: said("Kafka lets us in, with all rights"))
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

    assert len([record for record in caplog.records if record.name == "callweave.kafka"]) == 2


async def test_from_a_push_to_a_row_each_part_with_its_own_rights(
    secured: SecuredKafka, tables: ClickHouseSettings, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    own = {"CALLWEAVE_CLICKHOUSE__URL": tables.url, "CALLWEAVE_CLICKHOUSE__USER": tables.user}
    own["CALLWEAVE_CLICKHOUSE__PASSWORD"] = tables.password.value
    async with contextlib.AsyncExitStack() as running:
        parts = [
            await running.enter_async_context(
                part(tmp_path, name, {**environment(secured, tmp_path, f"callweave-{name}", port), **own})
            )
            for name in ("ingress", "process", "sink")
        ]
        await says(http, port, "'ready': True")
        assert await push(http, port, "by-scram-and-tls") == 200
        sql = "SELECT count() AS n FROM v_timelines WHERE vendor_call_id = 'by-scram-and-tls'"
        async with asyncio.timeout(LIMIT_S):
            while (await query(tables, sql))[0]["n"] != 1:
                assert [one.text for one in parts if one.process.returncode is not None] == []
                await asyncio.sleep(0.2)
    written = "\n".join(one.text for one in parts)
    assert "Traceback" not in written
    assert [password for password in PASSWORDS.values() if password in written] == []


async def test_the_ingress_spools_behind_a_closed_door_and_needs_no_restart(
    secured: SecuredKafka, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """The authority is wrong at first; when it is right, the password is wrong; when that is right, all is well."""
    port, ca_file = free_port(), tmp_path / "ca.pem"
    shutil.copy(secured.papers.file("other-ca.pem"), ca_file)
    user = "callweave-ingress"
    own = {"CALLWEAVE_KAFKA__TLS__CA_FILE": str(ca_file), "CALLWEAVE_KAFKA__SASL__PASSWORD": "of-tomorrow"}
    async with part(tmp_path, "ingress", {**environment(secured, tmp_path, user, port), **own}) as ingress:
        first = await says(http, port, "an authority that is not trusted: set kafka.tls.ca_file")
        assert await push(http, port, "while-the-authority-is-unknown") == 200
        renewed = tmp_path / "ca.new"
        shutil.copy(secured.papers.file("ca.pem"), renewed)
        renewed.replace(ca_file)
        await says(http, port, f"does not let user {user} in")
        assert await push(http, port, "while-the-password-is-wrong") == 200
        try:
            await secured.set_password(user, "of-tomorrow")
            async with asyncio.timeout(LIMIT_S):
                while not (await readyz(http, port)).get("ready") or await spooled(http, port):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.1)
        finally:
            await secured.set_password(user, PASSWORDS[user])
    assert first["ready"] in (True, False)
    assert ingress.process.returncode == 0
    assert "Traceback" not in ingress.text
    assert "of-tomorrow" not in ingress.text


async def spooled(http: aiohttp.ClientSession, port: int) -> bool:
    async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return any(line.startswith("callweave_spool_bodies") and not line.endswith((" 0", " 0.0")) for line in lines)


async def test_a_part_that_may_not_enter_ends_with_one_sentence(secured: SecuredKafka, tmp_path: Path) -> None:
    """Its supervisor starts it again, as after any outage."""
    own = {"CALLWEAVE_KAFKA__SASL__PASSWORD": "sesame"}
    async with part(tmp_path, "sink", {**environment(secured, tmp_path, "callweave-sink"), **own}) as sink:
        async with asyncio.timeout(LIMIT_S):
            code = await sink.process.wait()
    errors = [line for line in sink.text.splitlines() if " ERROR callweave" in line]
    assert code == 1
    assert len(errors) == 1
    assert "kafka_login: Kafka at 127.0.0.1:" in errors[0]
    assert "does not let user callweave-sink in: the user or the password is wrong" in errors[0]
    assert "Traceback" not in sink.text
    assert "sesame" not in sink.text
