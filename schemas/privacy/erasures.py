"""Erasures: whose data are erased up to which instant, and the list of them by which every part goes. Pure.

What was received at an erasure's instant or before is erased wherever it comes from: a replay, a spool, a state from
before. What is received later is new and stays. A number stands in the list as a keyed hash of each of its forms, so
that the list itself tells nobody a number.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

import msgspec

from schemas.errors import SetupError
from schemas.facts import EPOCH, Fact
from schemas.privacy.blanking import blanked
from schemas.privacy.number_forms import IsErased, forms
from schemas.privacy.tokens import NumberTokens
from schemas.timeline import Timeline

_CHECK: Final = "callweave key"
_CHECK_CHARS: Final = 16
_CACHED: Final = 1 << 15


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the list."""

    subject: Literal["number", "account"]
    digests: tuple[str, ...] = ()
    """Keyed hashes of all forms of the number, that of its canonical form first; none for an account."""
    account: str = ""
    """The configured account that is erased, or the only one in which the number is; "": in all."""
    at: datetime = EPOCH
    """The latest instant of receipt that it covers."""
    reason: str = ""
    actor: str = ""
    """The user and the machine, as `ann@host`."""
    key_check: str = ""
    """A hash of the key of the digests: under another key they would say nothing."""

    @property
    def name(self) -> str:
        """The words by which lists and proofs name it, which are no number."""
        return f"number {self.digests[0]}" if self.digests else f"account {self.account}"

    @property
    def topic_key(self) -> bytes:
        """The key on the topic: a later erasure of the same replaces an earlier one."""
        return "|".join((self.subject, self.account, *self.digests[:1])).encode()


def key_check(tokens: NumberTokens) -> str:
    """Returns what tells one key from another, and nothing else of it."""
    return tokens.erasure_digest(_CHECK)[:_CHECK_CHARS]


def erasure_of_number(number: str, tokens: NumberTokens, at: datetime, **fields: str) -> Erasure:
    """Returns the entry for a canonical number."""
    digests = tuple(map(tokens.erasure_digest, forms(number)))
    return Erasure(subject="number", digests=digests, at=at, key_check=key_check(tokens), **fields)


class Erasures:
    """The list as a part holds it; it is false while nothing was ever erased."""

    def __init__(self, tokens: NumberTokens, entries: Iterable[Erasure] = ()) -> None:
        self._tokens = tokens
        self._digest = lru_cache(_CACHED)(tokens.erasure_digest)
        self._newest = EPOCH
        self._numbers: Mapping[str, Mapping[str, datetime]] = {}
        """Digest to account ("" for all) to the latest instant."""
        self._accounts: Mapping[str, datetime] = {}
        self.revision = 0
        """Grows with every entry."""
        for entry in entries:
            self.take(entry)

    def __bool__(self) -> bool:
        return self.revision > 0

    def take(self, entry: Erasure) -> None:
        """Adds an entry; raises `SetupError` for a number under a key that this part does not have."""
        if entry.subject == "account":
            self._accounts = {**self._accounts, entry.account: self._later(self._accounts, entry.account, entry.at)}
        else:
            self._require_key(entry)
            # New maps: a body may be compared with the old ones in another thread.
            numbers = dict(self._numbers)
            for digest in entry.digests:
                known = numbers.get(digest, {})
                numbers[digest] = {**known, entry.account: self._later(known, entry.account, entry.at)}
            self._numbers = numbers
        self._newest = max(self._newest, entry.at)
        self.revision += 1

    @staticmethod
    def _later(known: Mapping[str, datetime], account: str, at: datetime) -> datetime:
        return max(at, known.get(account, EPOCH))

    def _require_key(self, entry: Erasure) -> None:
        if self._tokens and entry.key_check == key_check(self._tokens):
            return
        how = "was made under another key" if self._tokens else "cannot be carried out without the key"
        raise SetupError(
            f"an erasure of {entry.at:%Y-%m-%d %H:%M:%S} {how}: its number would come back",
            code="erasure_key",
            advice="Set privacy.key to the key that there was when `callweave erase` ran.",
        )

    def concern(self, received_at: datetime) -> bool:
        """True when something that was received at this instant may have to be erased."""
        return received_at <= self._newest

    def has_account(self, account: str, received_at: datetime) -> bool:
        """True when all of this account that was received at this instant is erased."""
        return bool(account) and received_at <= self._accounts.get(account, EPOCH)

    def test(self, account: str, received_at: datetime) -> IsErased:
        """Returns the test for numbers of something that this account received at this instant."""
        numbers, digest = self._numbers, self._digest

        def is_erased(number: str) -> bool:
            found = numbers.get(digest(number))
            return found is not None and any(
                scope in ("", account) and received_at <= at for scope, at in found.items()
            )

        return is_erased

    def fact(self, fact: Fact, first_received_at: datetime | None = None) -> Fact | None:
        """Returns the fact as it may be stored: the very same one, a blanked one, or None.

        `first_received_at` is the first receipt of its call, where it is known.
        """
        earlier = (first_received_at,) if first_received_at is not None else ()
        received_at = min((fact.received_at, *earlier, *(content.received_at for content in fact.contents)))
        if received_at > self._newest:
            return fact
        if self.has_account(fact.account, received_at):
            return None
        return blanked(fact, self.test(fact.account, received_at)) if self._numbers else fact

    def timeline(self, timeline: Timeline) -> Timeline | None:
        """Returns the call as it may be stored: the very same one, a blanked one, or None."""
        received_at = timeline.first_received_at
        if received_at > self._newest:
            return timeline
        if self.has_account(timeline.account, received_at):
            return None
        return blanked(timeline, self.test(timeline.account, received_at)) if self._numbers else timeline


NO_ERASURES: Final = Erasures(NumberTokens(""))
"""The list of who erases nothing; it must stay empty."""
