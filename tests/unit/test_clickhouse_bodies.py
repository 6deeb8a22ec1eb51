"""Compressed bodies: the same bytes come out, however they were cut, and damage is always told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.clickhouse.bodies import DamagedBody, choose_encoding, compressed, inflated

NAMES = ["lz4", "zstd", "gzip", "deflate"]


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[start : start + size] for start in range(0, len(raw), size)]


@pytest.mark.parametrize("name", NAMES)
@given(raw=st.binary(max_size=5_000), out=st.integers(1, 999), back=st.integers(1, 999))
def test_any_bytes_come_back_however_they_are_cut(name: str, raw: bytes, out: int, back: int) -> None:
    packed = b"".join(compressed(cut(raw, out), name))

    assert b"".join(inflated(cut(packed, back), name)) == raw


@pytest.mark.parametrize("name", NAMES)
def test_much_from_little_comes_in_small_pieces(name: str) -> None:
    packed = b"".join(compressed([bytes(50 << 20)], name))
    sizes = [len(piece) for piece in inflated([packed], name)]

    assert sum(sizes) == 50 << 20
    assert max(sizes) <= 1 << 20


@pytest.mark.parametrize("name", ["lz4", "zstd", "gzip"])
def test_frames_may_follow_one_another(name: str) -> None:
    packed = b"".join([*compressed([b"one "], name), *compressed([b"two"], name)])

    assert b"".join(inflated([packed], name)) == b"one two"


@pytest.mark.parametrize("name", NAMES)
def test_a_body_that_ends_too_early_is_damaged(name: str) -> None:
    packed = b"".join(compressed([bytes(range(256)) * 100], name))
    with pytest.raises(DamagedBody, match=name):
        list(inflated([packed[:-5]], name))


@pytest.mark.parametrize("name", NAMES)
@given(raw=st.binary(min_size=1, max_size=100))
def test_noise_is_damaged_or_inflates_but_never_fails_otherwise(name: str, raw: bytes) -> None:
    try:
        list(inflated([raw], name))
    except DamagedBody as exc:
        assert name in str(exc)  # noqa: PT017 - either outcome is right


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(DamagedBody, match="snappy"):
        list(inflated([b"x"], "snappy"))


ACCEPTED = [
    pytest.param("", None, id="nothing"),
    pytest.param("identity", None, id="plain only"),
    pytest.param("gzip, deflate", "gzip", id="a browser"),
    pytest.param("lz4,zstd,gzip", "lz4", id="a ClickHouse client"),
    pytest.param("zstd;q=0, GZIP;q=0.5", "gzip", id="one refused"),
    pytest.param("br", None, id="only one that we lack"),
]


@pytest.mark.parametrize(("accept", "expected"), ACCEPTED)
def test_the_answers_encoding_is_one_the_client_takes(accept: str, expected: str | None) -> None:
    assert choose_encoding(accept) == expected
