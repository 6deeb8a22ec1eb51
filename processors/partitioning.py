"""The partitions of keys: murmur2 as in Kafka's Java client, so that every producer agrees.

aiokafka has the same function, byte by byte in Python (6.6 us for a call's key). Here the keys of a batch that have one
length are hashed together, as lanes of 64 bits in a large integer: 0.5 us a key, and 5 us for one alone. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from struct import pack, unpack

MASK = 0xFFFFFFFF
FACTOR = 0x5BD1E995
SEED = 0x9747B28C


def partitions_of(keys: Iterable[bytes], partitions: int) -> dict[bytes, int]:
    """Return the partition of each key on a topic with this many partitions."""
    by_length: defaultdict[int, list[bytes]] = defaultdict(list)
    for key in set(keys):
        by_length[len(key)].append(key)
    return {
        key: (hash_ & 0x7FFFFFFF) % partitions
        for alike in by_length.values()
        for key, hash_ in zip(alike, murmur2(alike), strict=True)
    }


def murmur2(keys: Sequence[bytes]) -> tuple[int, ...]:
    """Return Kafka's 32-bit hash (`org.apache.kafka.common.utils.Utils.murmur2`), unsigned, of keys of one length."""
    count, length = len(keys), len(keys[0])
    whole, words = length >> 2, length + 3 >> 2
    read = unpack(f"<{count * words}I", b"".join([key.ljust(4 * words, b"\0") for key in keys]))
    lanes = f"<{count}Q"
    # The high half of each lane is room for a product, and is cleared behind it.
    ones = int.from_bytes(pack("<Q", 1) * count, "little")
    low = ones * MASK
    value = ones * (SEED ^ length)
    for at in range(words):
        word = int.from_bytes(pack(lanes, *read[at::words]), "little")
        if at == whole:  # the rest of the key, which is no whole word
            value = (value ^ word) * FACTOR & low
            break
        word = word * FACTOR & low
        value = (value * FACTOR ^ (word ^ word >> 24 & low) * FACTOR) & low
    value = (value ^ value >> 13 & low) * FACTOR & low
    value ^= value >> 15 & low
    return unpack(lanes, value.to_bytes(8 * count, "little"))
