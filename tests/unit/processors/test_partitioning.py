"""Keys go to the partitions that every other Kafka client chooses."""

import random

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from processors.partitioning import murmur2, partitions_of


@pytest.mark.parametrize(
    ("key", "hash_"),
    [
        # The values of Kafka's own UtilsTest, as unsigned.
        pytest.param(b"21", -973932308, id="two-bytes"),
        pytest.param(b"foobar", -790332482, id="six-bytes"),
        pytest.param(b"a-little-bit-long-string", -985981536, id="whole-words"),
        pytest.param(b"a-little-bit-longer-string", -1486304829, id="words-and-two-bytes"),
        pytest.param(b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971, id="long"),
        pytest.param(b"abc", 479470107, id="three-bytes"),
    ],
)
def test_the_values_of_the_java_client(key: bytes, hash_: int) -> None:
    assert murmur2([key]) == (hash_ % 2**32,)


@given(keys=st.lists(st.binary(max_size=80) | st.binary(min_size=9, max_size=9)), partitions=st.integers(1, 200))
def test_every_key_goes_where_aiokafka_sends_it(keys: list[bytes], partitions: int) -> None:
    choose = DefaultPartitioner()
    assert partitions_of(keys, partitions) == {key: choose(key, list(range(partitions)), []) for key in keys}


@given(length=st.integers(0, 40), seed=st.integers(0, 1000))
def test_keys_of_one_length_are_hashed_together_as_each_alone(length: int, seed: int) -> None:
    """Words of ones and zeros are among them: no lane may reach into the next one."""
    made = random.Random(seed)
    keys = [b"\xff" * length, b"\0" * length, *(made.randbytes(length) for _ in range(20)), b"\xff" * length]
    assert murmur2(keys) == tuple(map(reference, keys))
