"""The pull API of the callback vendor, served over HTTP: windows, a cursor, zlib, error codes, and records that come late.

A call appears some time after it ended, in the window of its start. `offset` is the start second of the first record
that did not fit; every page takes whole seconds, so that going on from the cursor always gets further.
"""

import asyncio
import bisect
import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from deploy.simulator import expectation
from deploy.simulator.calls import people
from deploy.simulator.calls.scenes import TENCENT_APP
from deploy.simulator.calls.truth import TrueCall
from deploy.simulator.requests import Offer
from deploy.simulator.sending.ledger import Ledger, LedgerEntry
from deploy.simulator.vendors import tencent

_VERSION: Final = "201511v3"
_MESSAGES: Final[Mapping[str, str]] = {
    "-1": "version not supported",
    "-2": "parameter error",
    "-201": "callId error",
    "-202": "timestamp error",
    "-203": "network error",
    "-401": "illegal appId",
    "-402": "url not match",
    "-403": "ip not in whitelist",
    "-423": "blocked",
    "-501": "server error",
}
_ACCIDENTS: Final = ("-203", "-501", "http 502", "hang", "cut")
"""What happens by itself: two of the vendor's codes, a proxy's page, no answer at all, half an answer."""


class GetCdrOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the vendor behaves; times in seconds."""

    app_id: str = TENCENT_APP
    key_id: str = "simulator"
    """The `id` in the address."""
    page_records: int = 100
    delay_s: float = 3.0
    """From a call's end until its record can be pulled."""
    recording_delay_s: float = 20.0
    """From then until a late recording's address is in the record."""
    longest_span_s: int = 86400
    keep_s: int = 4 * 3600
    """Older calls are forgotten; longer than a puller looks back by default."""
    accident_share: float = 0.02
    hang_s: float = 30.0
    seed: int = 1


class ApiAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request gets."""

    body: bytes
    status: int = 200
    error: str = ""
    calls: tuple[TrueCall, ...] = ()


class GetCdr:
    """The vendor's records and its HTTP face; every page that went out whole is noted in the ledger."""

    def __init__(self, options: GetCdrOptions, *, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._options = options
        self._ledger = ledger
        self._clock = clock
        self._rng = people.seeded(f"getcdr/{options.seed}")
        self._index: list[tuple[int, str]] = []
        self._offers: dict[str, Offer] = {}
        self._unserved: set[tuple[str, bool]] = set()
        self._told: set[tuple[str, bool]] = set()
        self._forced: deque[str] = deque()
        self.pages = 0
        self.records = 0
        self.errors = 0

    @property
    def pending(self) -> int:
        """Records, and their later versions, that nobody has pulled yet."""
        return len(self._unserved)

    def add(self, offer: Offer) -> None:
        """Carry a call; its record can be pulled when the call has ended and settled."""
        bisect.insort(self._index, (int(offer.call.started_at.timestamp()), offer.call.call_id))
        self._offers[offer.call.call_id] = offer
        # A record may be pulled for the first time when its recording is there: only its last version must be.
        self._unserved.add((offer.call.call_id, offer.later is not None))
        oldest = int(self._clock().timestamp()) - self._options.keep_s
        while self._index and self._index[0][0] < oldest:
            _, call_id = self._index.pop(0)
            del self._offers[call_id]
            self._unserved -= {(call_id, False), (call_id, True)}
            self._told -= {(call_id, False), (call_id, True)}

    def force(self, what: str, times: int = 1) -> None:
        """Answer the next requests with a code such as "-403", or with "http 502", "hang" or "cut"."""
        self._forced.extend([what] * times)

    def app(self) -> web.Application:
        """The HTTP application."""
        app = web.Application()
        app.router.add_post("/{version}/getCdr", self._handle)
        return app

    def answer(self, version: str, key_id: str, body: bytes) -> ApiAnswer:
        """The answer of a vendor in good health."""
        try:
            asked = json.loads(body)
        except ValueError:
            return _failure("-2")
        if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
            return _failure("-2")
        code = self._refusal(version, key_id, asked)
        if code:
            return _failure(code)
        calls, offset = self._found(asked)
        if asked.get("callId") and not calls:
            return _failure("-201")
        records = [tencent.record(call) for call in calls]
        page = tencent.page(records, offset, compressed=asked.get("compress") == "1")
        return ApiAnswer(body=page, calls=tuple(calls))

    def _refusal(self, version: str, key_id: str, asked: Mapping[str, str]) -> str:
        """The first code that applies, "" for none."""
        options = self._options
        checks = (
            ("-1", version == _VERSION),
            ("-402", key_id == options.key_id),
            ("-401", asked.get("appId") == options.app_id),
            ("-2", asked.get("compress", "0") in ("", "0", "1")),
            ("-202", bool(asked.get("callId")) or _is_window(asked, options.longest_span_s)),
        )
        return next((code for code, passed in checks if not passed), "")

    def _found(self, asked: Mapping[str, str]) -> tuple[list[TrueCall], str]:
        """The page's calls and the cursor after them."""
        if asked.get("callId"):
            offer = self._offers.get(asked["callId"])
            call = self._visible(offer) if offer else None
            return ([call] if call else []), "0"
        start, end = int(asked["startTimeStamp"]), int(asked["endTimeStamp"])
        calls: list[TrueCall] = []
        last = start
        for second, call_id in self._index[bisect.bisect_left(self._index, (start, "")) :]:
            if second > end:
                break
            call = self._visible(self._offers[call_id])
            if call is None or asked.get("src", "") not in ("", tencent.record(call)["src"]):
                continue
            if len(calls) >= self._options.page_records and second > last:
                return calls, str(second)
            calls.append(call)
            last = second
        return calls, "0"

    def _visible(self, offer: Offer) -> TrueCall | None:
        """What the record says now; None while it is not there."""
        now, there_at = self._clock(), offer.call.ended_at + timedelta(seconds=self._options.delay_s)
        if now < there_at:
            return None
        complete = offer.later and now >= there_at + timedelta(seconds=self._options.recording_delay_s)
        return offer.later if complete else offer.call

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        accident = self._accident()
        if accident == "hang":
            await asyncio.sleep(self._options.hang_s)
            _drop(request)
            return web.Response(status=500)
        answer = _accidental(accident) or self.answer(request.match_info["version"], request.query.get("id", ""), body)
        if accident == "cut":
            answer = ApiAnswer(error=accident, body=answer.body[: len(answer.body) // 2])
        response = web.Response(status=answer.status, body=answer.body, content_type="application/json")
        await response.prepare(request)
        await response.write_eof()
        # Counted only now: a page that could not be written whole was not served.
        self._served(answer)
        return response

    def _accident(self) -> str:
        if self._forced:
            return self._forced.popleft()
        return self._rng.choice(_ACCIDENTS) if self._rng.random() < self._options.accident_share else ""

    def _served(self, answer: ApiAnswer) -> None:
        self.pages += not answer.error
        self.errors += bool(answer.error)
        self.records += len(answer.calls)
        fresh = []
        for call in answer.calls:
            offer = self._offers.get(call.call_id)
            mark = (call.call_id, offer is not None and call is offer.later)
            if mark not in self._told:
                self._told.add(mark)
                said = expectation.record(call)
                newest = offer is not None and offer.contradicts
                fresh.append(msgspec.structs.replace(said, rank=1 + mark[1]) if newest else said)
            self._unserved.discard(mark)
        if fresh:
            self._ledger.add(LedgerEntry(vendor="tencent", label="page", told=tuple(fresh), pulled=True))


def _is_window(asked: Mapping[str, str], longest_span_s: int) -> bool:
    start, end = asked.get("startTimeStamp", ""), asked.get("endTimeStamp", "")
    return start.isdecimal() and end.isdecimal() and 0 < int(end) - int(start) <= longest_span_s


def _failure(code: str) -> ApiAnswer:
    return ApiAnswer(error=code, body=tencent.failure(code, _MESSAGES[code]))


def _accidental(what: str) -> ApiAnswer | None:
    if what == "http 502":
        return ApiAnswer(error=what, status=502, body=b"<html><body>502 Bad Gateway</body></html>")
    return _failure(what) if what in _MESSAGES else None


def _drop(request: web.Request) -> None:
    """End the connection without an answer."""
    if request.transport:
        request.transport.close()
