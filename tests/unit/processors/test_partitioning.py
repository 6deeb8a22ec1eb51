"""Keys go to the partitions that every other Kafka client chooses."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from processors.partitioning import murmur2, partition_of


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
    assert murmur2(key) == hash_ % 2**32


@given(key=st.binary(max_size=80), partitions=st.integers(1, 200))
def test_every_key_goes_where_aiokafka_sends_it(key: bytes, partitions: int) -> None:
    assert murmur2(key) == reference(key)
    assert partition_of(key, partitions) == DefaultPartitioner()(key, list(range(partitions)), [])
