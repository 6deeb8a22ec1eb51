"""Decides whose word about a sender's address is believed: that of named proxies, by count. Pure."""

from ingress.access.networks import inside, networks
from schemas.config.settings import IngressSettings


class Proxies:
    """The proxies before one ingress."""

    def __init__(self, ingress: IngressSettings) -> None:
        self._count = ingress.trust_forwarded_for
        self._networks = networks(ingress.trusted_proxies)

    def trusts(self, peer: str) -> bool:
        """True when a connection from this address is one of a named proxy's."""
        return inside(peer, self._networks)

    def sender(self, peer: str, forwarded_for: str) -> str:
        """Returns the sender's address: each trusted proxy appends one entry, and the first of those is the sender.

        Where networks are named, a peer outside them is the sender itself, whatever it says.
        """
        if not self._count or (self._networks and not self.trusts(peer)):
            return peer
        entries = [part.strip() for part in forwarded_for.split(",") if part.strip()]
        return entries[-self._count] if len(entries) >= self._count else peer
