"""Remembers proofs that are good for one request, so that a captured one brings no other request in.

A vendor that got no answer, or our retry answer, sends the very same request again: that is no replay. So a proof is
remembered with the request that it came with, and whether that request was acknowledged:

| the proof comes | with | then |
|---|---|---|
| for the first time | | it is taken |
| again | the same request, not acknowledged | it is taken |
| again | the same request, acknowledged | it is acknowledged again and not stored: it is already durable |
| again | another request | it is refused |

Each process remembers what it saw itself, until the proof's own time is too old, and forgets all at its end. With
several processes one captured proof may therefore come in once through each of them, within its tolerance; and as
the oldest go where there are too many, a replay is bounded and not impossible.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from ingress.access.request_head import RequestHead, as_sent
from ingress.access.verdict import Proof
from schemas.errors import Rejected

MOST_PROOFS: Final = 100_000
"""Most proofs of one account that are remembered, in some 30 MB: at a tolerance of 300 s, 160 pushes a second."""

Account = tuple[str, str]
"""Vendor and name."""
Seen = Literal["new", "again", "acknowledged", "replayed"]


class _Memory(msgspec.Struct, gc=False):
    """The request that a proof came with."""

    request: bytes
    until_s: float
    acknowledged: bool = False


class Replays:
    """The proofs that one process has seen, by account. It outlives every reading of the settings."""

    def __init__(self, most: int = MOST_PROOFS) -> None:
        self._most = most
        self._seen: dict[Account, OrderedDict[bytes, _Memory]] = {}

    def admit(self, account: Account, proofs: Sequence[Proof], request: bytes, now_s: float) -> bool:
        """Returns False for a request that is durable already; raises Rejected 403 `replayed`."""
        seen = self.enter(account, proofs, request, now_s)
        if seen == "replayed":
            raise Rejected("this proof came with another request before", code="replayed", http_status=403)
        return seen != "acknowledged"

    def enter(self, account: Account, proofs: Sequence[Proof], request: bytes, now_s: float) -> Seen:
        """Notes the proofs of a request that passed all checks, and returns what is known of them."""
        seen = self._seen.setdefault(account, OrderedDict())
        known = [memory for proof in proofs if (memory := self._known(seen, proof, now_s)) is not None]
        if any(memory.request != request for memory in known):
            return "replayed"
        for proof in proofs:
            seen.setdefault(proof.digest, _Memory(request, proof.until_s))
        while len(seen) > self._most or (seen and next(iter(seen.values())).until_s < now_s):
            seen.popitem(last=False)
        if not known:
            return "new"
        return "acknowledged" if all(memory.acknowledged for memory in known) else "again"

    def acknowledge(self, account: Account, proofs: Sequence[Proof]) -> None:
        """Notes that the request with these proofs is durable, so that it need not be stored again."""
        seen = self._seen.get(account, OrderedDict())
        for proof in proofs:
            if memory := seen.get(proof.digest):
                memory.acknowledged = True

    def _known(self, seen: OrderedDict[bytes, _Memory], proof: Proof, now_s: float) -> _Memory | None:
        memory = seen.get(proof.digest)
        return memory if memory is not None and memory.until_s >= now_s else None


def request_id_of(head: RequestHead, body: bytes) -> bytes:
    """Returns a hash of all of a request that is stored or decides how it is read."""
    made = hashlib.blake2b(digest_size=16)
    for part in (head.method, head.sent_path, head.query, head.content_type, head.content_encoding):
        text = as_sent(part)
        made.update(b"%d:%s" % (len(text), text))
    made.update(body)
    return made.digest()
