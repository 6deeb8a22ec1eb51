"""Takes an erased number out of a record or a call, and leaves everything else as it was. Pure.

A number goes wherever it stands: as understood, as sent, in legs and contents, in the customer's and the vendor's own
texts. The other party's number stays: it belongs to another person. Identities stay, so that a replay finds the same
row, and so do kinds of number, so that a row still shows that there was one. The address of the recording goes, as the
person can be heard there, and the hash of the body, from which a number could be found by trying all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from schemas.call_fields import CallFields, Leg
from schemas.enums import Flag
from schemas.facts import Fact
from schemas.privacy.number_forms import IsErased, holds, tail
from schemas.timeline import Timeline

T = TypeVar("T", bound=CallFields)
Place = tuple[str, int | str | None]
"""The name of a field or column, with the index in its list or the key in its map."""

NUMBERS: Final[Mapping[str, str]] = {
    "from_number": "from_raw",
    "to_number": "to_raw",
    "display_number": "display_raw",
    "privacy_number": "privacy_raw",
    "leg_number": "leg",
    "legs.number": "legs.number_raw",
    "contents.from_number": "",
    "contents.to_number": "",
}
"""Every field with a number, and the field that holds the same number as sent; lists are named as columns are."""
RAWS: Final = frozenset(filter(None, NUMBERS.values()))
TEXTS: Final = (
    *("custom_ref", "session_id", "agent_id", "agent_name", "hangup_reason", "hangup_cause"),
    *("legs.hangup_reason", "contents.hangup_reason", "contents.hangup_cause"),
)
"""Fields with the words of vendors and customers, which may quote a number."""
MAPS: Final = ("extras",)
GONE_TOO: Final = ("recording_url", "raw_sha256")
"""Fields that are blanked wherever a number was."""


def places(values: Mapping[str, Any], is_erased: IsErased) -> frozenset[Place]:
    """Returns where erased numbers stand among the values of one row; fields that it does not have are left out."""
    found: set[Place] = set()
    known: set[str] = set()
    for name, raw in NUMBERS.items():
        for at, number, sent in _pairs(values.get(name), values.get(raw)):
            if _is_erased(number, sent, is_erased):
                known.update(filter(None, (number, sent)))
                found |= {(each, at) for each, value in ((name, number), (raw, sent)) if value}
    tails = tuple(dict.fromkeys(filter(None, map(tail, known))))
    for name in TEXTS:
        found |= {(name, at) for at, text in _each(values.get(name)) if holds(text, is_erased, tails)}
    for name in MAPS:
        texts = values.get(name) or {}
        found |= {(name, key) for key, text in texts.items() if text in known or holds(text, is_erased, tails)}
    if found:
        found |= {(name, None) for name in GONE_TOO if values.get(name)}
    elif holds(values.get("recording_url") or "", is_erased):
        found.add(("recording_url", None))
    return frozenset(found)


def _pairs(numbers: Any, raws: Any) -> Iterator[tuple[int | None, str | None, str]]:
    if isinstance(numbers, Sequence) and not isinstance(numbers, str):
        sent = raws or [""] * len(numbers)
        yield from ((at, number, sent[at]) for at, number in enumerate(numbers))
    else:
        yield None, numbers, raws or ""


def _each(value: Any) -> Iterator[tuple[int | None, str]]:
    if isinstance(value, str):
        yield None, value
    else:
        yield from enumerate(value or ())


def _is_erased(number: str | None, sent: str, is_erased: IsErased) -> bool:
    """True when the number is an erased one; what was sent decides only where it was not understood."""
    if number and is_erased(number):
        return True
    understood = number is not None and number.startswith("+")
    return bool(sent) and not understood and (is_erased(sent.strip()) or holds(sent, is_erased))


def blanked(record: T, is_erased: IsErased) -> T:
    """Returns the record or call without the erased numbers, and with a flag; the very same one if it has none."""
    found = places(_values(record), is_erased)
    if not found:
        return record
    fields: dict[str, Any] = {}
    inside: dict[str, list[dict[str, Any]]] = {}
    for name, at in sorted(found, key=str):
        parent, _, member = name.partition(".")
        if member:
            members = getattr(record, parent)
            assert isinstance(at, int), "a list's member has a place"
            changes = inside.setdefault(parent, [{} for _ in members])
            changes[at][member] = _blank(type(members[at]), member)
        elif name in MAPS:
            texts = fields.setdefault(name, dict(getattr(record, name)))
            texts[at] = ""
        else:
            fields[name] = _blank(type(record), name)
    for parent, changes in inside.items():
        pairs = zip(getattr(record, parent), changes, strict=True)
        fields[parent] = tuple(msgspec.structs.replace(one, **change) if change else one for one, change in pairs)
    flags = tuple(sorted({*record.quality_flags, Flag.ERASED}))
    return msgspec.structs.replace(record, **fields, quality_flags=flags)


def _blank(kind: type[msgspec.Struct], name: str) -> Any:
    return None if name.endswith("_number") or (kind is Leg and name == "number") else ""


_SCALARS: Final = tuple(name for name in (*NUMBERS, *RAWS, *TEXTS, *MAPS, *GONE_TOO) if "." not in name)
_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    parent: tuple(name.partition(".")[2] for name in (*NUMBERS, *sorted(RAWS), *TEXTS) if name.startswith(f"{parent}."))
    for parent in ("legs", "contents")
}


def _reader(kind: type[CallFields]) -> Callable[[Any], dict[str, Any]]:
    own = tuple(name for name in _SCALARS if name in kind.__struct_fields__)
    lists = {name: members for name, members in _MEMBERS.items() if name in kind.__struct_fields__}

    def read(record: Any) -> dict[str, Any]:
        values = {name: getattr(record, name) for name in own}
        for parent, members in lists.items():
            below = getattr(record, parent)
            if below:
                values |= {f"{parent}.{name}": [getattr(one, name) for one in below] for name in members}
        return values

    return read


_READERS: Final[Mapping[type, Callable[[Any], dict[str, Any]]]] = {kind: _reader(kind) for kind in (Fact, Timeline)}


def _values(record: CallFields) -> dict[str, Any]:
    """Returns the fields of a record in the form of a row."""
    return _READERS[type(record)](record)
