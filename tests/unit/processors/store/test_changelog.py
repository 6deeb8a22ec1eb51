"""The states that count: the last record of each call, and those its writer could not know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.records import Record
from processors.store.calls import MemoryCalls
from processors.store.changelog import StateLog, Writer, new_writer

FIRST, SECOND, THIRD = Writer(b"first...", 0), Writer(b"second..", 3), Writer(b"third...", 5)
"""Writers, each with the offset at which it began."""


def read(*lines: tuple[Writer | None, bytes | None], key: bytes = b"k") -> list[bytes] | None:
    """Return the states that count of one call's records by these writers; None for a forgotten call."""
    log = StateLog()
    for offset, (writer, value) in enumerate(lines):
        headers = writer.headers if writer else ()
        log.take(Record(offset=offset, timestamp_ms=0, key=key, value=value, headers=headers))
    calls = {call.key: call.states for call in log.calls()}
    assert set(calls) <= {key.decode()}
    return calls.get(key.decode())


CASES = {
    "one writer": ([(FIRST, b"1"), (FIRST, b"2")], [b"2"]),
    "its successor read all": ([(FIRST, b"1"), (FIRST, b"2"), (FIRST, b"3"), (SECOND, b"4")], [b"4"]),
    "a zombie wrote last": ([(FIRST, b"1"), (FIRST, b"2"), (FIRST, b"3"), (SECOND, b"4"), (FIRST, b"5")], [b"4", b"5"]),
    "a zombie wrote before its successor did": (
        [(FIRST, b"1"), (FIRST, b"2"), (FIRST, b"3"), (FIRST, b"4"), (SECOND, b"5")],
        [b"4", b"5"],
    ),
    "the owner went on without knowing": (
        [(FIRST, b"1"), (FIRST, b"2"), (FIRST, b"3"), (SECOND, b"4"), (FIRST, b"5"), (SECOND, b"6")],
        [b"5", b"6"],
    ),
    "a third read both": (
        [(FIRST, b"1"), (FIRST, b"2"), (FIRST, b"3"), (SECOND, b"4"), (FIRST, b"5"), (THIRD, b"6")],
        [b"6"],
    ),
    "a zombie again and again": (
        [(FIRST, b"1"), (FIRST, b"2"), (FIRST, b"3"), (SECOND, b"4"), *[(FIRST, b"z")] * 9],
        [b"4", b"z"],
    ),
    "forgotten": ([(FIRST, b"1"), (FIRST, None)], None),
    "forgotten, though a zombie wrote": ([*[(FIRST, b"1")] * 3, (SECOND, b"4"), (FIRST, b"5"), (SECOND, None)], None),
    "begun anew": ([(FIRST, b"1"), (FIRST, None), (FIRST, b"3")], [b"3"]),
    "without a writer": ([(None, b"1"), (None, b"2")], [b"2"]),
    "a writer after one without a name": ([(None, b"1"), (None, b"2"), (None, b"3"), (SECOND, b"4")], [b"4"]),
}


@pytest.mark.parametrize(("lines", "counts"), CASES.values(), ids=CASES.keys())
def test_of_a_call_the_last_record_counts_and_what_its_writer_could_not_know(
    lines: list[tuple[Writer | None, bytes | None]], counts: list[bytes] | None
) -> None:
    assert read(*lines) == counts


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30))
def test_whatever_anybody_ever_knew_is_in_what_counts(turns: list[tuple[int, bool]]) -> None:
    """Writers interleave at random and begin again at times; each state is its knowledge, as bits."""
    log: list[tuple[Writer, int]] = []
    knows: dict[int, tuple[Writer, int]] = {}

    def all_known() -> int:
        reading = StateLog()
        for offset, (writer, bits) in enumerate(log):
            value = bits.to_bytes(8, "big")
            reading.take(Record(offset=offset, timestamp_ms=0, key=b"k", value=value, headers=writer.headers))
        found = 0
        for call in reading.calls():
            for state in call.states:
                found |= int.from_bytes(state, "big")
        return found

    for number, (who, begins) in enumerate(turns):
        if begins or who not in knows:
            knows[who] = new_writer(len(log)), all_known()
        writer, bits = knows[who]
        knows[who] = writer, bits | 1 << number
        log.append(knows[who])

    assert all_known() == (1 << len(turns)) - 1


def test_keys_are_apart_and_a_record_without_a_key_is_nobodys() -> None:
    store = MemoryCalls()
    log = StateLog(store)
    for offset, key in enumerate([b"a", b"b", None, b"a"]):
        log.take(Record(offset=offset, timestamp_ms=0, key=key, value=b"%d" % offset, headers=FIRST.headers))
    assert {call.key: call.states for call in log.calls()} == {"a": [b"3"], "b": [b"1"]}
    assert {call.kept_in for call in log.calls()} == {store}
    assert sorted(key for key, _ in store.items()) == ["a", "b"]


OLD = Writer(b"older...", 0, tells_slots=False)
TOLD = {
    "nothing was written": ([], True),
    "by workers that tell them": ([FIRST, SECOND], True),
    "one of them does not": ([FIRST, OLD, SECOND], False),
    "by a worker without a name": ([None], False),
}


@pytest.mark.parametrize(("writers", "told"), TOLD.values(), ids=TOLD.keys())
def test_a_log_says_whether_all_slots_were_told_and_when_it_was_written(
    writers: list[Writer | None],
    told: bool,  # noqa: FBT001 - a case
) -> None:
    log = StateLog()
    for offset, writer in enumerate(writers):
        headers = writer.headers if writer else ()
        log.take(Record(offset=offset, timestamp_ms=offset * 10, key=b"k", value=b"1", headers=headers))
    assert (log.slots_told, log.newest_ms) == (told, max(0, 10 * (len(writers) - 1)))
