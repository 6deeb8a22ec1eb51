"""The statements of an erasure: which columns they set, how many rows one names, and never the number."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from deploy.admin.erasing.erase import EraseRequest, sought_for
from deploy.admin.erasing.erasure_proof import ErasedPlace, ErasureProof
from deploy.admin.erasing.row_changes import (
    KINDS,
    STATEMENT_BYTES,
    FoundRow,
    changes,
    chunks,
    places_of_tokens,
    updates,
)
from deploy.admin.erasing.tables import target
from deploy.admin.erasing.topic_search import removed_by
from schemas.config.privacy import PrivacySettings
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, KafkaSettings, Settings
from schemas.errors import CallweaveError, SettingsError
from schemas.privacy.blanking import Place

CDR = KINDS[0]
SLOT = datetime(2026, 3, 1, 7, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
FLAGGED = ("quality_flags", "arraySort(arrayDistinct(arrayPushBack(quality_flags, 'erased')))")
KEYED = Settings(privacy=PrivacySettings(key=Secret("0123456789abcdef" * 2)))


def test_a_column_a_member_of_a_list_and_a_key_of_a_map_are_set_each_in_its_way() -> None:
    found: list[Place] = [
        ("from_number", None),
        ("from_raw", None),
        ("legs.number", 1),
        ("legs.number_raw", 1),
        ("extras", "it's"),
    ]
    made = dict(changes(CDR, found))

    assert made["from_number"] == "NULL"
    assert made["from_raw"] == "''"
    assert made["legs.own_number"] == (
        "arrayMap((value, at) -> if(at IN (2), NULL, value), `legs.own_number`, arrayEnumerate(`legs.own_number`))"
    )
    assert made["legs.party"] == (
        "arrayMap((value, at) -> if(at IN (2), '', value), `legs.party`, arrayEnumerate(`legs.party`))"
    )
    assert made["extras"] == "mapApply((name, value) -> (name, if(name IN ('it\\'s'), '', value)), `extras`)"
    assert made[FLAGGED[0]] == FLAGGED[1]


def test_rows_that_change_alike_share_a_statement_that_names_versions() -> None:
    places: list[Place] = [("to_number", None)]
    rows = [FoundRow(identity=(SLOT, UUID(int=number), 7), changes=changes(CDR, places)) for number in (1, 2)]
    (statement,) = updates("calls.cdr_by_slot", CDR, rows)
    assert statement.startswith("ALTER TABLE calls.cdr_by_slot UPDATE `quality_flags` = ")
    assert statement.endswith(
        f"WHERE (slot_at, record_id, version) IN (('2026-03-01 07:00:00', '{UUID(int=1)}', 7), "
        f"('2026-03-01 07:00:00', '{UUID(int=2)}', 7)) SETTINGS mutations_sync = 2"
    )


def test_a_statement_is_never_too_long_for_a_server() -> None:
    listed = list(chunks((UUID(int=number), number) for number in range(5_000)))
    assert len(listed) > 1
    assert all(len(text) <= 2 * STATEMENT_BYTES for text in listed)
    assert sum(text.count("(") for text in listed) == 5_000


def test_an_identity_is_quoted() -> None:
    (text,) = chunks([("a'b\\c", 1)])
    assert text == "('a\\'b\\\\c', 1)"


TARGETS = {
    "one server": (ClickHouseSettings(), "calls.cdr_by_slot"),
    "replicas": (ClickHouseSettings(cluster="c"), "calls.cdr_by_slot"),
    "shards": (ClickHouseSettings(cluster="c", sharded=True), "calls.cdr_by_slot_local ON CLUSTER c"),
}


@pytest.mark.parametrize(("settings", "wanted"), TARGETS.values(), ids=TARGETS)
def test_on_shards_every_shard_is_told(settings: ClickHouseSettings, wanted: str) -> None:
    assert target(settings, "cdr_by_slot") == wanted


RETENTIONS: dict[str, tuple[dict[str, str], timedelta | None]] = {
    "by age, and the time in which a segment grows": (
        {"cleanup.policy": "delete", "retention.ms": "1209600000", "segment.ms": "604800000"},
        timedelta(days=21, minutes=15),
    ),
    "never": ({"cleanup.policy": "delete", "retention.ms": "-1"}, None),
    "by compaction": (
        {"cleanup.policy": "compact", "max.compaction.lag.ms": "21600000"},
        timedelta(hours=6, minutes=15),
    ),
    "by compaction without a bound": (
        {"cleanup.policy": "compact", "max.compaction.lag.ms": "9223372036854775807"},
        None,
    ),
}


@pytest.mark.parametrize(("config", "after"), RETENTIONS.values(), ids=RETENTIONS)
def test_a_topic_says_until_when_it_keeps_a_record(config: dict[str, str], after: timedelta | None) -> None:
    assert removed_by(config, NOW) == (NOW + after if after else None)


REFUSED = {
    "no key for the list": (Settings(), EraseRequest(number="+8613000001234"), "privacy.key"),
    "in the middle of an upgrade": (
        msgspec.structs.replace(KEYED, kafka=KafkaSettings(avro_release="previous")),
        EraseRequest(number="+8613000001234"),
        "kafka.avro_release",
    ),
    "no number at all": (KEYED, EraseRequest(number="alice"), "wants a phone number"),
    "a reason with the number in it": (
        KEYED,
        EraseRequest(number="+8613000001234", reason="mail of 130-0000-1234"),
        "names the number itself",
    ),
}


@pytest.mark.parametrize(("settings", "request_", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_erased_is_refused_in_a_sentence(settings: Settings, request_: EraseRequest, said: str) -> None:
    with pytest.raises((CallweaveError, SettingsError), match=said) as refused:
        sought_for(settings, request_, NOW, listed=True)
    assert "1234" not in str(refused.value)


def test_counting_needs_no_key() -> None:
    sought = sought_for(Settings(), EraseRequest(number="008613000001234"), NOW, listed=False)
    assert (sought.number, sought.core) == ("+8613000001234", "13000001234")


def test_a_proof_in_words_says_what_is_left_until_when() -> None:
    place = ErasedPlace(place="calls.raw", kind="topic", found=3, done=0, left=3, until=NOW)
    proof = ErasureProof(
        subject="number ab", account="", received_until=NOW, finished_at=NOW, actor="ann@host", reason="asked", dry_run=False,
        complete=True, places=(place,),
    )  # fmt: skip
    assert proof.lines() == [
        "number ab: erased, as far as received by 2026-03-01 08:00:00 UTC",
        "  topic calls.raw                found 3, done 0, left 3, gone by 2026-03-01 08:00 UTC",
    ]


def test_a_token_whose_number_is_gone_is_a_place_of_that_number() -> None:
    row = {"from_token": "ab", "to_token": "cd", "legs.number_token": ["", "ab"]}
    found = places_of_tokens(row, frozenset({"ab"}))
    assert found == {("from_number", None), ("legs.number", 1)}
    made = dict(changes(CDR, found))
    assert made["from_token"] == made["from_masked"] == "''"
    assert "if(at IN (2), '', value)" in made["legs.own_token"]


def test_rows_that_change_in_several_ways_share_a_mutation() -> None:
    rows = [
        FoundRow(identity=(SLOT, UUID(int=number), 7), changes=changes(CDR, [(name, None)]))
        for number, name in enumerate(("to_number", "from_number"))
    ]
    (statement,) = updates("calls.cdr_by_slot", CDR, rows)
    assert statement.count("UPDATE ") == 2
    assert "`to_number` = NULL" in statement
    assert f"IN (('2026-03-01 07:00:00', '{UUID(int=0)}', 7)), UPDATE " in statement
