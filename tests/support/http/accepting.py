"""The record that the ingress makes of a whole request, without HTTP, limits and a publisher."""

from datetime import datetime

from ingress.access.request_head import RequestHead
from ingress.http.accept import Accepted, accept
from ingress.http.routes import Router


def accept_request(router: Router, head: RequestHead, body: bytes, *, now: datetime, request_id: str) -> Accepted:
    """Matches, authorizes and stamps one request; raises Rejected as the ingress does."""
    route = router.match(head.path)
    account = router.authorize(route, head)
    return accept(route, account.name if account else "", head, body, now=now, request_id=request_id)
