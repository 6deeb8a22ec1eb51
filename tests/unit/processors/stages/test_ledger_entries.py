"""The entries of the ledger that the stages write: what became of each element, whatever the batch was."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.join import JoinResult
from processors.normalise import Directory
from processors.outbox import Message, Outbox
from processors.records import Record, RecordBatch
from processors.stages import ledger_entries
from processors.stages.join_stage import JoinStage
from processors.stages.ledger_entries import JoinEntries, NormaliseEntries, both_ways, made_of, sender_of
from processors.stages.normalise_stage import NormaliseStage, ledger_messages
from schemas.codec import PREVIOUS, Codecs, codecs_for
from schemas.config.limits import Limits
from schemas.config.settings import JoinSettings
from schemas.errors import Undecodable
from schemas.facts import Fact
from schemas.ledger.entries import (
    DEAD,
    DEAD_IN_JOIN,
    DUPLICATE,
    DUPLICATE_AGAIN,
    EMPTY,
    FACT,
    FILTERED,
    JOIN,
    LIVE,
    MOST_SENDERS,
    NEW,
    NEW_AGAIN,
    UNACCOUNTED,
    decode_entries,
    joined_version,
    unjoined_version,
)
from schemas.metrics import Registry
from schemas.raw import RawCallback
from schemas.topics import DEAD as DEAD_TOPIC
from schemas.topics import FACTS, LEDGER, MAX_MESSAGE_BYTES, RAW
from schemas.vendors import VENDORS
from tests.golden.cases import HERE, load
from tests.support.kafka.join_log import at_zero, nothing
from tests.support.kafka.ledger_rows import books, ledger_of, merged, outcomes, rows_of
from tests.support.strategies import BOTH_LEGS, callback, in_a_row
from tests.unit.processors.stages.quarantined import Guard, batch_of, place

HOUR_MS = 3_600_000
AT_MS = 500_000 * HOUR_MS
NX = load(HERE / "nxcloud" / "cdr-N01-document-example.json").raw.body
MANY = b"[" + b",".join([NX, b"{}", NX.replace(b"bf1b9043", b"bf1b9044"), b"7"]) + b"]"


class Out:
    """An outbox that keeps what is published, and in what turns."""

    def __init__(self) -> None:
        self.turns: list[list[Message]] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        self.turns.append(list(messages))

    @property
    def messages(self) -> list[Message]:
        return [message for turn in self.turns for message in turn]


ELEMENTS = {
    "a body without elements": ((0, [], [], 0), [EMPTY]),
    "a fact": ((1, [0], [], 0), [FACT]),
    "a body that is one dead letter": ((1, [], [-1], 0), [DEAD]),
    "one of each": ((3, [2], [0], 1), [DEAD, FILTERED, FACT]),
    "an element of which nothing came": ((3, [0], [], 1), [FACT, FILTERED, UNACCOUNTED]),
}


@pytest.mark.parametrize(("given_", "found"), ELEMENTS.values(), ids=ELEMENTS)
def test_what_was_made_of_each_element(given_: tuple[Any, ...], found: list[int]) -> None:
    assert made_of(*given_) == found


def raw_batch(*bodies: bytes, first: int = 0, **headers: str) -> RecordBatch:
    all_headers = {"vendor": "nxcloud", "callback": "cdr", "received_at": "1555484100000", **headers}
    pairs = tuple((name, text.encode()) for name, text in all_headers.items())
    records = tuple(
        Record(offset=n, timestamp_ms=AT_MS, key=b"", value=body, headers=pairs) for n, body in enumerate(bodies, first)
    )
    return RecordBatch(
        topic=RAW.name, partition=3, records=records, first_offset=first, next_offset=first + len(bodies)
    )


async def normalised(*batches: RecordBatch, codecs: Codecs | None = None, again: bool = False) -> Out:
    out = Out()
    stage = NormaliseStage(
        cast("Outbox", out), codecs or Codecs(), Directory(), Limits(), Registry(), again=again
    )  # fmt: skip
    for batch in batches:
        await stage.step(batch)
    return out


async def test_normalise_says_of_every_element_what_it_made_of_it() -> None:
    out = await normalised(raw_batch(NX, MANY, b"{", b"[]", account="main"))
    rows = {row.key: row for row in ledger_of(out.messages)}
    found = {key[1:3]: row.version for key, row in rows.items()}
    assert found[0, 0] == LIVE | FACT
    assert [found[1, n] for n in range(4)] == [LIVE | each for each in (FACT, DEAD, FACT, DEAD)]
    assert found[2, 0] == LIVE | DEAD
    assert found[3, 0] == LIVE | EMPTY
    assert {(row.vendor, row.account, row.source, row.received_s, row.key[0]) for row in rows.values()} == {
        ("nxcloud", "main", "push", 1_555_484_100, 3)
    }
    assert len(out.turns) == 1, "the ledger is acknowledged together with the results, before the offset"


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.booleans())
async def test_the_entries_are_those_of_the_records_in_any_cut(sizes: list[int], twice: bool) -> None:  # noqa: FBT001 - an example
    bodies = [(NX, b"{", MANY, b"[]")[number % 4] for number in range(sum(sizes))]
    whole = await normalised(raw_batch(*bodies))
    batches, first = [], 0
    for size in sizes:
        batches.append(raw_batch(*bodies[first : first + size], first=first))
        first += size
    parts = await normalised(*batches, *batches[::-1] * twice)
    assert merged(ledger_of(parts.messages)) == merged(ledger_of(whole.messages))


async def test_an_element_that_no_message_holds_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.stages.normalise_stage.MAX_MESSAGE_BYTES", 1000)
    out = await normalised(raw_batch(NX))
    assert books(ledger_of(out.messages)) == {"dead": 1}
    assert [message.topic for message in out.messages if message.topic != LEDGER.name] == [DEAD_TOPIC.name]


@pytest.mark.parametrize(
    ("codecs", "again"),
    [
        pytest.param(codecs_for({}, PREVIOUS), False, id="beside workers of the release before"),
        pytest.param(Codecs(), True, id="a replay"),
    ],
)
async def test_entries_from_which_nothing_follows_that_is_missing(codecs: Codecs, again: bool) -> None:  # noqa: FBT001 - a case of the table
    out = await normalised(raw_batch(NX), codecs=codecs, again=again)
    assert [row.version for row in ledger_of(out.messages)] == [FACT]


async def test_a_header_makes_no_vendor_and_no_long_account() -> None:
    out = await normalised(raw_batch(NX, vendor="nobody", account="a" * 5000))
    (row,) = ledger_of(out.messages)
    assert (row.vendor, row.account, row.version) == ("unknown", "a" * 256, LIVE | DEAD)


# The join.


def facts_batch(*facts: Fact | bytes, at_ms: int = AT_MS, codecs: Codecs | None = None) -> RecordBatch:
    encode = (codecs or Codecs()).stage_fact.encode
    records = tuple(
        Record(offset=n, timestamp_ms=at_ms, key=b"", value=fact if isinstance(fact, bytes) else encode(fact))
        for n, fact in enumerate(facts)
    )
    return RecordBatch(topic=FACTS.name, partition=1, records=records, first_offset=0, next_offset=len(records))


def joining(out: Out, **options: Any) -> JoinStage:
    return JoinStage(cast("Outbox", out), Codecs(), JoinSettings(), nothing, Registry(), end=at_zero, **options)


async def joined(*batches: RecordBatch) -> Out:
    out = Out()
    stage = joining(out)
    for batch in batches:
        await stage.step(batch)
    return out


def versions(out: Out) -> list[int]:
    return [row.version for row in ledger_of(out.messages)]


ONCE, AGAIN, CORRECTED = in_a_row([callback(), callback(), callback(a_end=90)])
OUTCOMES = {
    "new": ([ONCE], [NEW]),
    "the same at another place": ([ONCE, AGAIN], [NEW, DUPLICATE]),
    "another content of the same record": ([ONCE, CORRECTED], [NEW, NEW]),
    "a place that is known": ([ONCE, AGAIN, ONCE, AGAIN], [NEW, DUPLICATE, NEW_AGAIN, DUPLICATE_AGAIN]),
}


@pytest.mark.parametrize(("facts", "found"), OUTCOMES.values(), ids=OUTCOMES)
async def test_join_says_whether_a_fact_is_new(facts: list[Fact], found: list[int]) -> None:
    wanted = [joined_version(each, AT_MS) for each in found]
    assert versions(await joined(facts_batch(*facts))) == wanted
    assert versions(await joined(*(facts_batch(fact) for fact in facts))) == wanted


async def test_the_entry_of_a_fact_is_written_before_the_state_that_knows_it() -> None:
    """Else a crash between the two would leave a fact that is known, and of which nobody says whether it was new."""
    out = await joined(facts_batch(ONCE))
    topics = [{message.topic for message in turn} for turn in out.turns]
    assert LEDGER.name in topics[0]
    assert all(LEDGER.name not in later for later in topics[1:])


async def test_facts_of_a_call_that_cannot_be_written_are_dead_and_others_are_not() -> None:
    note = "x" * (MAX_MESSAGE_BYTES * 5 // 8)
    large = in_a_row([callback(extras={"note": note}), callback(extras={"note": note[:-1] + "y"})])
    other = in_a_row([BOTH_LEGS[0]], first_offset=9)[0]
    other = msgspec.structs.replace(other, call_key=other.call_key + "9", fact_id=ONCE.fact_id)
    found = versions(await joined(facts_batch(*large, other)))
    assert found == [unjoined_version(DEAD_IN_JOIN, AT_MS)] * 2 + [joined_version(NEW, AT_MS)]


async def test_a_fact_at_which_the_joiner_fails_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> JoinResult:
        raise TypeError

    monkeypatch.setattr("processors.store.partition.PartitionState.apply", fails)
    assert versions(await joined(facts_batch(ONCE))) == [unjoined_version(DEAD_IN_JOIN, AT_MS)]


@pytest.mark.parametrize(
    "fields",
    [
        {"raw_offset": -1}, {"raw_offset": 1 << 63}, {"raw_partition": 1 << 31}, {"raw_element": -2},
        {"raw_topic": "another"},
    ],
    ids=str,
)  # fmt: skip
async def test_a_place_that_no_record_has_is_in_no_ledger_and_stops_nobody(fields: dict[str, Any]) -> None:
    """A fact that another producer put on the topic is joined as before; nobody read it on calls.raw."""
    strange = msgspec.structs.replace(CORRECTED, **fields)
    assert [row.key[1] for row in ledger_of((await joined(facts_batch(ONCE, strange, AGAIN))).messages)] == [
        ONCE.raw_offset,
        AGAIN.raw_offset,
    ]


@pytest.mark.parametrize("year", [1, 1969, 2300, 9999])
async def test_any_receipt_fits(year: int) -> None:
    at = datetime(year, 1, 2, tzinfo=UTC)
    made = JoinEntries()
    record = Record(offset=0, timestamp_ms=AT_MS, key=None, value=b"")
    made.dead(msgspec.structs.replace(ONCE, received_at=at), record)
    (row,) = ledger_of(ledger_messages(made.entries(), "k"))
    assert row.received_s == min(max(0, int(at.timestamp())), (1 << 32) - 1)


def test_the_earliest_decision_is_the_highest_and_any_joined_fact_is_above_a_dead_letter() -> None:
    hours = [
        joined_version(found, AT_MS + n * HOUR_MS)
        for n in range(3)
        for found in (DUPLICATE, NEW, DUPLICATE_AGAIN, NEW_AGAIN)
    ]
    assert hours == sorted(hours, reverse=True)
    assert joined_version(NEW_AGAIN, 1 << 60) > unjoined_version(DEAD_IN_JOIN, 0)
    assert all(0 < each < 1 << 32 for each in hours)


def test_messages_are_cut_where_one_byte_names_no_more_senders_and_where_they_are_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_entries, "MOST_ENTRIES", 400)
    made = NormaliseEntries(0, live=True)
    body = RawCallback(
        vendor="ytx", callback="x", received_at=datetime(2026, 1, 1, tzinfo=UTC), request_id="", body=b""
    )
    for offset in range(1000):
        made.add_dead(msgspec.structs.replace(body, account=str(offset % 700)), offset)
    messages = [decode_entries(value) for value in made.entries().values()]
    assert max(len(message.senders) for message in messages) == MOST_SENDERS
    assert max(map(len, messages)) <= 400
    rows = [row for message in messages for row in rows_of(message)]
    assert [(row.key[1], row.account) for row in rows] == [(n, str(n % 700)) for n in range(1000)]


def broken(values: Iterable[object]) -> bytes:
    return msgspec.msgpack.encode(list(values))


GOOD = (JOIN, [("ytx", "", "push")], 1, b"\0", b"\0" * 4, b"\0" * 4, b"\0" * 8, b"\0" * 4, b"\0" * 8)
BROKEN = {
    "nothing": b"",
    "no value": None,
    "no message": b"\xc1",
    "another stage": broken((2, *GOOD[1:])),
    "no entries": broken((JOIN, GOOD[1], 1, b"", b"", b"", b"", b"", b"")),
    "a sender that is not there": broken((*GOOD[:3], b"\1", *GOOD[4:])),
    "a column that is too short": broken((*GOOD[:6], b"\0" * 7, *GOOD[7:])),
    "records of another number": broken((*GOOD, b"\0" * 9)),
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
def test_what_is_no_message_of_the_ledger_is_refused(value: bytes | None) -> None:
    assert len(decode_entries(broken(GOOD))) == 1
    with pytest.raises(Undecodable) as wrong:
        decode_entries(value)
    assert wrong.value.dead_code == "schema"


# The quarantine.


async def idle(_batch: RecordBatch) -> None:
    pass


async def test_a_body_that_is_put_aside_is_dead_in_the_ledger() -> None:
    guard = Guard(place(0, 5), place(2, 3))
    await guard.guarding(idle)(batch_of(0, 5))
    (row,) = ledger_of(guard.sent.ledger)
    assert (row.key, row.version, row.vendor, row.source) == ((0, 2, 0, 0), LIVE | DEAD, "nxcloud", "push")


@pytest.mark.parametrize(
    ("value", "dead"),
    [
        pytest.param(Codecs().stage_fact.encode(ONCE), True, id="a fact"),
        pytest.param(b"\x85", False, id="what cannot be read"),
        pytest.param(b"\0\0\0\0\1x", False, id="a fact of an older worker, without a ledger"),
    ],
)
async def test_a_fact_that_is_put_aside_is_dead_in_the_ledger_as_far_as_its_place_can_be_read(
    value: bytes,
    dead: bool,  # noqa: FBT001 - a case of the table
) -> None:
    guard = Guard(*[place(2, 3, topic=FACTS.name)] * 2)
    batch = batch_of(0, 5, topic=FACTS.name)
    records = tuple(msgspec.structs.replace(one, value=value) if one.offset == 2 else one for one in batch.records)
    await guard.quarantine.guarding("join", idle)(msgspec.structs.replace(batch, records=records))
    assert len(guard.sent.messages) == 1
    rows = ledger_of(guard.sent.ledger)
    assert [row.version >> 30 for row in rows] == [DEAD_IN_JOIN] * dead
    assert [row.key for row in rows] == [(ONCE.raw_partition, ONCE.raw_offset, ONCE.raw_element, JOIN)] * dead


# Ways.


async def test_records_of_vendors_of_both_ways_are_known_by_half_of_their_id() -> None:
    record = Record(offset=0, timestamp_ms=AT_MS, key=None, value=b"")
    for ways, known in ((frozenset({ONCE.vendor}), True), (frozenset[str](), False)):
        made = JoinEntries(ways)
        made.joined(ONCE, JoinResult(state=None, outcome="fact"), record)
        made.joined(msgspec.structs.replace(ONCE, fact_id="none"), JoinResult(state=None, outcome="fact"), record)
        made.joined(in_a_row(BOTH_LEGS)[0], JoinResult(state=None, outcome="fact"), record)
        half = int(ONCE.fact_id.replace("-", "")[:16], 16)
        assert [row.record for row in ledger_of(ledger_messages(made.entries(), "k"))] == [half * known, 0, 0]


def test_a_vendor_has_both_ways_when_it_pushes_something_that_is_not_pulled() -> None:
    tencent, ytx = VENDORS["tencent"], VENDORS["ytx"]
    both = msgspec.structs.replace(tencent, name="both", callbacks=(*tencent.callbacks, *ytx.callbacks))
    assert both_ways([tencent, ytx, both]) == {"both"}
    assert sender_of("both", "", "push")[0] == "unknown"


# A life of elements: what the two stages say together.


async def test_a_replay_after_a_fix_and_a_resent_dead_letter_balance() -> None:
    """The bodies came as normalise read them once; then the same stretch, and one of the bodies again as a record."""
    first = await normalised(raw_batch(NX, b"{", MANY))
    again = await normalised(raw_batch(NX, b"{", MANY), again=True)
    resent = await normalised(raw_batch(MANY, first=3, replay_of="calls.raw/3/2"))
    sent = [message for out in (first, again, resent) for message in out.messages]
    out = await joined(
        facts_batch(*[message.value for message in sent if message.topic == FACTS.name and message.value])
    )
    rows = [*ledger_of(sent), *ledger_of(out.messages)]
    assert books(rows) == {"fact": 2, "duplicate": 3, "dead": 5}
    assert set(outcomes(merged(rows)).values()) == {"fact", "duplicate", "dead"}
