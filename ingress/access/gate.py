"""All checks of one account, put together from the settings: those of the head, and those of the body.

Pure: no I/O, no clock.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from ingress.access.proofs.credentials import api_key, basic, bearer, mtls
from ingress.access.proofs.signed import signed
from ingress.access.proofs.svix import svix
from ingress.access.proofs.twilio import twilio
from ingress.access.proofs.wsse import wsse
from ingress.access.request_head import RequestHead
from ingress.access.verdict import BodyCheck, HeadCheck, Proof, Refusal, Verdict
from schemas.config.caller_checks import ApiKey, Basic, Bearer, Check, Hmac, Md5, Mtls, Svix, Twilio, Wsse
from schemas.errors import Rejected

_OF_HEAD: Final[Mapping[type[Check], Callable[[Any], HeadCheck]]] = {
    Basic: basic, Bearer: bearer, ApiKey: api_key, Wsse: wsse,
}  # fmt: skip
_OF_BODY: Final[Mapping[type[Check], Callable[[Any], BodyCheck]]] = {
    Hmac: signed, Md5: signed, Twilio: twilio, Svix: svix,
}  # fmt: skip


class Gate:
    """The checks of one account, all of which must hold."""

    def __init__(self, checks: tuple[Check, ...], proxies: tuple[str, ...]) -> None:
        self._of_head = tuple(
            mtls(each, proxies) if isinstance(each, Mtls) else _OF_HEAD[type(each)](each)
            for each in checks
            if isinstance(each, Mtls) or type(each) in _OF_HEAD
        )
        self._of_body = tuple(_OF_BODY[type(each)](each) for each in checks if type(each) in _OF_BODY)

    def pass_head(self, head: RequestHead, now: datetime) -> tuple[Proof, ...]:
        """Returns what is good for one request only; raises Rejected 401, 403 before the body is read."""
        return _all_hold([check(head, now) for check in self._of_head])

    def pass_body(self, head: RequestHead, body: bytes, now: datetime) -> tuple[Proof, ...]:
        """Returns what is good for one request only; raises Rejected 403."""
        return _all_hold([check(head, body, now) for check in self._of_body])


def _all_hold(verdicts: list[Verdict]) -> tuple[Proof, ...]:
    for verdict in verdicts:
        if isinstance(verdict, Refusal):
            raise Rejected(
                verdict.sentence, code=verdict.code, http_status=verdict.http_status, challenge=verdict.challenge
            )
    return tuple(verdict for verdict in verdicts if isinstance(verdict, Proof))
