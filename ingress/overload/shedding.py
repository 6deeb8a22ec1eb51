"""Answers a push before it is parsed when there is no room for it: a refusal must cost far less than what it refuses.

Only a request that is whole, plain and alone in the received bytes is read here, by its first line and its length; any
other is parsed and refused by the handlers. Pure: bytes in, bytes out.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from ingress.http.responses import RETRY_AFTER_S
from ingress.http.routes import pushed_paths
from schemas.vendor_kit.contract import Reply, Vendor

_FIRST_LINE: Final = re.compile(rb"POST (/v1/[!-~]{1,1000}) HTTP/1\.1\r\n")
_LENGTH: Final = re.compile(rb"\ncontent-length: *(\d{1,9})\r")
_NOT_PLAIN: Final = (b"\ntransfer-encoding", b"\nexpect", b"\nupgrade", b"\nconnection: close")


class ShedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response to one callback's push when there is no room."""

    vendor: str
    callback: str
    no_retry: bool
    response: bytes


class LoadShedder:
    """Holds the refusals of all callbacks."""

    def __init__(self, vendors: Mapping[str, Vendor]) -> None:
        self._by_path = {
            f"/v1{path}".encode(): ShedResponse(
                vendor=vendor.name,
                callback=callback.name,
                no_retry=vendor.sends_at_most == 1,
                response=_response(vendor.retry),
            )
            for path, (vendor, callback) in pushed_paths(vendors).items()
            if "POST" in callback.methods
        }

    def refusal(self, data: bytes) -> ShedResponse | None:
        """Returns the refusal of `data` when it is one whole request that can be answered in this way."""
        first = _FIRST_LINE.match(data)
        if first is None:
            return None
        found = self._by_path.get(_path(first[1]))
        end = data.find(b"\r\n\r\n", first.end() - 2)
        if found is None or end < 0:
            return None
        head = data[first.end() - 2 : end + 1].lower()
        lengths = _LENGTH.findall(head)
        if len(lengths) != 1 or end + 4 + int(lengths[0]) != len(data) or any(word in head for word in _NOT_PLAIN):
            return None
        return found


def _path(target: bytes) -> bytes:
    """Returns the address without its query and its secret.

    Whether the secret is known does not matter to a refusal.
    """
    path = target.partition(b"?")[0].removesuffix(b"/")
    if path.startswith(b"/v1/a/"):
        return b"/v1/" + path.removeprefix(b"/v1/a/").partition(b"/")[2]
    return path


def _response(reply: Reply) -> bytes:
    headers = [("Content-Type", reply.content_type), *reply.headers]
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", RETRY_AFTER_S))
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(reply.body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + reply.body
