"""Shows the outcome of normalising one body: its facts field by field with their flags, and its dead letters. No Kafka.

Nothing is logged or kept: the body is the user's own file, so its numbers are shown.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from deploy.admin.contract_lists import sentences
from deploy.output.printable import printable
from processors.normalise import WHOLE_BODY, Directory, Normalised, normalise
from schemas.config.limits import DEFAULT
from schemas.facts import Fact, Flag, Leg
from schemas.raw import Position, RawCallback

_NOT_SHOWN: Final = frozenset(
    {
        "fact_id", "content_digest", "adapter_version", "schema_version", "version", "quality_flags", "received_at", "source",
        "request_id", "raw_topic", "raw_partition", "raw_offset", "raw_element", "raw_sha256", "extras", "legs",
    }
)  # fmt: skip
_WIDTH: Final = 22


def outcome_of(vendor: str, callback: str, body: bytes, content_type: str, now: datetime) -> Normalised:
    """Normalises a body as it would be if it came now."""
    raw = RawCallback(
        vendor=vendor, callback=callback, received_at=now, request_id="", content_type=content_type, body=body
    )
    return normalise(raw, Position("calls.raw", 0, 0), Directory(), DEFAULT)


def lines(outcome: Normalised) -> Iterator[str]:
    """Yields an outcome as lines for a terminal."""
    yield f"facts: {len(outcome.facts)}, dead letters: {len(outcome.dead)}, filtered: {len(outcome.filtered)}"
    for fact in outcome.facts:
        yield ""
        yield f"element {fact.raw_element}: a {fact.fact_type} of kind {fact.kind}"
        yield from _columns(fact)
    for dead in outcome.dead:
        place = "the whole body" if dead.element == WHOLE_BODY else f"element {dead.element}"
        yield ""
        yield f"{place}: a dead letter"
        yield _line("code", dead.code)
        yield _line("why", dead.detail)
    if outcome.filtered:
        yield ""
        yield from (f"filtered: {reason}" for reason in outcome.filtered)


def _columns(fact: Fact) -> Iterator[str]:
    for name, value in _set(fact):
        if name not in _NOT_SHOWN:
            yield _line(name, _text(value))
    for index, leg in enumerate(fact.legs):
        yield _line(f"leg {index}", ", ".join(f"{name} {_text(value)}" for name, value in _set(leg)))
    for name, text in fact.extras.items():
        yield _line(f"extra {name}", text)
    if not fact.quality_flags:
        yield _line("flags", "none")
    for flag in fact.quality_flags:
        yield _line(f"flag {flag}", sentences(Flag)[Flag(flag)])


def _set(struct: Fact | Leg) -> Iterator[tuple[str, Any]]:
    """Yields the fields that differ from their defaults."""
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        default = (
            field.default_factory() if field.default is msgspec.NODEFAULT and not field.required else field.default
        )
        if field.required or value != default:
            yield field.name, value


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping | tuple):
        return msgspec.json.encode(value).decode()
    return str(value)


def _line(name: str, text: str) -> str:
    return f"  {printable(name):{_WIDTH}} {printable(text)}".rstrip()
