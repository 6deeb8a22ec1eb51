"""Both stages go by the list of erasures: replays and states of before bring nothing back, others lose nothing."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import assume, given

from processors.normalise import Directory
from processors.outbox import Message, Outbox
from processors.records import Record, RecordBatch
from processors.stages.join_stage import JoinStage
from processors.stages.normalise_stage import NormaliseStage
from schemas.codec import DEAD_LETTER, FACT, STAGE_FACT, TIMELINE, Codecs
from schemas.config.limits import Limits
from schemas.config.settings import JoinSettings
from schemas.enums import Flag
from schemas.facts import Fact, FactType
from schemas.ledger.entries import ERASED
from schemas.metrics import Registry
from schemas.privacy.erasures import NO_ERASURES, Erasure, Erasures, erasure_of_number
from schemas.privacy.tokens import NumberTokens
from schemas.topics import DEAD, FACTS, LEDGER, NORMALIZED, RAW, STATE, TIMELINES
from tests.golden.cases import HERE, load
from tests.support.kafka.join_log import at_zero, nothing
from tests.support.kafka.ledger_rows import books, ledger_of
from tests.support.strategies import BOTH_LEGS, CALLED, CALLER, T0, callback, fact_logs, in_a_row
from tests.unit.processors.joining import SETTINGS, after

TOKENS = NumberTokens("k" * 32)
LATER = T0 + timedelta(days=1)
CASE = load(HERE / "nxcloud" / "cdr-N01-document-example.json").raw
RECEIVED = datetime.fromtimestamp(1_555_484_100, UTC)


class Out:
    """An outbox that keeps what is published."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        self.messages += messages

    def of(self, topic: str) -> list[bytes | None]:
        return [message.value for message in self.messages if message.topic == topic]


def erased(number: str, at: datetime = LATER, account: str = "") -> Erasures:
    return Erasures(TOKENS, [erasure_of_number(number, TOKENS, at, account=account)])


def without_account(name: str, at: datetime) -> Erasures:
    return Erasures(TOKENS, [Erasure(subject="account", account=name, at=at)])


async def normalised(body: bytes, erasures: Erasures, account: str = "") -> tuple[Out, Registry]:
    out, metrics = Out(), Registry()
    stage = NormaliseStage(cast("Outbox", out), Codecs(), Directory(), Limits(), metrics, erasures=erasures)
    headers = {"vendor": "nxcloud", "callback": "cdr", "received_at": "1555484100000", "account": account}
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    record = Record(offset=0, timestamp_ms=0, key=b"", value=body, headers=pairs)
    await stage.step(RecordBatch(topic=RAW.name, partition=0, records=(record,), first_offset=0, next_offset=1))
    return out, metrics


async def number_in(body: bytes) -> str:
    (value,) = (await normalised(body, NO_ERASURES))[0].of(FACTS.name)
    number = STAGE_FACT.decode(value).to_number
    assert number is not None
    return number


async def test_a_replay_normalises_a_body_without_the_number_and_with_its_identity() -> None:
    number = await number_in(CASE.body)
    (clear,) = (await normalised(CASE.body, NO_ERASURES))[0].of(FACTS.name)
    (kept,) = (await normalised(CASE.body, erased(number, RECEIVED)))[0].of(FACTS.name)

    before, now = STAGE_FACT.decode(clear), STAGE_FACT.decode(kept)
    assert (now.to_number, now.to_raw) == (None, "")
    assert (now.fact_id, now.content_digest, now.version) == (before.fact_id, before.content_digest, before.version)


async def test_a_body_that_was_received_later_is_as_it_was_sent() -> None:
    number = await number_in(CASE.body)
    earlier = erased(number, RECEIVED - timedelta(milliseconds=1))
    assert (await normalised(CASE.body, earlier))[0].messages == (await normalised(CASE.body, NO_ERASURES))[0].messages


async def test_the_elements_of_an_erased_account_are_filtered_and_counted() -> None:
    out, metrics = await normalised(CASE.body, without_account("red", RECEIVED), account="red")

    assert {message.topic for message in out.messages} == {LEDGER.name}
    assert books(ledger_of(out.messages)) == {"filtered": 1}
    found = {name: metrics.get("callweave_normalise_elements_total", "nxcloud", name) for name in ("fact", "filtered")}
    assert found == {"fact": 0, "filtered": 1}


async def test_a_dead_letter_of_a_replay_has_no_bytes_with_the_number() -> None:
    body = b'{"phone": "13810603954'
    (clear,) = (await normalised(body, NO_ERASURES))[0].of(DEAD.name)
    (kept,) = (await normalised(body, erased(CALLER, RECEIVED)))[0].of(DEAD.name)

    assert DEAD_LETTER.decode(clear).original == body
    letter = DEAD_LETTER.decode(kept)
    assert letter.original == b""
    assert letter.origin_hash == DEAD_LETTER.decode(clear).origin_hash


async def joined(facts: Sequence[Fact], erasures: Erasures) -> Out:
    out = Out()
    stage = JoinStage(
        cast("Outbox", out), Codecs(), JoinSettings(), nothing, Registry(), end=at_zero, erasures=erasures
    )
    records = tuple(
        Record(offset=n, timestamp_ms=0, key=b"", value=STAGE_FACT.encode(fact)) for n, fact in enumerate(facts)
    )
    await stage.step(
        RecordBatch(topic=FACTS.name, partition=0, records=records, first_offset=0, next_offset=len(records))
    )
    return out


CALL = in_a_row([callback(), *BOTH_LEGS])


async def test_a_call_that_was_begun_before_is_published_without_the_number() -> None:
    clear, kept = await joined(CALL, NO_ERASURES), await joined(CALL, erased(CALLER))

    assert CALLER.encode() in b"".join(filter(None, clear.of(TIMELINES.name)))
    for topic in (TIMELINES.name, NORMALIZED.name):
        assert CALLER.removeprefix("+86").encode() not in b"".join(filter(None, kept.of(topic)))
        assert len(kept.of(topic)) == len(clear.of(topic))
    before, now = (TIMELINE.decode(out.of(TIMELINES.name)[-1]) for out in (clear, kept))
    assert (now.from_number, now.to_number) == (None, CALLED)
    assert [leg.answer_at for leg in now.legs] == [leg.answer_at for leg in before.legs]
    assert (now.version, now.talk_ms, now.disposition) == (before.version, before.talk_ms, before.disposition)
    assert Flag.ERASED in now.quality_flags


async def test_the_state_keeps_what_the_legs_of_a_call_are_found_by() -> None:
    clear, kept = await joined(CALL, NO_ERASURES), await joined(CALL, erased(CALLER))
    assert kept.of(STATE.name) == clear.of(STATE.name)


async def test_a_fact_of_an_erased_account_is_not_joined() -> None:
    out = Out()
    stage = JoinStage(
        cast("Outbox", out), Codecs(), JoinSettings(), nothing, registry := Registry(), end=at_zero,
        erasures=without_account("red", LATER),
    )  # fmt: skip
    facts = in_a_row([callback(account="red")])
    records = tuple(
        Record(offset=n, timestamp_ms=0, key=b"", value=STAGE_FACT.encode(fact)) for n, fact in enumerate(facts)
    )
    await stage.step(RecordBatch(topic=FACTS.name, partition=0, records=records, first_offset=0, next_offset=1))

    assert {message.topic for message in out.messages} == {LEDGER.name}
    (entry,) = ledger_of(out.messages)
    assert (entry.version >> 30, entry.account) == (ERASED, "red")
    assert registry.get("callweave_join_outcomes_total", "ytx", "erased") == 1


async def test_a_call_of_an_erased_account_that_was_known_ends_in_a_tombstone() -> None:
    """The entry comes while the worker knows the call: what it publishes next is the call's end."""
    out, erasures = Out(), Erasures(TOKENS)
    stage = JoinStage(
        cast("Outbox", out), Codecs(), JoinSettings(), nothing, Registry(), end=at_zero, erasures=erasures
    )
    fact, state = in_a_row([callback(account="red"), BOTH_LEGS[0]])
    one = Record(offset=0, timestamp_ms=0, key=b"", value=STAGE_FACT.encode(fact))
    await stage.step(RecordBatch(topic=FACTS.name, partition=0, records=(one,), first_offset=0, next_offset=1))
    erasures.take(Erasure(subject="account", account="red", at=LATER))
    due = Record(offset=1, timestamp_ms=SETTINGS.close_after_s * 2000, key=b"", value=STAGE_FACT.encode(state))
    await stage.step(RecordBatch(topic=FACTS.name, partition=0, records=(due,), first_offset=1, next_offset=2))

    assert out.of(TIMELINES.name)[0] is not None
    assert None in out.of(TIMELINES.name)[1:]
    assert [FACT.decode(value).account for value in out.of(NORMALIZED.name)] == ["red", ""]


@pytest.mark.parametrize("number", [CALLER, CALLED])
@given(log=fact_logs())
def test_a_call_joined_of_blanked_facts_shows_no_number_and_the_same_amounts(number: str, log: list[Fact]) -> None:
    """A replay beyond the horizon joins such facts: the parts of a call are found without the number, too.

    Contents of a record that name different numbers contradict each other; without one of the numbers nobody can know
    that they did, so they are left out.
    """
    named: dict[str, set[tuple[str | None, ...]]] = defaultdict(set)
    for each in log:
        if each.fact_type is FactType.RECORD:
            named[each.fact_id].add((each.from_number, each.to_number, *(leg.number for leg in each.legs)))
    assume(all(len(numbers) == 1 for numbers in named.values()))
    erasures = erased(number, LATER + timedelta(days=9999))
    blanked = [fact for each in log if (fact := erasures.fact(each)) is not None]
    for before, now in zip(after(log).timelines, after(blanked).timelines, strict=True):
        kept = erasures.timeline(before)
        assert kept is not None
        assert number.removeprefix("+86").encode() not in TIMELINE.encode(now)
        assert (now.version, now.cost, now.billable_s, now.answer_at) == (
            kept.version, kept.cost, kept.billable_s, kept.answer_at,
        )  # fmt: skip


def test_the_party_whose_number_is_erased_keeps_its_leg_where_the_record_lists_none() -> None:
    facts = in_a_row([callback(legs=()), *BOTH_LEGS])
    erasures = erased(CALLER)
    blanked = [fact for each in facts if (fact := erasures.fact(each)) is not None]
    (before,), (now,) = after(facts).timelines, after(blanked).timelines

    assert [(leg.role, leg.setup_at, leg.end_at) for leg in now.legs] == [
        (leg.role, leg.setup_at, leg.end_at) for leg in before.legs
    ]
    assert [leg.number for leg in now.legs] == [None, CALLED]


async def test_a_correction_that_comes_after_the_erasure_brings_no_number_back() -> None:
    """A poller that reads the vendor's archive again has the number in every page: the call is known from before."""
    first, again = in_a_row([callback(a_end=70), callback(a_end=90, source="poll")])
    at = first.received_at + timedelta(milliseconds=1)
    assert again.received_at > at
    kept = await joined([first, again], erased(CALLER, at))

    (record,) = [FACT.decode(value) for value in kept.of(NORMALIZED.name)]
    assert (record.received_at, record.source) == (again.received_at, "poll")
    assert (record.from_number, record.to_number) == (None, CALLED)
