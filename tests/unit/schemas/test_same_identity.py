"""Ids, digests and slots are those that earlier releases computed, in a plainer and slower way: they are stored."""

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.call_fields import CARRIERS, IN_DIGEST_WHEN_SET
from schemas.codec import PUBLISHED, schema_text
from schemas.facts import Fact, FactType, Leg, Role
from schemas.identity import call_key, digest, fact_id
from schemas.slot_hours import hour_at, slot_of
from tests.support.payloads.avro_values import values

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEWEST: Final = max((each for each in PUBLISHED if each.name == "fact"), key=lambda each: each.version)
FACTS: Final = values(json.loads(schema_text(NEWEST)), Fact).map(lambda plain: msgspec.convert(plain, Fact))
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x1e\x1f|%01"), max_size=12)
LEG_CONTENT: Final = (
    *("role", "number", "setup_at", "alerting_at", "answer_at", "end_at", "disposition", "hangup_reason", "q850"),
    "sip_code",
)


def escaped(part: str) -> str:
    return part.replace("\x1e", "\x1e0").replace("\x1f", "\x1e1")


@given(TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS)
def test_an_id_is_the_uuid_of_its_escaped_parts(
    vendor: str, external: str, kind: str, dedupe: tuple[str, ...], account: str
) -> None:
    parts = (vendor, external, kind, *dedupe, *(("account", account) if account else ()))
    namespace = uuid.UUID("6f1d7a52-6f0b-5c1e-9f43-0c5d7f1f9a11")
    assert fact_id(vendor, external, kind, dedupe, account) == str(
        uuid.uuid5(namespace, "\x1f".join(map(escaped, parts)))
    )


@given(TEXTS, TEXTS, TEXTS)
def test_a_key_is_its_escaped_parts(vendor: str, account: str, call_id: str) -> None:
    parts = (part.replace("%", "%25").replace("|", "%7C") for part in (vendor, account, call_id))
    assert call_key(vendor, account, call_id) == "|".join(parts)


@given(FACTS, st.sampled_from(["", "ab"]))
def test_a_digest_is_the_hash_of_the_sorted_content(fact: Fact, keeps: str) -> None:
    fact = msgspec.structs.replace(fact, keeps=keeps)
    content = {name: value for name, value in msgspec.structs.asdict(fact).items() if name not in CARRIERS}
    for name in IN_DIGEST_WHEN_SET:
        if not content[name]:
            del content[name]
    content["legs"] = [[getattr(leg, name) for name in LEG_CONTENT] for leg in fact.legs]
    encoded = msgspec.json.Encoder(order="sorted", decimal_format="string").encode(content)
    assert digest(fact) == hashlib.blake2b(encoded, digest_size=16).hexdigest()


def earlier_slot(known: list[datetime | None], received_at: datetime) -> datetime:
    """Returns the hour of the earliest instant within 400 days before and a day after the receipt."""
    came_s = (received_at - EPOCH).total_seconds()
    seconds = [(at - EPOCH).total_seconds() for at in known if at is not None]
    first_s = min((at_s for at_s in seconds if -400 * 86_400 <= at_s - came_s <= 86_400), default=came_s)
    return EPOCH + timedelta(hours=min(max(int(first_s // 3600), 0), (2**32 - 1) // 3600))


RECEIVED: Final = st.datetimes(timezones=st.just(UTC)) | st.just(datetime(2026, 3, 1, 8, tzinfo=UTC))
BESIDE: Final = st.sampled_from([-400 * 86_400, 0, 86_400, -3600]) | st.integers(-450 * 86_400, 90_000)
MICROS: Final = st.sampled_from([-1, 0, 1]) | st.integers(-999_999, 999_999)


@given(RECEIVED, st.lists(st.none() | st.tuples(BESIDE, MICROS), min_size=5, max_size=5))
def test_a_slot_is_the_hour_of_the_earliest_instant(
    received_at: datetime, offsets: list[tuple[int, int] | None]
) -> None:
    known: list[datetime | None] = []
    for offset in offsets:
        try:
            known.append(None if offset is None else received_at + timedelta(0, *offset))
        except OverflowError:
            known.append(None)
    setup, answer, event, of_leg, end = known
    fact = Fact(
        fact_type=FactType.RECORD, vendor="a", kind="b", setup_at=setup, answer_at=answer, event_at=event,
        legs=(Leg(role=Role.A), Leg(role=Role.B, answer_at=of_leg, end_at=end)), received_at=received_at,
    )  # fmt: skip
    assert slot_of(fact) == earlier_slot(known, received_at)
    assert hour_at(setup, received_at) == earlier_slot([setup], received_at)
