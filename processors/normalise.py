"""A raw body to canonical facts: decode, take apart, map each element, seal. Pure: any bytes give facts or dead letters.

One bad element of a batch fails alone. What our own code raises is a dead letter too (`adapter_bug`), never an exception:
the vendor has been told that we have it.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from processors.versions import completeness, record_version, standing
from schemas.body.document import Decoded, decode, flags_of
from schemas.config.limits import Limits
from schemas.config.settings import Account
from schemas.dead_letter import DeadLetter, hash_of
from schemas.errors import DeadCode, Undecodable, raised_at
from schemas.facts import Fact
from schemas.identity import seal
from schemas.raw import Position, RawCallback
from schemas.resolution import CALLBACK as RESOLUTION
from schemas.resolution import resolution_fact
from schemas.vendor_kit.contract import Callback, Context, Filtered, Vendor
from schemas.vendors import VENDORS

_log: Final = logging.getLogger(__name__)

ORIGINALS_PER_BODY: Final = 16
"""Dead letters of one body that carry it; more would multiply a large body by its bad elements."""
_ORIGINAL_BYTES: Final = 4 * 1024 * 1024
"""All that they carry together, beside the first."""
WHOLE_BODY: Final = -1


class Address(msgspec.Struct, frozen=True):
    """What may come by the address of one configured account, or by one that names none."""

    external_ids: frozenset[str] = frozenset()
    foreign_ids: frozenset[str] = frozenset()
    cost_limits: Mapping[str, int] = {}


class Directory(msgspec.Struct, frozen=True):
    """The configured accounts, as mappings need them: by vendor and account, "" for a push that named none."""

    addresses: Mapping[tuple[str, str], Address] = {}
    known_ids: Mapping[str, frozenset[str]] = {}

    def address(self, vendor: str, account: str) -> Address:
        """That account's; an account that is configured no longer is as good as none."""
        return self.addresses.get((vendor, account)) or self.addresses.get((vendor, ""), _ANYBODY)


_ANYBODY: Final = Address()


def directory(accounts: tuple[Account, ...]) -> Directory:
    """Index the accounts of the settings."""
    addresses: dict[tuple[str, str], Address] = {}
    known: dict[str, frozenset[str]] = {}
    for vendor in {account.vendor for account in accounts}:
        ours = [account for account in accounts if account.vendor == vendor]
        known[vendor] = _ids(*ours)
        limits = {external_id: account.cost_limit for account in ours for external_id in account.external_ids}
        protected = _ids(*(account for account in ours if account.secret.value or account.allow))
        # A call's key has an account's name where a body's own id would stand: nobody else may write that name as an id.
        names = frozenset(account.name for account in ours)
        addresses[vendor, ""] = Address(frozenset(), protected | names, limits)
        for account in ours:
            own = _ids(account)
            foreign = (known[vendor] | names) - own - {account.name}
            addresses[vendor, account.name] = Address(own, foreign, limits | {"": account.cost_limit})
    return Directory(addresses, known)


def _ids(*accounts: Account) -> frozenset[str]:
    return frozenset(external_id for account in accounts for external_id in account.external_ids)


class Normalised(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one body; elements = facts + dead + filtered."""

    facts: tuple[Fact, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    filtered: tuple[str, ...] = ()
    """The reason of each element that nobody wants."""


def normalise(
    raw: RawCallback,
    position: Position,
    accounts: Directory,
    limits: Limits,
    vendors: Mapping[str, Vendor] = VENDORS,
) -> Normalised:
    """Map one record of `calls.raw`; never raises for what a body contains."""
    letters = _Letters(raw, position)
    vendor = vendors.get(raw.vendor)
    if vendor and raw.callback == RESOLUTION:
        return _resolution(raw, position, letters)
    callback = next((c for c in vendor.callbacks if c.name == raw.callback), None) if vendor else None
    if vendor is None or callback is None:
        # Names are data here: they came from a header that some producer wrote.
        letters.add(WHOLE_BODY, "unknown_vendor", "no such vendor or callback in this release")
        return Normalised(dead=letters.written())
    if raw.source != "push":
        limits = limits.for_pages()
    try:
        decoded = decode(raw, callback.form_fields, callback.words, limits, callback.body)
        items, errors = _taken_apart(callback, decoded, limits)
    except Undecodable as exc:
        letters.add(WHOLE_BODY, exc.dead_code, str(exc))
        return Normalised(dead=letters.written())
    except MemoryError:
        raise  # the process's, not this body's alone: it ends, and the quarantine finds out whether it is the body
    except Exception as exc:  # noqa: BLE001 - the edge of a vendor's file: its bug must not stop the others
        letters.bug(WHOLE_BODY, exc)
        return Normalised(dead=letters.written())
    if errors and not items:
        return Normalised(filtered=errors)
    address = accounts.address(raw.vendor, raw.account)
    context = Context(
        received_at=raw.received_at,
        account=raw.account,
        external_ids=address.external_ids,
        known_ids=accounts.known_ids.get(raw.vendor, frozenset()),
        foreign_ids=address.foreign_ids,
        cost_limits=address.cost_limits,
        source=raw.source,
    )
    outcome = _elements(vendor, callback, items, context, decoded, letters)
    return msgspec.structs.replace(outcome, filtered=errors + outcome.filtered) if errors else outcome


def _taken_apart(callback: Callback, decoded: Decoded, limits: Limits) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The elements of a body, and the errors that pages in it carry instead; raises Undecodable."""
    pages = [callback.elements(document) for document in decoded.documents()]
    items = pages[0].items if len(pages) == 1 else tuple(item for page in pages for item in page.items)
    if len(items) > limits.elements:
        raise Undecodable(f"more than {limits.elements} elements", code="limit")
    return items, tuple(f"page_error:{page.page_error}" for page in pages if page.page_error)


def _resolution(raw: RawCallback, position: Position, letters: "_Letters") -> Normalised:
    """A decision of ours: one element, and one fact of the record's call."""
    try:
        fact = resolution_fact(raw, position)
    except Undecodable as exc:
        letters.add(WHOLE_BODY, exc.dead_code, str(exc))
        return Normalised(dead=letters.written())
    version = record_version(1, complete=0, final=False, stands=standing((fact,)), mapping=fact.adapter_version)
    return Normalised(facts=(msgspec.structs.replace(fact, version=version),))


def _elements(
    vendor: Vendor,
    callback: Callback,
    items: tuple[Any, ...],
    context: Context,
    decoded: Decoded,
    letters: "_Letters",
) -> Normalised:
    facts: list[Fact] = []
    filtered: list[str] = []
    raw = letters.raw
    body_sha256 = hashlib.sha256(raw.body).hexdigest()
    for index, item in enumerate(items):
        try:
            mapped = callback.normalise(item, context)
            if isinstance(mapped, Filtered):
                filtered.append(mapped.reason)
                continue
            fact = seal(mapped, raw, letters.position, index, body_sha256)
        except Undecodable as exc:
            letters.add(index, exc.dead_code, str(exc))
            continue
        except MemoryError:
            raise  # as above
        except Exception as exc:  # noqa: BLE001 - as above: one element fails alone
            letters.bug(index, exc)
            continue
        all_flags = fact.quality_flags
        if decoded.flags or decoded.is_odd:
            all_flags = tuple(sorted({*all_flags, *decoded.flags, *flags_of(item)}))
        mapping = vendor.adapter_version
        # That of a fact which came once: most facts go on as they are written here.
        fact = msgspec.structs.replace(fact, quality_flags=all_flags, adapter_version=mapping)
        version = record_version(
            1, complete=completeness((fact,)), final=fact.is_final, stands=standing((fact,)), mapping=mapping
        )
        facts.append(msgspec.structs.replace(fact, version=version))
    return Normalised(facts=tuple(facts), dead=letters.written(), filtered=tuple(filtered))


class _Letters:
    """The dead letters of one body; the first ones carry it."""

    def __init__(self, raw: RawCallback, position: Position) -> None:
        self.raw = raw
        self.position = position
        self._letters: list[DeadLetter] = []

    def add(self, element: int, code: DeadCode, detail: str) -> None:
        if not self._letters:
            self._letters.append(dead_letter(self.raw, self.position, element, code, detail))
            return
        first, number = self._letters[0], len(self._letters)
        carried = number < ORIGINALS_PER_BODY and (number + 1) * len(self.raw.body) <= _ORIGINAL_BYTES
        # What is the same for all of a body, above all its hash, is made once.
        self._letters.append(
            msgspec.structs.replace(
                first, element=element, code=code, detail=detail, original=self.raw.body if carried else b""
            )
        )

    def bug(self, element: int, exc: Exception) -> None:
        what = raised_at(exc)
        _log.error("adapter bug vendor=%s callback=%s error=%s", self.raw.vendor, self.raw.callback, what)
        self.add(element, "adapter_bug", what)

    def written(self) -> tuple[DeadLetter, ...]:
        return tuple(self._letters)


def dead_letter(
    raw: RawCallback, position: Position, element: int, code: DeadCode, detail: str, *, carries_body: bool = True
) -> DeadLetter:
    """A letter about one element of a body, or about the whole of it (`WHOLE_BODY`).

    `occurred_at` is when the body was received: a replay of the topic writes the identical letter.
    """
    return DeadLetter(
        stage="normalise",
        code=code,
        detail=detail,
        vendor=raw.vendor,
        callback=raw.callback,
        account=raw.account,
        topic=position.topic,
        partition=position.partition,
        offset=position.offset,
        element=element,
        original=raw.body if carries_body else b"",
        headers={name: value.decode("utf-8", "replace") for name, value in raw.headers()},
        occurred_at=raw.received_at,
        origin_hash=hash_of(raw.body, raw.received_at, raw.replay_of),
    )
