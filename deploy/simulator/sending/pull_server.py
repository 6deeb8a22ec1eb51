"""The pull API of a vendor, served over HTTP: windows, a cursor, accidents, and records that come late.

A call appears some time after it ended, in the window of its start. The cursor is the start second of the first record
that did not fit; every page takes whole seconds, so that going on from the cursor always gets further. The wire format
is the vendor's own (`PullApi`).
"""

import asyncio
import bisect
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from deploy.simulator.calls import parties
from deploy.simulator.calls.truth import TrueCall
from deploy.simulator.requests import Offer
from deploy.simulator.sending.ledger import Ledger, LedgerEntry
from deploy.simulator.vendor_contract import PullApi, PullQuery, PullServerOptions
from deploy.simulator.vendors import expected_record

_BAD_GATEWAY: Final = b"<html><body>502 Bad Gateway</body></html>"
_NETWORK_ACCIDENTS: Final = ("http 502", "hang", "cut")
"""A proxy's page, no answer at all, half an answer."""


class PullAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request."""

    body: bytes
    status: int = 200
    error: str = ""
    calls: tuple[TrueCall, ...] = ()


class PullServer:
    """A vendor's records and their HTTP server; every page that went out whole is noted in the ledger."""

    def __init__(
        self, name: str, api: PullApi, options: PullServerOptions, *, ledger: Ledger, clock: Callable[[], datetime]
    ) -> None:
        """`name` is the vendor's."""
        self._name = name
        self._api = api
        self._options = options
        self._ledger = ledger
        self._clock = clock
        self._rng = parties.seeded(f"{api.name}/{options.seed}")
        self._index: list[tuple[int, str]] = []
        self._offers: dict[str, Offer] = {}
        self._unserved: set[tuple[str, bool]] = set()
        self._served: set[tuple[str, bool]] = set()
        self._forced: deque[str] = deque()
        self.pages = 0
        self.records = 0
        self.errors = 0

    @property
    def pending(self) -> int:
        """The number of records, and of their later versions, that nobody has pulled yet."""
        return len(self._unserved)

    def add(self, offer: Offer) -> None:
        """Takes a call; its record can be pulled when the call has ended and settled."""
        bisect.insort(self._index, (int(offer.call.started_at.timestamp()), offer.call.call_id))
        self._offers[offer.call.call_id] = offer
        # A record may be pulled for the first time when its recording is there: only its last version must be.
        self._unserved.add((offer.call.call_id, offer.later is not None))
        oldest = int(self._clock().timestamp()) - self._options.keep_s
        while self._index and self._index[0][0] < oldest:
            _, call_id = self._index.pop(0)
            del self._offers[call_id]
            self._unserved -= {(call_id, False), (call_id, True)}
            self._served -= {(call_id, False), (call_id, True)}

    def force(self, what: str) -> None:
        """Answers the next request with one of the vendor's codes, or with "http 502", "hang" or "cut"."""
        self._forced.append(what)

    def add_routes(self, app: web.Application) -> None:
        """Adds this vendor's address to an HTTP application."""
        app.router.add_post(self._api.route, self._handle)

    def _answer(self, route: dict[str, str], key_id: str, body: bytes) -> PullAnswer:
        """The answer of a vendor in good health."""
        query = self._api.read(route, key_id, body, self._options)
        if isinstance(query, str):
            return self._failure(query)
        calls, cursor = self._found(query)
        if query.call_id and not calls:
            return self._failure(self._api.unknown_call)
        return PullAnswer(body=self._api.page(calls, cursor, query.compressed), calls=tuple(calls))

    def _found(self, query: PullQuery) -> tuple[list[TrueCall], str]:
        """The page's calls and the cursor after them."""
        if query.call_id:
            offer = self._offers.get(query.call_id)
            call = self._visible(offer) if offer else None
            return ([call] if call else []), "0"
        calls: list[TrueCall] = []
        last = query.start_s
        for second, call_id in self._index[bisect.bisect_left(self._index, (query.start_s, "")) :]:
            if second > query.end_s:
                break
            call = self._visible(self._offers[call_id])
            if call is None or query.party not in ("", self._api.party(call)):
                continue
            if len(calls) >= self._options.page_records and second > last:
                return calls, str(second)
            calls.append(call)
            last = second
        return calls, "0"

    def _visible(self, offer: Offer) -> TrueCall | None:
        """The call as its record describes it now; None while the record is not there."""
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
        route, key_id = dict(request.match_info), request.query.get("id", "")
        answer = self._accidental(accident) or self._answer(route, key_id, body)
        if accident == "cut":
            answer = PullAnswer(error=accident, body=answer.body[: len(answer.body) // 2])
        response = web.Response(status=answer.status, body=answer.body, content_type="application/json")
        await response.prepare(request)
        await response.write_eof()
        # Counted only now: a page that could not be written whole was not served.
        self._note(answer)
        return response

    def _accident(self) -> str:
        if self._forced:
            return self._forced.popleft()
        accidents = (*self._api.accidents, *_NETWORK_ACCIDENTS)
        return self._rng.choice(accidents) if self._rng.random() < self._options.accident_share else ""

    def _accidental(self, what: str) -> PullAnswer | None:
        if what == "http 502":
            return PullAnswer(error=what, status=502, body=_BAD_GATEWAY)
        return self._failure(what) if what in self._api.codes else None

    def _failure(self, code: str) -> PullAnswer:
        return PullAnswer(error=code, body=self._api.failure(code))

    def _note(self, answer: PullAnswer) -> None:
        self.pages += not answer.error
        self.errors += bool(answer.error)
        self.records += len(answer.calls)
        fresh = []
        for call in answer.calls:
            offer = self._offers.get(call.call_id)
            mark = (call.call_id, offer is not None and call is offer.later)
            if mark not in self._served:
                self._served.add(mark)
                expected = expected_record(call)
                newest = offer is not None and offer.contradicts
                fresh.append(msgspec.structs.replace(expected, rank=1 + mark[1]) if newest else expected)
            self._unserved.discard(mark)
        if fresh:
            self._ledger.add(LedgerEntry(vendor=self._name, label="page", expected=tuple(fresh), pulled=True))


def _drop(request: web.Request) -> None:
    """Ends the connection without an answer."""
    if request.transport:
        request.transport.close()
