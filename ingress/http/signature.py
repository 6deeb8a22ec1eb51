"""Checks the vendor's signature of a push with the signing secrets of its account. Pure: no I/O, no clock."""

from ingress.access.request_head import RequestHead
from ingress.http.routes import Route
from schemas.config.settings import Account
from schemas.errors import Rejected


def require_signature(route: Route, account: Account | None, head: RequestHead, body: bytes) -> None:
    """Raises Rejected 403 `bad_signature` unless the vendor has signed a push for an account with signing secrets.

    A callback that cannot be checked is refused as well: one without `verify`, or whose `verify` raises or returns
    anything but True.
    """
    if account is None or not account.signing_secrets:
        return
    secrets = tuple(secret.value for secret in account.signing_secrets)
    try:
        signed = route.callback.verify is not None and route.callback.verify(head.pushed(), body, secrets)
    except Exception as exc:  # a vendor's function promises not to raise; if it does, nothing is proven
        raise _unsigned() from exc
    if signed is not True:
        raise _unsigned()


def _unsigned() -> Rejected:
    return Rejected("no signing secret of this account signs this push", code="bad_signature", http_status=403)
