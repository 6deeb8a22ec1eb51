"""What leaves the simulator: one HTTP request of a push, or one call offered to those who pull."""

import gzip
import zlib
from typing import Final

import msgspec

from deploy.simulator.calls.truth import TrueCall
from deploy.simulator.expectation import Expectation

_JSON: Final = "application/json;charset=utf-8"


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and what its elements tell once it is acknowledged."""

    vendor: str
    label: str
    """What it is: record, state, binding, batch, update, conflict, repeat, or broken and how."""
    method: str = "POST"
    path: str
    headers: tuple[tuple[str, str], ...] = (("Content-Type", _JSON),)
    body: bytes
    told: tuple[Expectation, ...]
    mark: str = ""
    """A name by which a later request can wait for this one's acknowledgement."""
    waits_for: str = ""
    """The mark of the request that must be acknowledged before this one leaves; if that is given up, this one never does."""


def pushed(vendor: str, label: str, path: str, body: bytes, *tellings: Expectation) -> Send:
    """A plain request."""
    return Send(vendor=vendor, label=label, path=path, body=body, told=tellings)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A call for the pull API; `later` is what its record says once the recording is there."""

    vendor: str
    call: TrueCall
    later: TrueCall | None = None
    contradicts: bool = False
    """Whether the later record says something else than the first one did, and counts."""


def labelled(send: Send, label: str) -> Send:
    """The same request under another name."""
    return msgspec.structs.replace(send, label=label)


def as_text(send: Send) -> Send:
    """The same body under a content type that says less than it is."""
    return msgspec.structs.replace(send, headers=(("Content-Type", "text/plain"),))


def compressed(send: Send, encoding: str) -> Send:
    """The same request with a compressed body; `encoding` is gzip or deflate."""
    # Without its time of day in the header, gzip gives the same bytes for the same body.
    body = gzip.compress(send.body, mtime=0) if encoding == "gzip" else zlib.compress(send.body)
    return msgspec.structs.replace(send, body=body, headers=(*send.headers, ("Content-Encoding", encoding)))
