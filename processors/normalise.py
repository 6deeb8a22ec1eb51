"""A raw body to facts: decode, split, map each element, add identity. Pure: any bytes give facts or dead letters.

One bad element of a body fails alone. An exception of our own code becomes a dead letter too (`adapter_bug`): the
vendor has our acknowledgement and will not send the body again.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import force_setattr

from processors.versions import first_version, record_version, standing
from schemas.body.document import Decoded, decode, flags_of
from schemas.config.limits import Limits
from schemas.config.settings import Account
from schemas.dead_letter import DeadLetter, hash_of
from schemas.errors import DeadCode, Undecodable, raised_at
from schemas.facts import Fact, Kind
from schemas.identity import seal
from schemas.raw import Position, RawCallback
from schemas.resolution import CALLBACK as RESOLUTION
from schemas.resolution import resolution_fact
from schemas.slot_hours import slot_of
from schemas.vendor_kit.contract import Callback, Context, Filtered, Mapped, Vendor
from schemas.vendors import VENDORS

_log: Final = logging.getLogger(__name__)

_KINDS: Final = frozenset(Kind)
ORIGINALS_PER_BODY: Final = 16
"""Most dead letters of one body that carry it; more would multiply a large body by its bad elements."""
_ORIGINAL_BYTES: Final = 4 * 1024 * 1024
"""Most bytes that they carry together, beside the first."""
WHOLE_BODY: Final = -1
"""The element number of a dead letter that is about a whole body."""


class Address(msgspec.Struct, frozen=True):
    """The limits of one push address: that of a configured account, or the one that names none."""

    external_ids: frozenset[str] = frozenset()
    foreign_ids: frozenset[str] = frozenset()
    cost_limits: Mapping[str, int] = {}


class Directory(msgspec.Struct, frozen=True):
    """The configured accounts, as mappings need them: by vendor and account, "" for a push that names none."""

    addresses: Mapping[tuple[str, str], Address] = {}
    known_ids: Mapping[str, frozenset[str]] = {}

    def address(self, vendor: str, account: str) -> Address:
        """Return the account's address; an account that is not configured counts as none."""
        return self.addresses.get((vendor, account)) or self.addresses.get((vendor, ""), _ANYBODY)


_ANYBODY: Final = Address()
_NO_IDS: Final[frozenset[str]] = frozenset()


def directory(accounts: tuple[Account, ...]) -> Directory:
    """Index the accounts of the settings."""
    addresses: dict[tuple[str, str], Address] = {}
    known: dict[str, frozenset[str]] = {}
    for vendor in {account.vendor for account in accounts}:
        ours = [account for account in accounts if account.vendor == vendor]
        known[vendor] = _ids(*ours)
        limits = {external_id: account.cost_limit for account in ours for external_id in account.external_ids}
        protected = _ids(*(account for account in ours if account.secret.value or account.allow or account.checks))
        # A call's key may hold an account's name in the place of a body's own id: nobody else may use that name as an
        # id.
        names = frozenset(account.name for account in ours)
        addresses[vendor, ""] = Address(frozenset(), protected | names, limits)
        for account in ours:
            own = _ids(account)
            foreign = (known[vendor] | names) - own - {account.name}
            addresses[vendor, account.name] = Address(own, foreign, limits | {"": account.cost_limit})
    return Directory(addresses, known)


def _ids(*accounts: Account) -> frozenset[str]:
    return frozenset(external_id for account in accounts for external_id in account.external_ids)


class Normalised(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result for one body; elements = facts + dead + filtered (guarantee 7)."""

    elements: int = 1
    """The number that the body was split into, counted before any of them was mapped; 1 for one that is not split."""

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
    reading = Reading(raw, position, accounts, limits, vendors)
    reading.decode()
    reading.map()
    return reading.finish()


class Reading:
    """One body on its way to facts, in three steps, each of which is to be taken for many bodies in turn.

    Step by step, many bodies take two thirds of the time that they take one by one: the code and the tables of a step
    stay in the processor's caches. No step raises for what a body contains.
    """

    __slots__ = (
        "_accounts", "_callback", "_dead", "_decoded", "_errors", "_items", "_limits", "_mapped", "_outcome", "_vendor",
        "position", "raw",
    )  # fmt: skip

    def __init__(
        self,
        raw: RawCallback,
        position: Position,
        accounts: Directory,
        limits: Limits,
        vendors: Mapping[str, Vendor] = VENDORS,
    ) -> None:
        self.raw = raw
        self.position = position
        self._accounts = accounts
        self._limits = limits if raw.source == "push" else limits.for_pages()
        self._vendor = vendor = vendors.get(raw.vendor)
        self._callback = _callback_of(vendor, raw.callback) if vendor else None
        self._dead: list[DeadLetter] = []
        self._decoded = _NOTHING
        self._items: tuple[Any, ...] = ()
        self._errors: tuple[str, ...] = ()
        self._mapped: list[Mapped | Filtered | _Failure] = []
        self._outcome: Normalised | None = None
        """The result, where it is known before the last step."""

    def decode(self) -> None:
        """Read the body's bytes and take it apart."""
        raw, callback = self.raw, self._callback
        try:
            if callback is not None:
                self._decoded = decode(raw, callback.form_fields, callback.words, self._limits, callback.body)
                self._items, self._errors = _split(callback, self._decoded, self._limits)
            elif self._vendor and raw.callback == RESOLUTION:
                self._outcome = _resolution(raw, self.position)
            else:
                # Names are data here: they came from a header that some producer wrote.
                self._fail(WHOLE_BODY, "unknown_vendor", "no such vendor or callback in this release")
        except Undecodable as exc:
            self._fail(WHOLE_BODY, exc.dead_code, str(exc))
        except MemoryError:
            raise  # not this body's alone: the process ends, and the quarantine finds out whether the body is the cause
        except Exception as exc:  # noqa: BLE001 - a bug of one vendor's file must not stop the others
            self._fail(WHOLE_BODY, *self._bug(exc))
        if self._dead:
            self._outcome = Normalised(dead=tuple(self._dead))

    def map(self) -> None:
        """Map each element, or keep the reason why it cannot be mapped."""
        if self._outcome is not None or not self._items or self._callback is None:
            return
        context, normalise_one = self._context(), self._callback.normalise
        for item in self._items:
            try:
                self._mapped.append(normalise_one(item, context))
            except Undecodable as exc:
                self._mapped.append(_Failure(exc.dead_code, str(exc)))
            except MemoryError:
                raise  # as above
            except Exception as exc:  # noqa: BLE001 - as above: one element fails alone
                self._mapped.append(self._bug(exc))

    def finish(self) -> Normalised:
        """Give each element its identity, and return the result."""
        if self._outcome is not None:
            return self._outcome
        if not self._items:
            return Normalised(elements=len(self._errors), filtered=self._errors)
        facts: list[Fact] = []
        filtered = [*self._errors]
        body_sha256 = hashlib.sha256(self.raw.body).hexdigest()
        for index, mapped in enumerate(self._mapped):
            if isinstance(mapped, Filtered):
                filtered.append(mapped.reason)
                continue
            fact = mapped if isinstance(mapped, _Failure) else self._sealed(mapped, index, body_sha256)
            if isinstance(fact, _Failure):
                self._fail(index, *fact)
            else:
                facts.append(fact)
        elements = len(self._items) + len(self._errors)
        return Normalised(elements=elements, facts=tuple(facts), dead=tuple(self._dead), filtered=tuple(filtered))

    def _context(self) -> Context:
        raw, accounts = self.raw, self._accounts
        address = accounts.address(raw.vendor, raw.account)
        return Context(
            received_at=raw.received_at,
            account=raw.account,
            external_ids=address.external_ids,
            known_ids=accounts.known_ids.get(raw.vendor, _NO_IDS),
            foreign_ids=address.foreign_ids,
            cost_limits=address.cost_limits,
            source=raw.source,
        )

    def _sealed(self, mapped: Mapped, index: int, body_sha256: str) -> "Fact | _Failure":
        vendor, decoded = self._vendor, self._decoded
        assert vendor is not None, "the body was mapped"
        mapping = vendor.adapter_version
        try:
            if mapped.fact.kind not in _KINDS:
                _require_kind(vendor, mapped.fact.kind)
            fact = seal(mapped, self.raw, self.position, index, body_sha256)
            if decoded.flags or decoded.is_odd:
                flags = {*fact.quality_flags, *decoded.flags, *flags_of(self._items[index])}
                force_setattr(fact, "quality_flags", tuple(sorted(flags)))
        except Undecodable as exc:
            return _Failure(exc.dead_code, str(exc))
        except MemoryError:
            raise  # as above
        except Exception as exc:  # noqa: BLE001 - as above
            return self._bug(exc)
        # The version is that of a fact that came once: most facts are published exactly as they are encoded here.
        force_setattr(fact, "adapter_version", mapping)
        force_setattr(fact, "slot_at", slot_of(fact))
        force_setattr(fact, "slot_certain", True)
        force_setattr(fact, "version", first_version(fact, mapping))
        return fact

    def _bug(self, exc: Exception) -> "_Failure":
        raw, place = self.raw, raised_at(exc)
        _log.error("adapter bug vendor=%s callback=%s error=%s", raw.vendor, raw.callback, place)
        return _Failure("adapter_bug", place)

    def _fail(self, element: int, code: DeadCode, detail: str) -> None:
        """Add a dead letter; the first ones carry the body."""
        raw, number = self.raw, len(self._dead)
        if not number:
            self._dead.append(make_dead_letter(raw, self.position, element, code, detail))
            return
        carried = number < ORIGINALS_PER_BODY and (number + 1) * len(raw.body) <= _ORIGINAL_BYTES
        # The parts that are the same for a whole body, above all its hash, are computed once.
        letter = msgspec.structs.replace(
            self._dead[0], element=element, code=code, detail=detail, original=raw.body if carried else b""
        )
        self._dead.append(letter)


class _Failure(NamedTuple):
    """The reason why an element is a dead letter."""

    code: DeadCode
    detail: str


_NOTHING: Final = Decoded(document=None)


def _callback_of(vendor: Vendor, name: str) -> Callback | None:
    for callback in vendor.callbacks:
        if callback.name == name:
            return callback
    return None


def _split(callback: Callback, decoded: Decoded, limits: Limits) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Split a body into its elements, and the errors that its pages carry instead; raises Undecodable."""
    if not decoded.envelopes:
        page = callback.elements(decoded.document)
        items = page.items
        errors: tuple[str, ...] = (f"page_error:{page.page_error}",) if page.page_error else ()
    else:
        pages = [callback.elements(document) for document in decoded.envelopes]
        items = tuple(item for page in pages for item in page.items)
        errors = tuple(f"page_error:{page.page_error}" for page in pages if page.page_error)
    if len(items) > limits.elements:
        raise Undecodable(f"more than {limits.elements} elements", code="limit")
    return items, errors


def _resolution(raw: RawCallback, position: Position) -> Normalised:
    """Read an operator's decision: one element, which gives one fact of the record's call. Raises Undecodable."""
    fact = resolution_fact(raw, position)
    version = record_version(1, complete=0, final=False, stands=standing((fact,)), mapping=fact.adapter_version)
    return Normalised(facts=(msgspec.structs.replace(fact, version=version),))


def _require_kind(vendor: Vendor, kind: str) -> None:
    """Raises LookupError, a bug of the vendor's file, for a kind that is neither common nor declared there."""
    if kind not in vendor.kinds:
        raise LookupError(kind)


def make_dead_letter(raw: RawCallback, position: Position, element: int, code: DeadCode, detail: str) -> DeadLetter:
    """Build a dead letter about one element of a body, or about the whole of it (`WHOLE_BODY`).

    `occurred_at` is when the body was received: a replay of the topic writes the identical dead letter.
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
        original=raw.body,
        headers={name: value.decode("utf-8", "replace") for name, value in raw.headers()},
        occurred_at=raw.received_at,
        origin_hash=hash_of(raw.body, raw.received_at, raw.replay_of),
    )
