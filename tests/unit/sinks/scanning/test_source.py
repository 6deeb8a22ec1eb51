"""Values in one run of bytes are told apart, compared and checked as they are one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.scanning import source
from sinks.scanning.source import Source, spread

VALUES = st.lists(
    st.one_of(
        st.sampled_from([b"", b"ytx", b"x" * 8, b"x" * 9, b"\0", b"\0\0", b"x" * 64, b"x" * 65, b"+8613900000001"]),
        st.binary(max_size=20),
    ),
    min_size=1,
    max_size=30,
)


def held_against_a_dictionary(values: list[bytes]) -> None:
    made, starts, sizes = Source.of(values)
    codes, different = made.coded(starts, sizes)
    assert different == [*dict.fromkeys(values)]
    assert [different[code] for code in codes.tolist()] == values


@given(VALUES)
@pytest.mark.parametrize("times", [1, 40])
def test_values_are_told_apart_in_their_order(times: int, values: list[bytes]) -> None:
    """One by one where they are few, by keys where they are many."""
    held_against_a_dictionary(values * times)


def test_many_different_values_are_told_apart() -> None:
    held_against_a_dictionary([str(number * 7919).encode() for number in range(5_000)] * 2)


def test_values_of_one_key_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders choose the values, and so may choose such."""
    monkeypatch.setattr(source, "_MIXED", np.uint64(0))
    held_against_a_dictionary([b"a", b"b", b"ab"] * 400)


@given(VALUES, st.data())
def test_values_are_compared(values: list[bytes], data: st.DataObject) -> None:
    sizes = [len(value) for value in values]
    others = [data.draw(st.sampled_from([value, bytes(len(value)), value[::-1]])) for value in values]
    made, starts, _ = Source.of([*values, *others])
    count = len(values)
    equal = made.equal(starts[:count], starts[count:], np.array(sizes))
    assert equal.tolist() == [one == other for one, other in zip(values, others, strict=True)]


@given(VALUES, st.lists(st.text(max_size=9)))
def test_values_that_are_no_text_are_found(values: list[bytes], texts: list[str]) -> None:
    """Halves of one character, which side by side would be a whole one, are none."""
    every = [*values, *(text.encode() for text in texts), "é".encode()[:1], "é".encode()[1:]]
    made, starts, sizes = Source.of([b"|", *every])
    found = made.not_text(starts[1:], sizes[1:])
    assert [value.decode("utf-8", "replace").encode() != value for value in every] == found.tolist()


def test_ranges_stand_one_behind_the_other() -> None:
    assert spread(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
