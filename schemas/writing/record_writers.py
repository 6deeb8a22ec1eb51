"""Makes a writer from an Avro schema: one Python function whose text names every field in its order. Pure.

fastavro takes a typed record as a dictionary and looks at each value's place in the schema, which costs 33 us a fact.
A function that was made for the schema does neither, and writes the same bytes in a tenth of the time. It is held
against fastavro in `tests/unit/schemas/test_record_writers.py`.

Bytes are put together as text of the 256 characters of Latin-1, each a byte, and become bytes at the end: most values
are texts of ASCII, which stand in it as they are, and Python joins texts in half of the time of bytes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

Writer = Callable[[Any], bytes]
"""Returns the Avro body of a record, without framing."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SMALL: Final = 1 << 13
_WORDS: Final = 1 << 12
_WORD_CHARS: Final = 32
_RUN_BYTES: Final = 160
_MOST: Final = 1 << 63
_DAY_US: Final = 86_400_000_000
_SECOND_US: Final = 1_000_000
_SCALE: Final = 6


def _varint(number: int) -> str:
    """Returns a long, zigzag and in groups of seven bits; raises `OverflowError` beyond 64 bits."""
    if not -_MOST <= number < _MOST:
        raise OverflowError("a number has more than 64 bits")
    rest = (number << 1) ^ (number >> 63)
    found = bytearray()
    while rest > 127:
        found.append(rest & 127 | 128)
        rest >>= 7
    found.append(rest)
    return found.decode("latin-1")


_SMALL_LONGS: Final = tuple(_varint(number) for number in range(_SMALL))
_GIVEN: Final = "\2"
"""The place in a union of what is not null."""
_GIVEN_LONGS: Final = tuple(_GIVEN + written for written in _SMALL_LONGS)
_PAIR: Final = (1 << 14) - 1
_PAIRS: Final = tuple(chr(number & 127 | 128) + chr(number >> 7 | 128) for number in range(_PAIR + 1))
"""Fourteen bits as two bytes behind which others follow."""
_LAST: Final = tuple(map(chr, range(128)))


def _long(number: int) -> str:
    return _SMALL_LONGS[number] if 0 <= number < _SMALL else _large(number)


def _large(number: int) -> str:
    """Returns a long of three bytes or of eight, as spans of time and versions have, without a loop."""
    if _SMALL <= number < 1 << 20:
        return _PAIRS[number << 1 & _PAIR] + _LAST[number >> 13]
    return _eight(number) if 1 << 48 <= number < 1 << 55 else _varint(number)


def _utf8(value: str) -> str:
    return value.encode().decode("latin-1")


def _text(value: str) -> str:
    written = value if value.isascii() else _utf8(value)
    return _long(len(written)) + written


class _Numbers(dict[int, str]):
    """Numbers that were written before, as they are written; forgotten when they are many."""

    def __init__(self, write: Callable[[int], str]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, number: int) -> str:
        written = self._write(number)
        if len(self) >= _WORDS:
            self.clear()
        self[number] = written
        return written


_UPPERS: Final = _Numbers(lambda high: _PAIRS[high & _PAIR] + chr(high >> 14 & 127 | 128) + _LAST[high >> 21])
"""The upper four bytes of a long of eight."""


class _Words(dict[str, str]):
    """Texts that were written before, as they are written; at most so many, and none that is long."""

    def __missing__(self, value: str) -> str:
        written = _text(value)
        if len(self) < _WORDS and len(value) <= _WORD_CHARS:
            self[str(value)] = written
        return written


def _eight(number: int) -> str:
    """Returns a long of eight bytes, as instants of our days have: the upper four hardly change."""
    return _PAIRS[number << 1 & _PAIR] + _PAIRS[number >> 13 & _PAIR] + _UPPERS[number >> 27]


class _Runs(dict[tuple[Any, ...], str]):
    """Neighbouring fields of few values, as they were written together before; at most so many, and none long."""

    def __init__(self, made: Mapping[str, Any], name: str) -> None:
        super().__init__()
        self._made = made
        self._name = name

    def __missing__(self, values: tuple[Any, ...]) -> str:
        written: str = self._made[self._name](*values)
        if len(self) < _WORDS and len(written) <= _RUN_BYTES:
            self[values] = written
        return written


class _Instants(dict[datetime, str]):
    """Instants as microseconds since 1970: a call and its legs name the same ones. Forgotten when they are many."""

    def __init__(self, mark: str = "") -> None:
        super().__init__()
        self._mark = mark
        """Stands before each: the place in a union."""

    def __missing__(self, at: datetime) -> str:
        delta = at - _EPOCH
        number = delta.days * _DAY_US + delta.seconds * _SECOND_US + delta.microseconds
        written = self._mark + (_eight(number) if 1 << 48 <= number < 1 << 55 else _varint(number))
        if len(self) >= _WORDS:
            self.clear()
        self[at] = written
        return written


def _amount(value: Decimal) -> str:
    """Returns a decimal of scale 6; raises `ValueError` for one that has more places or is no number."""
    text = str(value)
    if text[-7:-6] == "." and text[-6:].isdecimal():  # with its six places, as amounts are kept
        return _unscaled(int(text[:-7] + text[-6:]))
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent < -_SCALE:
        raise ValueError("an amount has more than six decimal places")
    unscaled = int("".join(map(str, digits)) or "0") * int(10 ** (exponent + _SCALE))
    return _unscaled(-unscaled if sign else unscaled)


def _unscaled(number: int) -> str:
    return _octets(number.to_bytes((number.bit_length() + 8) >> 3, "big", signed=True))


def _octets(value: bytes) -> str:
    return _long(len(value)) + value.decode("latin-1")


_NAMES: Final[Mapping[str, Any]] = {
    "small": _SMALL_LONGS, "large": _large, "long": _long, "text": _text, "utf8": _utf8, "amount": _amount,
    "octets": _octets, "given": _GIVEN_LONGS,
}  # fmt: skip


def made_writer(schema: Mapping[str, Any], seldom: Collection[str] = ()) -> Writer:
    """Returns the writer of a record's schema; raises `TypeError` for a type that none of our schemas has.

    `seldom` are texts, lists and what may be null: a record that has none of them set is written by a shorter function.
    """
    made: dict[str, Any] = {
        **_NAMES,
        "words": _Words(),
        "longs": _Numbers(_long),
        "instants": _Instants(),
        "given_instants": _Instants(_GIVEN),
    }
    lines = _function("written", schema, made)
    if tests := [_is_set(field) for field in schema["fields"] if field["name"] in seldom]:
        first = [f"    if {' or '.join(tests)}:", "        return write_all(v)"]
        lines = [*_function("write_all", schema, made), *_function("written", schema, made, unset=seldom, first=first)]
    lines += ["def write(v):", "    return written(v).encode('latin-1')"]
    exec(compile("\n".join(lines), f"<writer of {schema['name']}>", "exec"), made)  # noqa: S102 - the text is made of our own schemas
    writer: Writer = made["write"]
    return writer


def _is_set(field: Mapping[str, Any]) -> str:
    """Returns the test of a field that is written as one zero where it is not set."""
    return f"v.{field['name']} is not None" if isinstance(field["type"], list) else f"v.{field['name']}"


def _function(
    name: str,
    schema: Mapping[str, Any],
    made: dict[str, Any],
    *,
    unset: Collection[str] = (),
    first: Sequence[str] = (),
) -> list[str]:
    """Returns the lines of a record's function, those of the records in it before it; `unset` are zeros in it."""
    before: list[str] = []
    parts: list[str] = []
    for place, run in enumerate(_runs(schema["fields"], unset)):
        names = [field["name"] for field in run]
        if names[0] in unset:
            parts.append(repr("\0" * len(run)))
        elif len(run) == 1:
            parts += _parts(f"v.{names[0]}", run[0]["type"], made, before)
        else:
            table = f"{name}_run_{place}"
            made[table] = _Runs(made, f"{table}_made")
            inner = [part for field in run for part in _parts(field["name"], field["type"], made, before)]
            before += _joining(f"{table}_made", ", ".join(names), inner)
            parts.append(f"{table}[{', '.join(f'v.{field}' for field in names)}]")
    return [*before, *_joining(name, "v", parts, first)]


def _joining(name: str, of: str, parts: Iterable[str], first: Sequence[str] = ()) -> list[str]:
    return [
        f"def {name}({of}):",
        *first,
        "    return ''.join((",
        *(f"        {part}," for part in parts),
        "    ))",
        "",
    ]


def _runs(fields: Iterable[Mapping[str, Any]], unset: Collection[str]) -> list[list[Mapping[str, Any]]]:
    """Returns the fields in their order, neighbours of few values together, and neighbours that are not set."""

    def sort_of(field: Mapping[str, Any]) -> int:
        return 2 if field["name"] in unset else int(_has_few(field))

    runs: list[list[Mapping[str, Any]]] = []
    for field in fields:
        sort = sort_of(field)
        if runs and sort and sort == sort_of(runs[-1][-1]):
            runs[-1].append(field)
        else:
            runs.append([field])
    return runs


def _has_few(field: Mapping[str, Any]) -> bool:
    name, kind = field["name"], field["type"]
    return kind == "boolean" or name in _FEW_VALUES or (kind == "string" and _is_word(name) and name not in _OF_MANY)


def _parts(value: str, kind: Any, made: dict[str, Any], before: list[str]) -> Iterator[str]:
    """Yields the expressions of a field's bytes: of a text that is no word its size and itself, without a call."""
    length = "(size := len(e if e.isascii() else (e := utf8(e))))"
    if kind == "string" and not _is_word(value):
        yield f"((small[size] if {length} < {_SMALL} else long(size)) if (e := {value}) else '\\0')"
        yield "e"
    elif kind == ["null", "string"] and not _is_word(value):
        given = f"given[size] if {length} < {_SMALL} else {_GIVEN!r} + long(size)"
        yield f"('\\0' if (e := {value}) is None else {given})"
        yield "(e or '')"
    else:
        yield _expression(value, kind, made, before)


def _expression(value: str, kind: Any, made: dict[str, Any], before: list[str], name: str = "") -> str:
    """Returns the expression of a value's bytes; functions that it needs are put into `before`.

    `name` is that of the field where `value` is not.
    """
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null":
            raise TypeError(f"no writer for the union {kind}")
        return f"('\\0' if (x := {value}) is None else {_given(kind[1], made, before, value)})"
    if isinstance(kind, Mapping):
        return _of_mapping(value, kind, made, before)
    # A field is read once; a name that is there already is not named anew, which in a list would slow all of them.
    first, again = (f"(y := {value})", "y") if "." in value else (value, value)
    written = f"words[{again}]" if _is_word(name or value) else f"text({again})"
    known = {
        "string": f"({written} if {first} else '\\0')",
        "long": f"(small[{again}] if 0 <= {first} < {_SMALL} else large({again}))",
        "boolean": f"('\\1' if {value} else '\\0')",
        "bytes": f"octets({value})",
    }
    if kind == "long" and value == _ALIKE:
        return f"longs[{value}]"
    if kind not in known:
        raise TypeError(f"no writer for {kind}")
    return known[kind]


def _given(kind: Any, made: dict[str, Any], before: list[str], name: str) -> str:
    """Returns the expression of what is not null in a union, its place before it."""
    if kind == "long":
        return f"given[x] if 0 <= x < {_SMALL} else {_GIVEN!r} + large(x)"
    if isinstance(kind, Mapping) and (kind["type"], kind.get("logicalType")) == ("long", "timestamp-micros"):
        return "given_instants[x]"
    return f"{_GIVEN!r} + {_expression('x', kind, made, before, name)}"


_UNLIKE: Final = (
    "_id",
    "_number",
    "_raw",
    "_ref",
    "_url",
    "_key",
    "digest",
    "sha256",
    "hash",
    "detail",
    "v.leg",
    "v.number",
    "one",
)
"""Ends of names whose texts hardly ever come again: a table of them would fill and be of no use."""


_FEW_VALUES: Final = frozenset({"adapter_version", "schema_version", "q850", "sip_code", "phase"})
"""Numbers that are a few."""
_OF_MANY: Final = frozenset({"account", "agent_name", "request_id"})
"""Texts that come again, but not beside the same others."""
_ALIKE: Final = "v.version"
"""A large number that many records have alike."""


def _is_word(value: str) -> bool:
    return not value.endswith(_UNLIKE)


def _of_mapping(value: str, kind: Mapping[str, Any], made: dict[str, Any], before: list[str]) -> str:
    name, logical = kind["type"], kind.get("logicalType", "")
    if (name, logical) == ("long", "timestamp-micros"):
        return f"instants[{value}]"
    if (name, logical) == ("bytes", "decimal"):
        if kind["scale"] != _SCALE:
            raise TypeError(f"no writer for a decimal of scale {kind['scale']}")
        return f"amount({value})"
    if name == "map" and kind["values"] == "string":
        given = f"(small[len(one)] + one if one.isascii() and len(one) < {_SMALL} else text(one))"
        items = f"''.join([words[name] + {given} for name, one in {value}.items()])"
    elif name == "array" and isinstance(kind["items"], Mapping) and kind["items"]["type"] == "record":
        function = f"write_{kind['items']['name'].rpartition('.')[2]}"
        before += _function(function, kind["items"], made)
        items = f"''.join(map({function}, {value}))"
    elif name == "array":
        word = _expression("word", kind["items"], made, before)
        made_of = f"long(len(those)) + ''.join([{word} for word in those]) + '\\0'"
        before += ["def list_made(*those):", f"    return {made_of}", ""]
        made["lists"] = _Runs(made, "list_made")
        return f"(lists[{value}] if {value} else '\\0')"
    else:
        raise TypeError(f"no writer for {name} {logical}".rstrip())
    return f"(long(len({value})) + {items} + '\\0' if {value} else '\\0')"
