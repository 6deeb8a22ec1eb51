import asyncio

import pytest

from ingress.kafka.send_window import SendWindow
from schemas.errors import Unavailable


async def turns(*waiting: "asyncio.Task[None]") -> list[bool]:
    """Returns the tasks that got their turn, once nothing changes any more."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in waiting]


async def test_beyond_the_limit_a_record_is_refused_and_after_release_taken() -> None:
    flow = SendWindow(limit_bytes=100, window_bytes=100)
    flow.admit(60)
    with pytest.raises(Unavailable) as refused:
        flow.admit(41)
    assert refused.value.code == "buffer_full"
    flow.release(60)
    flow.admit(100)
    assert flow.waiting_bytes == 100


async def test_the_window_is_given_in_the_order_of_arrival() -> None:
    flow = SendWindow(limit_bytes=1000, window_bytes=100)
    await flow.hand_over(60)
    big = asyncio.create_task(flow.hand_over(80))
    small = asyncio.create_task(flow.hand_over(10))
    assert await turns(big, small) == [False, False]
    flow.take_back(60)
    assert await turns(big, small) == [True, True]


async def test_a_record_larger_than_the_window_goes_alone() -> None:
    flow = SendWindow(limit_bytes=1000, window_bytes=100)
    await flow.hand_over(500)
    other = asyncio.create_task(flow.hand_over(1))
    assert await turns(other) == [False]
    flow.take_back(500)
    assert await turns(other) == [True]


async def test_a_record_given_up_in_the_queue_leaves_no_trace() -> None:
    flow = SendWindow(limit_bytes=1000, window_bytes=100)
    await flow.hand_over(100)
    given_up = asyncio.create_task(flow.hand_over(100))
    follower = asyncio.create_task(flow.hand_over(100))
    assert await turns(given_up, follower) == [False, False]
    given_up.cancel()
    assert await turns(follower) == [False]
    flow.take_back(100)
    assert await turns(follower) == [True]


async def test_a_record_given_up_as_its_turn_comes_hands_the_turn_on() -> None:
    flow = SendWindow(limit_bytes=1000, window_bytes=100)
    await flow.hand_over(100)
    given_up = asyncio.create_task(flow.hand_over(100))
    follower = asyncio.create_task(flow.hand_over(100))
    assert await turns(given_up, follower) == [False, False]
    flow.take_back(100)
    given_up.cancel()
    assert await turns(follower) == [True]
    with pytest.raises(asyncio.CancelledError):
        await given_up
