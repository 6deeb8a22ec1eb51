"""The contract of a store of calls, in memory and on disk: it does what a dictionary and lists would do."""

import contextlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.store.calls import MemoryCalls, NewCalls
from processors.store.rocks import LocalStore

KEYS = ["ytx|main|1", "ytx|main|10", "ytx|main|é", "", "nxcloud|b|1"]
MINUTES = [0, 1, 255, 256, 29_552_160, 2**47]


@pytest.fixture(scope="module", params=["memory", "disk"])
def new_calls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewCalls]:
    """Make stores of either kind."""
    if request.param == "memory":
        yield MemoryCalls
        return
    with contextlib.closing(LocalStore(tmp_path_factory.mktemp("calls"))) as store:
        yield store.new_calls


def test_a_store_begins_empty(new_calls: NewCalls) -> None:
    calls = new_calls()

    assert calls.get(KEYS[0]) is None
    assert list(calls.items()) == []
    assert calls.take_waiting(1) == []


def test_the_last_entry_counts(new_calls: NewCalls) -> None:
    calls = new_calls()
    for entry in (b"first", b"", b"last"):
        calls.put(KEYS[0], entry)
        assert calls.get(KEYS[0]) == entry


def test_what_is_removed_is_gone_and_may_come_again(new_calls: NewCalls) -> None:
    calls = new_calls()
    calls.put(KEYS[0], b"one")
    calls.remove(KEYS[0])
    calls.remove(KEYS[1])
    assert calls.get(KEYS[0]) is None

    calls.put(KEYS[0], b"two")
    assert calls.get(KEYS[0]) == b"two"


def test_calls_may_be_put_and_removed_while_all_are_looked_through(new_calls: NewCalls) -> None:
    calls = new_calls()
    for key in KEYS:
        calls.put(key, key.encode())
    found = []
    for number, (key, entry) in enumerate(calls.items()):
        found.append((key, entry))
        if number % 2:
            calls.remove(key)
        else:
            calls.put(key, b"new")

    assert sorted(found) == sorted((key, key.encode()) for key in KEYS)
    assert list(dict(calls.items()).values()) == [b"new"] * 3


def test_nobody_finds_what_is_in_another_s_store(new_calls: NewCalls) -> None:
    one, other = new_calls(), new_calls()
    one.put(KEYS[0], b"one")
    one.wait(1, KEYS[0])
    assert (other.get(KEYS[0]), other.take_waiting(1), list(other.items())) == (None, [], [])

    del other
    new_calls()  # frees it
    assert one.get(KEYS[0]) == b"one"


class Step(msgspec.Struct, frozen=True):
    """One use of a store, of which it takes what it needs."""

    use: str
    key: str
    minute: int
    entry: bytes


STEPS = st.lists(
    st.builds(
        Step,
        use=st.sampled_from(["put", "put", "remove", "wait", "wait", "take", "look"]),
        key=st.sampled_from(KEYS),
        minute=st.sampled_from(MINUTES),
        entry=st.binary(max_size=40),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_it_holds_what_a_dictionary_holds(new_calls: NewCalls, steps: list[Step]) -> None:
    calls = new_calls()
    entries: dict[str, bytes] = {}
    waiting: dict[int, set[str]] = {}
    for step in steps:
        match step.use:
            case "put":
                calls.put(step.key, step.entry)
                entries[step.key] = step.entry
            case "remove":
                calls.remove(step.key)
                entries.pop(step.key, None)
            case "wait":
                calls.wait(step.minute, step.key)
                waiting.setdefault(step.minute, set()).add(step.key)
            case "take":
                assert set(calls.take_waiting(step.minute)) == waiting.pop(step.minute, set())
            case _:
                assert dict(calls.items()) == entries
    assert {key: calls.get(key) for key in KEYS} == {key: entries.get(key) for key in KEYS}
    assert all(set(calls.take_waiting(minute)) == waiting.get(minute, set()) for minute in MINUTES)
