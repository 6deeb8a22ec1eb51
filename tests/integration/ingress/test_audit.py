"""The audit trail on a real broker: what the ingress refused, and what commands did, by `callweave audit list`."""

import signal
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.admin.audit import entries, note
from deploy.admin.topic_setup import create_topics, differences
from deploy.kafka.broker import KafkaServer
from schemas.config.settings import KafkaSettings
from schemas.enums import AuditEvent
from schemas.errors import SetupError
from schemas.topics import AUDIT
from tests.support.command import callweave
from tests.support.ingress_process import PARTITIONS, ingress
from tests.support.whole_stack import until

ACCOUNT = '[{"vendor": "ytx", "name": "main", "secret": "k3vq9xw2mz7rt5hb"}]'
WRONG = "z9xq3vw2mz7rt5hc"
DAY_MS = 86_400_000


def settings_of(broker: KafkaServer) -> KafkaSettings:
    return KafkaSettings(bootstrap=broker.bootstrap, partitions=PARTITIONS)


async def test_refused_pushes_are_in_the_trail_when_the_ingress_has_stopped(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLWEAVE_ACCOUNTS", ACCOUNT)
    async with ingress(place, broker.bootstrap, http) as running:
        for _ in range(3):
            async with http.post(f"{running.url}/v1/a/{WRONG}/ytx", data=b"the body") as answer:
                assert answer.status == 403
        async with http.post(f"{running.url}/v1/a/k3vq9xw2mz7rt5hb/ytx", data=b"{}") as answer:
            assert answer.status == 200
        await running.ends(signal.SIGTERM)

    (entry,) = await entries(settings_of(broker), event=AuditEvent.REFUSED)
    assert (entry.code, entry.count, entry.address, entry.part) == ("forbidden", 3, "127.0.0.1", "ingress")
    listed = await callweave("audit", "list", cwd=place, settings={"kafka__bootstrap": broker.bootstrap})
    (line,) = listed.lines
    assert "refused" in line
    assert "3x" in line
    assert "code=forbidden" in line
    assert WRONG not in line


async def test_settings_that_were_read_again_are_in_the_trail(
    place: Path, broker: KafkaServer, http: aiohttp.ClientSession
) -> None:
    async with ingress(place, broker.bootstrap, http) as running:
        running.process.send_signal(signal.SIGHUP)

        async def none_yet() -> bool:
            return not await entries(settings_of(broker), event=AuditEvent.SETTINGS_RELOADED)

        assert not await until(none_yet, 30)
    found = await entries(settings_of(broker), event=AuditEvent.SETTINGS_RELOADED)
    assert [(one.part, one.details) for one in found] == [("ingress", {})]
    assert "@" in found[0].actor


async def test_a_command_is_in_the_trail_with_who_did_it_and_why(place: Path, broker: KafkaServer) -> None:
    done = await callweave(
        "replay", "--since", "2026-03-01", "--until", "2026-03-02", "--reason", "a vendor file was wrong\x1b[2J",
        cwd=place, settings={"kafka__bootstrap": broker.bootstrap, "kafka__partitions": PARTITIONS},
    )  # fmt: skip
    assert done.code == 0, done.err

    (entry,) = await entries(settings_of(broker), event=AuditEvent.REPLAYED)
    assert "@" in entry.actor
    assert entry.reason.startswith("a vendor file was wrong")
    assert entry.details["since"].startswith("2026-03-01")
    listed = await callweave(
        "audit", "list", "--event", "replayed", cwd=place, settings={"kafka__bootstrap": broker.bootstrap}
    )
    assert listed.code == 0, listed.err
    assert "a vendor file was wrong" in listed.text
    assert "\x1b" not in listed.text


async def without_trail(kafka: KafkaSettings) -> None:
    """Deletes the topic and waits until the broker, which answers before, lists it no more."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([AUDIT.name])
        assert not await until(lambda: listed(admin), 30)
    finally:
        await admin.close()


async def listed(admin: AIOKafkaAdminClient) -> bool:
    return AUDIT.name in await admin.list_topics()


async def test_nothing_is_done_without_its_entry(broker: KafkaServer) -> None:
    """A cluster of an earlier release has no such topic."""
    kafka = settings_of(broker)
    await without_trail(kafka)
    with pytest.raises(SetupError, match="nothing is changed without an entry") as caught:
        await note(kafka, AuditEvent.REPLAYED, part="replay")
    assert "callweave topics --create" in str(caught.value)
    await create_topics(kafka)
    await note(kafka, AuditEvent.REPLAYED, part="replay")


async def test_the_trail_is_kept_as_long_as_the_setting_says(broker: KafkaServer) -> None:
    """A topic of another age is listed as a difference, and stays as it is: nothing is removed by a start."""
    half_a_year = msgspec.structs.replace(settings_of(broker), audit_retention_days=180)
    await without_trail(half_a_year)
    assert await create_topics(half_a_year) == (AUDIT.name,)
    assert await differences(half_a_year) == ()
    assert await create_topics(settings_of(broker)) == ()
    assert await differences(settings_of(broker)) == (
        f"{AUDIT.name}: retention.ms is {180 * DAY_MS}, the contract says {365 * DAY_MS}",
    )
