"""Work beside a part: a failure of it ends the part with that failure, and a stop of the part is a stop."""

import asyncio

import pytest

from schemas.erasing.following import beside
from schemas.errors import SetupError


async def fails() -> None:
    await asyncio.sleep(0)
    raise SetupError("the key is another one", code="erasure_key")


async def goes_on() -> None:
    await asyncio.Event().wait()


async def test_a_failure_of_the_work_ends_the_body_with_it() -> None:
    with pytest.raises(SetupError, match="another one"):
        async with beside(fails()):
            await asyncio.Event().wait()
    await asyncio.sleep(0)  # and the cancellation is over


async def test_where_the_process_is_to_end_it_is_told_why() -> None:
    told = asyncio.get_running_loop().create_future()
    async with beside(fails(), lambda sentence, failure: told.set_result((sentence, str(failure)))):
        assert await told == ("the list of erasures cannot be followed", "the key is another one")


async def test_the_end_of_the_body_ends_the_work() -> None:
    before = asyncio.all_tasks()
    async with beside(goes_on()):
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before


async def test_a_cancelled_body_is_cancelled() -> None:
    async def part() -> None:
        async with beside(goes_on()):
            await asyncio.Event().wait()

    task = asyncio.create_task(part())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
