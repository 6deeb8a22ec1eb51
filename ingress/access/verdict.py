"""The outcome of one check. Pure: no I/O, no clock."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from ingress.access.request_head import RequestHead
from schemas.errors import RejectCode


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A check that does not hold; the sentence quotes nothing of the request."""

    code: RejectCode
    sentence: str
    challenge: str = ""
    """The header `WWW-Authenticate` of a 401."""

    @property
    def http_status(self) -> int:
        """401 where credentials are asked for, 403 for all else."""
        return 401 if self.challenge else 403


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A check that holds by something that is good for one request only."""

    digest: bytes
    """The digest or signature that we computed, so that no other spelling of it is another proof."""
    until_s: float
    """The time (Unix seconds) after which its own time is too old."""


Verdict = Refusal | Proof | None
"""None: the check holds, and nothing says that it may do so once only."""
HeadCheck = Callable[[RequestHead, datetime], Verdict]
BodyCheck = Callable[[RequestHead, bytes, datetime], Verdict]

UNSIGNED: Final = Refusal(code="bad_signature", sentence="no key of this account signs this push")
STALE: Final = Refusal(code="stale", sentence="the time of this signature is too far from ours")
