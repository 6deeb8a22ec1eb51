"""Values of columns that are more than a field of a scanned record. Pure.

Each is what the column's `value` makes of the record. Where that takes more than these steps, the record is odd: an
object is made of it.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from sinks.scanning.leaves import Longs, Texts
from sinks.scanning.scanned import Coded, Scanned
from sinks.scanning.source import Flags, Numbers, in_order

_BAR: Final = b"|"
_PARTIES: Final = (b"", b"from", b"to")


class Odd(Exception):
    """Records, or members of them, that columns do not hold as they were read."""

    def __init__(self, rows: Flags) -> None:
        """Keeps which are."""
        super().__init__()
        self.rows = rows


def required(name: str) -> Callable[[Scanned], Longs]:
    """Returns what returns the numbers of a field that all records but odd ones have."""

    def found(scanned: Scanned) -> Longs:
        longs = scanned.longs(name)
        if longs.present is not None and not longs.present.all():
            raise Odd(~longs.present)
        return longs

    return found


def key_account(scanned: Scanned) -> Texts:
    """Returns the accounts within the calls' keys."""
    return _keys(scanned)[0]


def key_other(scanned: Scanned) -> Texts:
    """Returns the keys that are not made of vendor, account and call id."""
    return _keys(scanned)[1]


def _keys(scanned: Scanned) -> tuple[Texts, Texts]:
    return scanned.once(_keys, _parted_keys)


def _parted_keys(scanned: Scanned) -> tuple[Texts, Texts]:
    source = scanned.source
    key, vendor, call_id = (scanned.texts(name) for name in ("call_key", "vendor", "vendor_call_id"))
    sizes = key.sizes - vendor.sizes - call_id.sizes - 2
    is_made = sizes >= 0
    account = key.starts + vendor.sizes + 1
    for at in (account - 1, account + sizes):
        is_made &= source.octets[np.where(is_made, at, 0)] == _BAR[0]
    is_made &= source.equal(key.starts, vendor.starts, np.where(is_made, vendor.sizes, 0))
    is_made &= source.equal(account + sizes + 1, call_id.starts, np.where(is_made, call_id.sizes, 0))
    for texts in (vendor, Texts(account, np.where(is_made, sizes, 0))):
        codes, words = scanned.coded(texts)
        is_made &= np.array([_BAR not in word for word in words], np.bool_)[codes]
    without_id = ~is_made & (call_id.sizes == 0)
    if without_id.any():  # a key may end before its bars then
        raise Odd(without_id)
    return Texts(account, np.where(is_made, sizes, 0)), Texts(key.starts, np.where(is_made, 0, key.sizes))


def key_suffix(scanned: Scanned) -> Texts:
    """Returns the ends of the calls' ids behind their keys."""
    call, key = scanned.texts("timeline_id"), scanned.texts("call_key")
    sizes = call.sizes - key.sizes
    begins = (sizes >= 0) & scanned.source.equal(call.starts, key.starts, np.minimum(call.sizes, key.sizes))
    if not begins.all():
        raise Odd(~begins)
    return Texts(call.starts + key.sizes, sizes)


def call_type(types: Mapping[str, str]) -> Callable[[Scanned], Texts]:
    """Returns what returns the types of calls; a call whose kind says another type than it has is odd."""

    def found(scanned: Scanned) -> Texts:
        (kinds, kind_words), (codes, words) = scanned.words("kind"), scanned.words("call_type")
        for number, kind in enumerate(kind_words):
            wanted = types.get(kind.decode())
            if wanted is not None:
                wrong = (kinds == number) & ~np.isin(
                    codes, [n for n, word in enumerate(words) if word == wanted.encode()]
                )
                if wrong.any():
                    raise Odd(wrong)
        return scanned.texts("call_type")

    return found


def leg_instant(name: str) -> Callable[[Scanned], Longs]:
    """Returns what returns an instant of every leg, from the call's own or from its slot."""

    def found(scanned: Scanned) -> Longs:
        own, legs = scanned.longs(name), scanned.longs(f"legs.{name}")
        base = own.values
        if own.present is not None:
            base = np.where(own.present, base, required("slot_at")(scanned).values)
        offsets = legs.values - base[scanned.lists("legs").owners]
        if legs.present is not None:
            offsets[~legs.present] = 0
        return Longs(offsets, legs.present)

    return found


def parties(scanned: Scanned) -> Coded:
    """Returns which number of its call each leg has."""
    found = _party(scanned)
    codes, firsts = in_order(np.unique(found, return_inverse=True)[1])
    return codes, [_PARTIES[number] for number in found[firsts].tolist()]


def own_numbers(scanned: Scanned) -> Texts:
    """Returns the numbers of the legs that have none of their call's."""
    numbers = scanned.texts("legs.number")
    own = (_party(scanned) == 0) & _present(numbers)
    return Texts(numbers.starts, np.where(own, numbers.sizes, 0), own)


def _party(scanned: Scanned) -> Numbers:
    return scanned.once(_party, _found_party)


def _found_party(scanned: Scanned) -> Numbers:
    legs, owners = scanned.texts("legs.number"), scanned.lists("legs").owners
    found = np.zeros(len(legs), np.int64)
    for number, name in ((2, "to_number"), (1, "from_number")):
        own = scanned.texts(name).of(owners)
        same = _present(legs) & _present(own) & (legs.sizes == own.sizes)
        same &= scanned.source.equal(legs.starts, own.starts, np.where(same, legs.sizes, 0))
        found[same] = number
    return found


def _present(texts: Texts) -> Flags:
    return np.ones(len(texts), np.bool_) if texts.present is None else texts.present
