"""The same realistic bodies for every benchmark: the simulator's traffic without broken ones, made beforehand."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS, tencent
from ingress.access.request_head import RequestHead
from ingress.http.routes import Router
from processors.normalise import Directory, Normalised, normalise
from processors.records import Record
from schemas.config.limits import DEFAULT
from schemas.config.settings import Settings
from schemas.facts import Fact
from schemas.identity import call_key
from schemas.raw import Position, RawCallback
from schemas.topics import RAW
from schemas.vendors import VENDORS
from tests.support.http.accepting import accept_request

AT: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
_PAGE: Final = 100


class Keyed(msgspec.Struct, frozen=True):
    """A callback and its key, before it is a record of `calls.raw`."""

    key: bytes
    raw: RawCallback

    def record(self, offset: int) -> Record:
        """Returns the record as the normaliser reads it."""
        at_ms = int(self.raw.received_at.timestamp() * 1000)
        headers = tuple(self.raw.headers())
        return Record(offset=offset, timestamp_ms=at_ms, key=self.key, value=self.raw.body, headers=headers)


def push_requests(calls: int, *vendors: str, seed: int = 1, at: datetime = AT) -> list[PushRequest]:
    """Returns the requests of some calls of pushing vendors: with disorder and 5 % repetitions, nothing broken."""
    mix = Mix(broken=0, bad_element=0, compressed=0)
    shares = {vendor: SIMULATED_VENDORS[vendor].share for vendor in vendors}
    stream = Traffic(seed=seed, vendors=shares, mix=mix, clock=lambda: at).stream(calls)
    return [item for item in stream if isinstance(item, PushRequest)]


def pushed(requests: Iterable[PushRequest], at: datetime = AT) -> list[Keyed]:
    """Returns the callbacks that the ingress makes of requests that come at this instant."""
    router, keyed = Router(Settings(), VENDORS), []
    for number, request in enumerate(requests):
        head = RequestHead(method=request.method, path=request.path, content_type=dict(request.headers)["Content-Type"])
        taken = accept_request(router, head, request.body, now=at, request_id=f"r{number}")
        keyed.append(Keyed(taken.key, taken.raw))
    return keyed


def pulled(calls: int) -> list[Keyed]:
    """Returns pages of the vendor that is pulled from, compressed and full."""
    stream = Traffic(seed=1, vendors={"tencent": 1}, mix=Mix(), clock=lambda: AT).stream(calls)
    records = [tencent.record(item.call) for item in stream if isinstance(item, Offer)]
    bodies = [
        tencent.page(records[start : start + _PAGE], "0", compressed=True) for start in range(0, len(records), _PAGE)
    ]
    (callback,) = VENDORS["tencent"].callbacks
    return [
        Keyed(
            call_key("tencent", "", "").encode(),
            RawCallback(
                vendor="tencent",
                callback=callback.name,
                received_at=AT,
                request_id=f"p{n}",
                content_encoding="deflate",
                source="poll",
                body=body,
            ),
        )
        for n, body in enumerate(bodies)
    ]


def outcomes(raws: Sequence[Keyed], first_offset: int = 0) -> list[Normalised]:
    """Returns the normalised callbacks, in order."""
    accounts = Directory()
    return [
        normalise(each.raw, Position(RAW.name, 0, number), accounts, DEFAULT)
        for number, each in enumerate(raws, first_offset)
    ]


def facts(raws: Sequence[Keyed]) -> list[Fact]:
    """Returns all facts of the bodies, in order."""
    return [fact for outcome in outcomes(raws) for fact in outcome.facts]
