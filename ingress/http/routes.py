"""Routes: which address leads to which vendor's callback, and who may use it, decided from the head of a request alone.

A request that is not for us is therefore refused before a byte of its body is read. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from ingress.access.callers import Callers
from ingress.access.comparing import hashed, is_any, set_ones
from ingress.access.gate import Gate
from ingress.access.networks import inside, networks
from ingress.access.request_head import RequestHead
from ingress.http.proxies import Proxies
from ingress.quota.quotas import Quota, quota_of
from schemas.config.listening import has_admin_port, needs_account
from schemas.config.settings import Account, Settings
from schemas.errors import Rejected
from schemas.vendor_kit.contract import Callback, Vendor

LOOK_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods with which somebody checks that an address is there, as a vendor's console does before it saves one."""
STATUS_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that people and tools read; nobody pushes there."""
_MASK: Final = "***"
_UNKNOWN_ADDRESS: Final = "this address is not known"
_OPEN: Final = Gate((), ())


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The callback that a request is for, before it is known whether its sender may use it."""

    vendor: Vendor
    callback: Callback
    secret: str = ""
    """The secret path segment, "" when the path has none."""

    @property
    def masked_path(self) -> str:
        """The address as it may be logged: no part of it is text of the caller's."""
        account = f"/a/{_MASK}" if self.secret else ""
        return f"/v1{account}/{self.vendor.name}{self.callback.path}"

    @property
    def allow(self) -> str:
        """The methods that the address answers, as the header `Allow` lists them."""
        return ", ".join(sorted({*LOOK_METHODS, *self.callback.methods}))

    def is_look(self, head: RequestHead) -> bool:
        """True for a request that carries no record: somebody checks the address.

        Where a callback takes records by GET, a GET without parameters of its own is still a look.
        """
        if head.method == "GET" and "GET" in self.callback.methods:
            return all(pair.partition("=")[0] in ("", "account") for pair in head.query.split("&"))
        return head.method in LOOK_METHODS


class Router:
    """All routes of one ingress."""

    def __init__(self, settings: Settings, vendors: Mapping[str, Vendor]) -> None:
        self._vendors = vendors
        self._accounts = settings.accounts
        self._secrets = tuple(
            (each, tuple(map(hashed, set_ones(each.secret, each.second_secret))))
            for each in settings.accounts
            if each.secret.value
        )
        self._networks = {(each.vendor, each.name): networks(each.allow) for each in settings.accounts}
        self._gates = {
            (each.vendor, each.name): Gate(each.checks, settings.ingress.trusted_proxies) for each in settings.accounts
        }
        self._callers = Callers(settings.accounts)
        self._quotas = {
            (each.vendor, each.name): quota_of(each, vendors[each.vendor], settings.ingress)
            for each in settings.accounts
            if each.vendor in vendors
        }
        self._require_account = needs_account(settings.ingress)
        self._proxies = Proxies(settings.ingress)
        self._pages = frozenset({"/healthz", "/readyz"}) if has_admin_port(settings.ingress) else STATUS_PATHS
        self._pushed = {tuple(_segments(path)): found for path, found in pushed_paths(vendors).items()}
        self._as_documented = {
            f"/v1{path}": Route(vendor=vendor, callback=callback)
            for path, (vendor, callback) in pushed_paths(vendors).items()
        }

    def match(self, path: str) -> Route:
        """Returns the route of a path; raises Rejected 404, 405 for a status path, and 403 for an unknown secret.

        Where the rest of the path leads to a vendor, an unknown secret is refused later, as that vendor's.
        """
        if (plain := self._as_documented.get(path)) is not None:
            return plain
        if path in self._pages:
            raise Rejected("this page is for reading", code="method", http_status=405)
        version, *rest = _segments(path) or [""]
        if version != "v1" or not rest:
            raise Rejected("no such address: POST to /v1/<vendor>", code="unknown_route", http_status=404)
        secret = ""
        if rest[0] == "a":
            secret, rest = "".join(rest[1:2]), rest[2:]
            if tuple(rest) not in self._pushed and self._by_secret(secret) is None:
                raise _forbidden(_UNKNOWN_ADDRESS)
        found = self._pushed.get(tuple(rest))
        if found is not None:
            vendor, callback = found
            return Route(vendor=vendor, callback=callback, secret=secret)
        if not rest or rest[0] not in self._vendors:
            raise Rejected("no such vendor", code="unknown_route", http_status=404)
        raise Rejected(f"{rest[0]} has no such callback", code="unknown_route", http_status=404)

    def lacks_account(self, route: Route, head: RequestHead) -> bool:
        """True when pushes to this address need an account and it names none; raises Rejected as `authorize` does.

        Anybody may ask, from any network: a console looks from another network than its platform pushes from.
        """
        return self._account(route, head) is None and self._require_account

    def authorize(self, route: Route, head: RequestHead) -> Account | None:
        """Returns the account that the request is for, None when it names none; raises Rejected 400, 403, 405."""
        if head.method not in route.callback.methods:
            methods = " and ".join(route.callback.methods)
            raise Rejected(f"this address takes {methods} only", code="method", http_status=405)
        account = self._account(route, head)
        if account is None:
            if self._require_account:
                raise Rejected("an account is required", code="unknown_account", http_status=403)
            return None
        if account.allow and not inside(self.client(head), self._networks[account.vendor, account.name]):
            raise _forbidden("this network may not push here")
        return account

    def gate(self, account: Account | None) -> Gate:
        """Returns the checks of an account; of a push that names none nothing is demanded."""
        return self._gates[account.vendor, account.name] if account else _OPEN

    def quota(self, account: Account) -> Quota:
        """Returns the bounds on what an account pushes."""
        return self._quotas[account.vendor, account.name]

    def _account(self, route: Route, head: RequestHead) -> Account | None:
        if len(set(head.accounts)) > 1:
            raise Rejected("more than one account is named", code="bad_request", http_status=400)
        named = head.accounts[0] if head.accounts else None
        if route.secret:
            account = self._by_secret(route.secret)
            if account is None:
                raise _forbidden(_UNKNOWN_ADDRESS)
        elif named is not None:
            account = self._by_name(route.vendor.name, named)
        else:
            return self._callers.find(route.vendor.name, head)
        if account is None or (named is not None and account.name != named):
            raise Rejected(f"{route.vendor.name} has no such account", code="unknown_account", http_status=403)
        if account.vendor != route.vendor.name:
            raise _forbidden(_UNKNOWN_ADDRESS)
        if account.secret.value and not route.secret:
            # Otherwise its name, which stands in consoles and logs, would open what the secret protects.
            raise _forbidden("this account is reached by its secret address only")
        return account

    def _by_name(self, vendor: str, name: str | None) -> Account | None:
        return next((a for a in self._accounts if a.vendor == vendor and a.name == name), None)

    def _by_secret(self, secret: str) -> Account | None:
        """Returns the account of a secret; all are compared, in constant time."""
        found = None
        given = secret.encode("utf-8", "surrogatepass")
        for account, wanted in self._secrets:
            if is_any(given, wanted):
                found = account
        return found

    def client(self, head: RequestHead) -> str:
        """Returns the sender's address: that of the connection, or what trusted proxies say."""
        return self._proxies.sender(head.peer, head.forwarded_for)


def pushed_paths(vendors: Mapping[str, Vendor]) -> dict[str, tuple[Vendor, Callback]]:
    """Returns the addresses below `/v1` with the callbacks that they lead to."""
    return {
        f"/{vendor.name}{callback.path}": (vendor, callback)
        for vendor in vendors.values()
        for callback in vendor.callbacks
        if vendor.poll is None or vendor.poll.callback != callback.name  # a record that we pull cannot be pushed
    }


def _segments(path: str) -> list[str]:
    """Returns the segments between slashes: consoles double slashes, append one, and encode letters without need."""
    return [unquote(segment, errors="surrogateescape") for segment in path.split("/") if segment]


def _forbidden(sentence: str) -> Rejected:
    return Rejected(sentence, code="forbidden", http_status=403)
