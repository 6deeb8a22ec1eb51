"""The list of erasures: what it covers, until when, under which key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codec import ERASURE
from schemas.enums import Disposition
from schemas.errors import SetupError
from schemas.facts import Fact, FactType, Kind, RecordContent
from schemas.privacy.erasures import NO_ERASURES, Erasure, Erasures, erasure_of_number, key_check
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline

TOKENS = NumberTokens("k" * 32)
NUMBER = "+8613000001234"
AT = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE, AFTER = AT - timedelta(seconds=1), AT + timedelta(seconds=1)


def fact(received_at: datetime = BEFORE, **fields: Any) -> Fact:
    return Fact(
        **{
            "fact_type": FactType.RECORD,
            "vendor": "ytx",
            "kind": Kind.CALLBACK_CDR,
            "received_at": received_at,
            **fields,
        }
    )


def listed(*entries: Erasure) -> Erasures:
    return Erasures(TOKENS, entries)


COVERED = {
    "received before": (fact(from_number=NUMBER), True),
    "received at the very instant": (fact(AT, from_number=NUMBER), True),
    "received later": (fact(AFTER, from_number=NUMBER), False),
    "as another vendor sends it": (fact(from_number="13000001234", from_raw="13000001234"), True),
    "another number": (fact(from_number="+8613900005678"), False),
    "in a content that was received before": (
        fact(
            AFTER,
            contents=(
                RecordContent(
                    digest="d", is_shown=True, is_final=True, received_at=BEFORE, source="push", raw_topic="", raw_partition=0,
                    raw_offset=0, raw_element=0, disposition=Disposition.ANSWERED, from_number=NUMBER,
                ),
            ),
        ),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("one", "covered"), COVERED.values(), ids=COVERED)
def test_what_was_received_until_the_instant_is_covered(one: Fact, covered: bool) -> None:  # noqa: FBT001 - a column
    kept = listed(erasure_of_number(NUMBER, TOKENS, AT)).fact(one)

    assert kept is not None
    assert (kept is not one) is covered


def test_a_call_is_covered_by_its_first_receipt() -> None:
    erasures = listed(erasure_of_number(NUMBER, TOKENS, AT))

    def call(first: datetime, last: datetime) -> Timeline:
        return Timeline(
            timeline_id="t",
            call_key="t",
            vendor="ytx",
            from_number=NUMBER,
            first_received_at=first,
            last_received_at=last,
        )

    begun, later = erasures.timeline(call(BEFORE, AFTER)), erasures.timeline(call(AFTER, AFTER))
    assert begun is not None
    assert later is not None
    assert (begun.from_number, later.from_number) == (None, NUMBER)


def test_an_erasure_within_one_account_leaves_the_number_in_others() -> None:
    erasures = listed(erasure_of_number(NUMBER, TOKENS, AT, account="red"))

    kept = [erasures.fact(fact(from_number=NUMBER, account=account)) for account in ("red", "blue", "")]

    assert [one.from_number if one else "gone" for one in kept] == [None, NUMBER, NUMBER]


def test_of_an_erased_account_nothing_is_kept() -> None:
    erasures = Erasures(NumberTokens(""), [Erasure(subject="account", account="red", at=AT)])

    assert erasures.fact(fact(account="red")) is None
    assert erasures.fact(fact(AFTER, account="red")) is not None
    for one in (fact(account="blue"), fact()):
        assert erasures.fact(one) is one


def test_the_later_of_two_erasures_counts_in_either_order() -> None:
    first, second = (erasure_of_number(NUMBER, TOKENS, at) for at in (AT, AFTER))
    for order in ((first, second), (second, first)):
        kept = listed(*order).fact(fact(AFTER, from_number=NUMBER))
        assert kept is not None
        assert kept.from_number is None
    assert first.topic_key == second.topic_key


def test_no_entry_tells_the_number() -> None:
    entry = erasure_of_number(NUMBER, TOKENS, AT, reason="asked")
    assert b"3000001234" not in ERASURE.encode(entry)
    assert b"3000001234" not in entry.topic_key
    assert "3000001234" not in entry.name


KEYS = {
    "no key": (NumberTokens(""), "cannot be carried out without the key"),
    "another key": (NumberTokens("l" * 32), "was made under another key"),
}


@pytest.mark.parametrize(("tokens", "why"), KEYS.values(), ids=KEYS)
def test_a_number_is_refused_where_its_key_is_not(tokens: NumberTokens, why: str) -> None:
    with pytest.raises(SetupError, match=why) as refused:
        Erasures(tokens, [erasure_of_number(NUMBER, TOKENS, AT)])

    assert refused.value.code == "erasure_key"
    assert "privacy.key" in str(refused.value)


def test_an_account_needs_no_key() -> None:
    assert Erasures(NumberTokens(""), [Erasure(subject="account", account="red", at=AT)])


def test_an_empty_list_is_false_and_touches_nothing() -> None:
    one = fact(from_number=NUMBER)
    assert not NO_ERASURES
    assert NO_ERASURES.fact(one) is one
    assert not NO_ERASURES.concern(BEFORE)


def test_the_check_of_a_key_is_not_the_key() -> None:
    assert key_check(TOKENS) not in ("", "k" * 16)
    assert key_check(TOKENS) != key_check(NumberTokens("l" * 32))
