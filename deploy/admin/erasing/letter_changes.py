"""Dead letters of an erasure: those that may have the number, and the statements that empty them. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

import msgspec

from deploy.admin.erasing.row_changes import chunks, literal
from processors.store.state_codec import decode_state
from schemas.dead_letter import DeadLetter
from schemas.erasing.erased_letters import letter_holds, without_bytes
from schemas.errors import Undecodable
from schemas.privacy.blanking import blanked
from schemas.privacy.number_forms import IsErased
from schemas.topics import STATE
from sinks.rows import DEAD_LETTERS

_IDENTITY: Final = ("topic", "partition", "offset", "element", "stage", "origin_hash", "version")
_TYPES: Final = {
    column.name: column.type.replace("LowCardinality(String)", "String") for column in DEAD_LETTERS.columns
}
_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(DeadLetter))


class _Letters(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    identity: tuple[str, ...]
    types: tuple[str, ...]
    columns: tuple[str, ...]
    """The identity, then the other fields of a dead letter."""


LETTERS: Final = _Letters(
    table=DEAD_LETTERS.name,
    identity=_IDENTITY,
    types=tuple(_TYPES[name] for name in _IDENTITY),
    columns=(*_IDENTITY, *(name for name in _FIELDS if name not in _IDENTITY)),
)


def letter_of(row: Sequence[Any]) -> DeadLetter:
    """Returns the dead letter of a row with the columns of `LETTERS`."""
    values = dict(zip(LETTERS.columns, row, strict=True))
    return DeadLetter(**{name: values[name] for name in _FIELDS})


class FoundLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a dead letter with the number in it."""

    identity: tuple[Any, ...]
    detail: str
    headers: tuple[str, ...]
    """Names of the headers that are kept."""

    @classmethod
    def of(cls, row: Sequence[Any], letter: DeadLetter, is_erased: IsErased) -> Self:
        """Returns what is to be done with a dead letter."""
        emptied = without_bytes(letter, is_erased)
        return cls(identity=tuple(row[: len(_IDENTITY)]), detail=emptied.detail, headers=tuple(sorted(emptied.headers)))


_MAY_HOLD: Final = (
    "position(original, {core:String}) > 0",
    "position(detail, {core:String}) > 0",
    "arrayExists(text -> position(text, {core:String}) > 0, mapValues(headers))",
    # Digits in another form: two or four bytes each, escaped, compressed, or in a state of the joiner.
    "position(original, char(0)) > 0",
    "match(original, '%3[0-9]|u003[0-9]|&#')",
    "hex(substring(original, 1, 2)) IN ('1F8B', '7801', '785E', '789C', '78DA')",
    "substring(original, 1, 2) IN ('H4', 'eJ', 'eA', 'eF', 'eN')",
    "headers['content_encoding'] != ''",
    f"topic = '{STATE.name}'",
)
MAY_HOLD: Final = " OR ".join(_MAY_HOLD)
"""The condition that a dead letter with the digits `core` in it fulfils, and not many others."""


def any_letter_holds(letter: DeadLetter, is_erased: IsErased) -> bool:
    """True for a dead letter with an erased number, also where its bytes are a call's state."""
    if letter_holds(letter, is_erased):
        return True
    if letter.topic != STATE.name or not letter.original:
        return False
    try:
        state = decode_state(letter.original)
    except Undecodable:
        return True  # nobody can tell, and nobody can use it
    return any(
        blanked(content.fact, is_erased) is not content.fact for item in state.items.values() for content in item.every
    )


def letter_updates(target: str, letters: Sequence[FoundLetter]) -> Iterator[str]:
    """Yields the statements that take bytes and headers out of dead letters."""
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[Any, ...]]] = defaultdict(list)
    for letter in letters:
        alike[letter.detail, letter.headers].append(letter.identity)
    for (detail, headers), identities in alike.items():
        kept = ", ".join(map(literal, headers)) or "''"
        sets = (
            f"original = '', detail = {literal(detail)}, headers = mapFilter((name, text) -> name IN ({kept}), headers)"
        )
        for listed in chunks(identities):
            yield (
                f"ALTER TABLE {target} UPDATE {sets} WHERE ({', '.join(_IDENTITY)}) IN ({listed}) SETTINGS mutations_sync = 2"
            )
