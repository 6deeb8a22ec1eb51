"""Pushes callbacks as vendors do: bodies of two vendors with chosen calls, and traffic that goes on through outages."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping

import aiohttp

JSON: Mapping[str, str] = {"Content-Type": "application/json"}
PATHS: Mapping[str, str] = {"nxcloud": "/v1/nxcloud/cdr", "ytx": "/v1/ytx"}
_SOFTPHONE = (
    b'{"sessionid":"%s","username":"1001","mobile_name":"desk","sipid":"1049002","orderid":"","code":"86","phone":"4444",'
    b'"show_phone":"6298881888","duration":3,"direction":0,"record":0,"start_time":"1555484075","answer_time":"1555484086",'
    b'"end_time":"1555484089","hangup_cause":"NORMAL_CLEARING"}'
)
_VOICE_CODE = (
    b'{"cdr":[{"requestid":"%s","appid":"ff8080813fc70a7b013fc72312324213","fid":"2","tel":"13600007556",'
    b'"stime":"2016-02-02 11:19:36.000","etime":"2016-02-02 11:19:58.000","duration":"22","oriamount":"0.06"}]}'
)
_BODIES: Mapping[str, bytes] = {"nxcloud": _SOFTPHONE, "ytx": _VOICE_CODE}


def body_of(vendor: str, call_id: str) -> bytes:
    """Returns the body with the record of one answered call."""
    return _BODIES[vendor] % call_id.encode()


async def post(
    session: aiohttp.ClientSession, base: str, path: str, body: bytes, headers: Mapping[str, str] = JSON
) -> int:
    """Pushes once and returns the status; 0 when there was no answer."""
    try:
        async with session.post(base + path, data=body, headers=headers) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


class Traffic:
    """The pushes of a test and their answers."""

    def __init__(self, base: str, prefix: str) -> None:
        self.base = base
        self.prefix = prefix
        self.answers: dict[tuple[str, str], int] = {}
        """The last status of each call, by vendor and call id."""
        self.seen: Counter[tuple[str, int]] = Counter()
        """Returns how often a vendor got a status."""

    def acknowledged(self, vendor: str) -> set[str]:
        """Returns the calls that were acknowledged."""
        return {call_id for (of, call_id), status in self.answers.items() if of == vendor and status == 200}

    async def push(self, session: aiohttp.ClientSession, vendor: str, call_id: str) -> int:
        """Pushes one call's record and notes the status."""
        status = await post(session, self.base, PATHS[vendor], body_of(vendor, call_id))
        self.answers[vendor, call_id] = status
        self.seen[vendor, status] += 1
        return status

    async def push_again(self) -> None:
        """Repeats what was not acknowledged, as vendors do, until it is."""
        async with aiohttp.ClientSession() as session:
            for _ in range(20):
                for vendor, call_id in [key for key, status in self.answers.items() if status != 200]:
                    await self.push(session, vendor, call_id)

    @contextlib.asynccontextmanager
    async def going_on(self, every_s: float = 0.1) -> AsyncIterator[None]:
        """Pushes new calls of both vendors all the time, each without waiting for the one before."""
        pushes: set[asyncio.Task[int]] = set()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def sending() -> None:
                number = 0
                while True:
                    for vendor in PATHS:
                        pushes.add(asyncio.create_task(self.push(session, vendor, f"{self.prefix}-{number:05}")))
                    number += 1
                    await asyncio.sleep(every_s)

            sender = asyncio.create_task(sending())
            try:
                yield
            finally:
                sender.cancel()
                await asyncio.gather(sender, *pushes, return_exceptions=True)
