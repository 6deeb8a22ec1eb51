"""Columns as bytes: what is written at once is what each value on its own gives."""

import struct
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reading.remembered import Remembered
from sinks.columns import MICROSECONDS
from sinks.writing.column_writers import column_writer, length

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["", "x" * 127, "x" * 128, "é" * 64])
FORMS = ["{}", "urn:uuid:{}", "{{{}}}"]


def number_of(identity: UUID) -> bytes:
    return struct.pack("<QQ", identity.int >> 64, identity.int & 2**64 - 1)


@given(st.lists(texts))
def test_texts_are_each_their_length_and_their_bytes(values: list[str]) -> None:
    alone = [length(len(value.encode())) + value.encode() for value in values]
    assert column_writer("String")(values) == b"".join(alone)


@given(st.lists(st.tuples(st.uuids(), st.sampled_from(FORMS))))
def test_identities_may_be_in_any_form_of_a_uuid(drawn: list[tuple[UUID, str]]) -> None:
    values = [form.format(identity) for identity, form in drawn]
    assert column_writer("UUID")(values) == b"".join(number_of(identity) for identity, _ in drawn)


@pytest.mark.parametrize("bad", ["", "12", f"{UUID(int=1)} ", "g" * 32, " " * 32, f"{UUID(int=1)}{UUID(int=1)}"])
def test_one_text_that_is_no_uuid_is_refused_among_others(bad: str) -> None:
    """Two values of which one lacks what the other has too much would else be taken for two others."""
    with pytest.raises(ValueError, match=r"UUID|base 16"):
        column_writer("UUID")([str(UUID(int=1)), bad, str(UUID(int=2))])
    with pytest.raises(ValueError, match=r"UUID|base 16"):
        column_writer("UUID")([str(UUID(int=1))[:-1], str(UUID(int=2)) + "0"])


@given(st.lists(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])), min_size=1))
def test_an_instant_is_the_same_in_any_zone(instants: list[datetime]) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    counts = [(at - epoch) // timedelta(milliseconds=1) for at in instants]
    assert column_writer("DateTime64(3, 'UTC')")(instants) == struct.pack(f"<{len(counts)}q", *counts)


def test_what_is_remembered_is_little_and_right() -> None:
    doubled = Remembered[int, int](lambda number: 2 * number, 10)
    for number in (*range(25), *range(25)):
        assert doubled[number] == 2 * number
        assert 0 < len(doubled) <= 10
    for number in range(5_000):
        MICROSECONDS[datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)]
    assert 0 < len(MICROSECONDS) <= 4096
