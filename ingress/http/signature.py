"""Checks the vendor's signature of a push with the signing secrets of its account. Pure: no I/O, no clock."""

import logging
from collections.abc import Callable
from typing import Final

from ingress.http.routes import Route
from schemas.config.settings import Account
from schemas.errors import Rejected
from schemas.vendor_kit.contract import PushHead

_log: Final = logging.getLogger("callweave.ingress")


def require_signature(route: Route, account: Account | None, head: Callable[[], PushHead], body: bytes) -> None:
    """Raises Rejected 403 `bad_signature` unless the vendor has signed a push for an account with signing secrets.

    A callback that cannot be checked is refused as well: one without `verify`, or whose `verify` raises or returns
    anything but True. `head` is only called when there is something to check.
    """
    if account is None or not account.signing_secrets:
        return
    secrets = tuple(secret.value for secret in account.signing_secrets)
    try:
        signed = route.callback.verify is not None and route.callback.verify(head(), body, secrets)
    except Exception as exc:  # noqa: BLE001  # a vendor's function promises not to raise; if it does, nothing is proven
        # Only the type: the message may quote a secret.
        what = type(exc).__name__
        _log.error("verify raised %s: vendor=%s callback=%s", what, route.vendor.name, route.callback.name)
        signed = False
    if signed is not True:
        raise Rejected("no signing secret of this account signs this push", code="bad_signature", http_status=403)
