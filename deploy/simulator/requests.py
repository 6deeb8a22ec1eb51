"""The output of the simulator: one HTTP request of a push, or one call offered to those who pull."""

import gzip
import json
import zlib
from typing import Final

import msgspec

from deploy.simulator.calls.truth import TrueCall
from deploy.simulator.expectation import Expectation

_JSON: Final = "application/json;charset=utf-8"


class PushRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and what must become of each of its elements once it is acknowledged."""

    vendor: str
    label: str
    """The kind of request: record, state, binding, batch, update, conflict, repeat, or broken and how."""
    method: str = "POST"
    path: str
    headers: tuple[tuple[str, str], ...] = (("Content-Type", _JSON),)
    body: bytes
    expected: tuple[Expectation, ...]
    mark: str = ""
    """A name by which a later request can wait for this one's acknowledgement."""
    waits_for: str = ""
    """The mark of the request that must be acknowledged before this one leaves; if it is given up, so is this one."""


def pushed(vendor: str, label: str, path: str, body: bytes, *expected: Expectation) -> PushRequest:
    """Returns a plain request."""
    return PushRequest(vendor=vendor, label=label, path=path, body=body, expected=expected)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A call for the pull API; `later` is the call as its record describes it once the recording is there."""

    vendor: str
    call: TrueCall
    later: TrueCall | None = None
    contradicts: bool = False
    """True when the later record contradicts the first one, and counts."""


def labelled(request: PushRequest, label: str) -> PushRequest:
    """Returns the same request with another label."""
    return msgspec.structs.replace(request, label=label)


def as_text(request: PushRequest) -> PushRequest:
    """Returns the same body under the content type text/plain."""
    return msgspec.structs.replace(request, headers=(("Content-Type", "text/plain"),))


def compressed(request: PushRequest, encoding: str) -> PushRequest:
    """Returns the same request with a compressed body; `encoding` is gzip or deflate."""
    # Without its time of day in the header, gzip gives the same bytes for the same body.
    body = gzip.compress(request.body, mtime=0) if encoding == "gzip" else zlib.compress(request.body)
    return msgspec.structs.replace(request, body=body, headers=(*request.headers, ("Content-Encoding", encoding)))


def without(body: bytes, key: str) -> bytes:
    """Returns a JSON object's text without one of its keys; the body is in UTF-8 or GB 18030."""
    try:
        fields = json.loads(body)
    except UnicodeDecodeError:
        fields = json.loads(body.decode("gb18030"))
    del fields[key]
    return json.dumps(fields, ensure_ascii=False).encode()
