"""Lets a broker hold a consumer's next fetch until enough has come, or for a time."""

from aiokafka import AIOKafkaConsumer


def hold(consumer: AIOKafkaConsumer, wait_ms: int, enough_bytes: int) -> None:
    """Set how the consumer's next fetch is answered: with so many bytes, or after this time with what came in it.

    With a time of 0 it is answered as the consumer was made for: with the first record. To be called right behind a
    fetch, before the consumer asks again. Bounds that the operator has set stay.
    """
    if consumer._fetch_min_bytes > 1:  # noqa: SLF001 - aiokafka has no way to change it later
        return
    most_ms: int = consumer._fetch_max_wait_ms  # noqa: SLF001 - likewise
    fetcher = consumer._fetcher  # noqa: SLF001 - likewise
    fetcher._fetch_min_bytes = enough_bytes if wait_ms else 1  # noqa: SLF001 - likewise
    fetcher._fetch_max_wait_ms = min(wait_ms, most_ms) if wait_ms else most_ms  # noqa: SLF001 - likewise
