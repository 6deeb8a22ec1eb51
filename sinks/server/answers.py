"""Connections on which only a whole answer of ClickHouse counts as one.

Python's http.client takes the end of a connection for the end of an answer's head. A server that is killed while it
writes one, or a proxy that breaks off, would thus have answered "200, nothing": no migration was applied, no row was
found. An answer of ClickHouse says how long its body is or that it comes in chunks, and has headers of its own.
"""

from http import HTTPStatus
from typing import Any

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager
from urllib3.exceptions import ProtocolError

from sinks.server.trouble import BrokenAnswerError, StrangeAnswerError


class WholeAnswers(PoolManager):
    """The connections of one client."""

    def urlopen(self, *args: Any, **kwargs: Any) -> BaseHTTPResponse:
        """Returns the answer to a request; raises `BrokenAnswerError`, `StrangeAnswerError` and urllib3's errors."""
        answer = super().urlopen(*args, **kwargs)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            fault = _fault(answer)
            if fault is not None:
                answer.close()
                raise fault
        return answer


class WholeAnswersByProxy(WholeAnswers, ProxyManager):
    """The connections of one client through a proxy."""


def _fault(answer: BaseHTTPResponse) -> ProtocolError | None:
    headers = answer.headers
    if "Content-Length" not in headers and headers.get("Transfer-Encoding", "").lower() != "chunked":
        return BrokenAnswerError("an answer ended within its head")
    if not any(name.lower().startswith("x-clickhouse-") for name in headers):
        return StrangeAnswerError("an answer has no header of ClickHouse's")
    return None
