"""Identity of items and contents: every field is either part of the content or of the way that it came."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from schemas.facts import (
    Direction,
    Disposition,
    Fact,
    FactType,
    Flag,
    Kind,
    Leg,
    NumberKind,
    RecordingState,
    Role,
    State,
)
from schemas.identity import call_key, digest, fact_id

AT = datetime(2026, 1, 1, tzinfo=UTC)
FACT = Fact(fact_type=FactType.RECORD, vendor="acme", kind=Kind.SOFTPHONE_CDR, legs=(Leg(role=Role.A),))

# How an item came, by what code it was read, and how its numbers were spelt.
CARRIED: Final = {
    "fact_id", "content_digest", "call_key", "adapter_version", "schema_version", "version", "from_raw", "to_raw",
    "display_raw", "privacy_raw", "leg", "time_precision", "quality_flags", "received_at", "source", "request_id",
    "raw_topic", "raw_partition", "raw_offset", "raw_element", "raw_sha256", "account", "contents",
    "slot_at", "slot_certain",
}  # fmt: skip
CARRIED_OF_A_LEG: Final = {"number_raw", "number_kind"}

OTHER: Final[dict[str, Any]] = {
    "fact_type": FactType.BINDING,
    "kind": Kind.BINDING,
    "direction": Direction.INBOUND,
    "disposition": Disposition.BUSY,
    "state": State.ANSWER,
    "recording_state": RecordingState.PENDING,
    "role": Role.B,
    "cost": Decimal(1),
    "legs": (Leg(role=Role.X),),
    "extras": {"a": "b"},
    "quality_flags": (Flag.LATE,),
    "is_final": True,
    **dict.fromkeys(("from_kind", "to_kind", "display_kind", "privacy_kind", "number_kind"), NumberKind.SHORT),
}
NUMBERS: Final = {
    "pdd_ms", "ring_ms", "talk_ms", "vendor_duration_s", "billable_s", "q850", "sip_code", "raw_partition", "raw_offset",
    "raw_element", "version", "adapter_version", "schema_version",
}  # fmt: skip


def other(name: str) -> Any:
    """Returns a value that differs from the field's."""
    if name in OTHER:
        return OTHER[name]
    return 7 if name in NUMBERS else AT if name.endswith("_at") else "other"


def names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(struct)]


@pytest.mark.parametrize("name", names(Fact))
def test_a_field_of_a_fact_is_content_or_carrier(name: str) -> None:
    changed = msgspec.structs.replace(FACT, **{name: other(name)})

    assert changed != FACT
    assert (digest(changed) == digest(FACT)) is (name in CARRIED)


@pytest.mark.parametrize("name", names(Leg))
def test_a_field_of_a_leg_is_content_or_carrier(name: str) -> None:
    """The reason of the end is part of the content: a corrected mapping may change nothing else."""
    changed = msgspec.structs.replace(FACT, legs=(msgspec.structs.replace(FACT.legs[0], **{name: other(name)}),))

    assert changed != FACT
    assert (digest(changed) == digest(FACT)) is (name in CARRIED_OF_A_LEG)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("a|b", "c", "d"), ("a", "b|c", "d"), id="a bar in another part"),
        pytest.param(("a%7Cb", "c", "d"), ("a|b", "c", "d"), id="a bar and its escape"),
        pytest.param(("a", "", "b"), ("a", "b", ""), id="an empty part"),
    ],
)
def test_no_two_calls_share_a_key(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert call_key(*one) != call_key(*other)


def test_an_id_is_the_same_in_every_process() -> None:
    """The ids in the tables are found again by the next release."""
    assert fact_id("acme", "main", "softphone_cdr", ("call-1",)) == "651a3385-734c-51a2-a35d-d033d19fdb5c"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((("s",), "main"), (("s",), ""), id="an account and none"),
        pytest.param((("s",), "acc"), (("s",), ""), id="an account of the vendor's own name for it, and none"),
        pytest.param((("s",), "main"), (("s\x1faccount\x1fmain",), ""), id="an id that spells an account"),
        pytest.param((("a\x1fb",), ""), (("a", "b"), ""), id="an id that spells two parts"),
        pytest.param((("a\x1e1b",), ""), (("a\x1fb",), ""), id="an id that spells the escape"),
        pytest.param((("a\x1e0",), ""), (("a\x1e",), ""), id="an id that spells the escape's escape"),
    ],
)
def test_no_id_equals_one_that_came_by_another_account(
    one: tuple[tuple[str, ...], str], other: tuple[tuple[str, ...], str]
) -> None:
    ids = [fact_id("acme", "acc", "softphone_cdr", dedupe, account) for dedupe, account in (one, other)]
    assert ids[0] != ids[1]
