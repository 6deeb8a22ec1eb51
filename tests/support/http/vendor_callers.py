"""Honest callers that push without a pause while something is changed under them."""

import asyncio
import collections
from typing import Final, Self

import aiohttp

CALLERS: Final = 16
_PAUSE_S: Final = 0.02
_MORE_S: Final = 60.0


class VendorCallers:
    """Callers of one address, of which every other one opens a connection for each push."""

    def __init__(self, address: str, prefix: str, *, callers: int = CALLERS) -> None:
        """`address` may be set anew while they push; `prefix` begins the ids of their calls."""
        self.address = address
        self.acknowledged: list[bytes] = []
        self.wrong: collections.Counter[str] = collections.Counter()
        self._prefix = prefix
        self._callers = callers
        self._over = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Waits until so many more pushes are acknowledged, or one was not."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(_MORE_S):
            while len(self.acknowledged) < wanted and not self.wrong:  # noqa: ASYNC110 - other tasks have no event for it
                await asyncio.sleep(_PAUSE_S)

    async def _call(self, number: int) -> None:
        connector = aiohttp.TCPConnector(force_close=number % 2 == 0)
        async with aiohttp.ClientSession(connector=connector) as session:
            count = 0
            while not self._over:
                count += 1
                body = b'{"callId":"%s-%d-%d"}' % (self._prefix.encode(), number, count)
                try:
                    async with session.post(self.address, data=body) as answer:
                        await answer.read()
                        if answer.status == 200:
                            self.acknowledged.append(body)
                        else:
                            self.wrong[f"status {answer.status}"] += 1
                except aiohttp.ClientError as exc:
                    self.wrong[type(exc).__name__] += 1
                await asyncio.sleep(_PAUSE_S)
