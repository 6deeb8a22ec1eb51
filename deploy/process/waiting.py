"""Wait until an address answers with success."""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp

_EVERY_S: Final = 0.1


async def until_answers(url: str, limit_s: float, hopeless: Callable[[], bool] = lambda: False) -> bool:
    """Whether `url` answered 200 within `limit_s` seconds; gives up at once when `hopeless()`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        while loop.time() < deadline and not hopeless():
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return True
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_EVERY_S)
    return False
