"""The identity of a fact: the same item sent again has the same id; another digest is an update or a conflict."""

import hashlib
import uuid
from typing import Any, Final

import msgspec
from msgspec.structs import force_setattr

from schemas.call_fields import CARRIERS, IN_DIGEST_WHEN_SET
from schemas.facts import Fact
from schemas.raw import Position, RawCallback
from schemas.reading.field_readers import converter, reader
from schemas.vendor_kit.contract import Mapped

_NAMESPACE: Final = uuid.UUID("6f1d7a52-6f0b-5c1e-9f43-0c5d7f1f9a11")
_OF_NAMESPACE: Final = hashlib.sha1(_NAMESPACE.bytes, usedforsecurity=False)
_OF_NOTHING: Final = hashlib.blake2b(digest_size=16)
_SEPARATOR: Final = "\x1f"
_ESCAPE: Final = "\x1e"

_leg_content: Final = reader(
    (
        "role",
        "number",
        "setup_at",
        "alerting_at",
        "answer_at",
        "end_at",
        "disposition",
        "hangup_reason",
        "q850",
        "sip_code",
    )
)
_DEFAULTS: Final = {f.name: f.default for f in msgspec.structs.fields(Fact) if f.name in IN_DIGEST_WHEN_SET}
_given: Final = reader(tuple(_DEFAULTS))
_NOT_GIVEN: Final = tuple(_DEFAULTS.values())
_CONTENT: Final = tuple(sorted(set(Fact.__struct_fields__).difference(CARRIERS, IN_DIGEST_WHEN_SET)))
# The content with its fields in order: one that has to be sorted takes twice the time. The bytes are the same.
_Content: Final = msgspec.defstruct("_Content", [(name, Any) for name in _CONTENT], gc=False)
_content_of: Final = converter(_CONTENT, _Content)
_encode: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted", decimal_format="string").encode
_VARIANT: Final = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}
"""The digit of a UUID that tells its variant, by the digit of the hash in its place."""


def call_key(vendor: str, account: str, call_id: str) -> str:
    """Returns the Kafka key of a call; `|` inside a part is escaped, so that no two calls share a key."""
    key = f"{vendor}|{account}|{call_id}"
    if key.count("|") == 2 and "%" not in key:
        return key
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in (vendor, account, call_id))


def fact_id(vendor: str, account_id: str, kind: str, dedupe: tuple[str, ...], account: str = "") -> str:
    """Returns the UUIDv5 over the dedupe identity, which is CGRateS's hash of OriginID and OriginHost.

    `account` is the configured account whose address let the item in: by another address it is another item. It counts
    even where `account_id` is the same, because anybody may write that into a body. The separator is escaped in parts.
    """
    parts = (vendor, account_id, kind, *dedupe, "account", account) if account else (vendor, account_id, kind, *dedupe)
    name = _SEPARATOR.join(parts)
    if _ESCAPE in name or name.count(_SEPARATOR) != len(parts) - 1:
        name = _SEPARATOR.join(map(_escaped, parts))
    # As by `uuid.uuid5`, which makes a number and an object of the hash before its text.
    hashed = _OF_NAMESPACE.copy()
    hashed.update(name.encode())
    digits = hashed.hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"


def _escaped(part: str) -> str:
    return part.replace(_ESCAPE, f"{_ESCAPE}0").replace(_SEPARATOR, f"{_ESCAPE}1")


def digest(fact: Fact) -> str:
    """Returns 32 hexadecimal digits over the content of the fact, without its carrier fields."""
    content = _content_of(fact)
    if fact.legs:
        content.legs = [*map(_leg_content, fact.legs)]
    hashed = _OF_NOTHING.copy()
    if _given(fact) == _NOT_GIVEN:
        hashed.update(_encode(content))
    else:
        given = {name: value for name in _DEFAULTS if (value := getattr(fact, name)) != _DEFAULTS[name]}
        hashed.update(_encode_sorted(msgspec.structs.asdict(content) | given))
    return hashed.hexdigest()


def seal(mapped: Mapped, raw: RawCallback, position: Position, element: int, body_sha256: str) -> Fact:
    """Returns the mapped fact with its identity and its provenance.

    It is the same object: nobody else has it yet, and a copy takes four times as long as all that is set here.
    """
    fact = mapped.fact
    vendor = fact.vendor
    own_id = fact_id(vendor, fact.account_id, fact.kind, mapped.dedupe, raw.account)
    own_digest = digest(fact)
    force_setattr(fact, "fact_id", own_id)
    force_setattr(fact, "content_digest", own_digest)
    force_setattr(fact, "call_key", call_key(vendor, mapped.key_account, fact.vendor_call_id or fact.binding_id))
    force_setattr(fact, "account", raw.account)
    force_setattr(fact, "received_at", raw.received_at)
    force_setattr(fact, "source", raw.source)
    force_setattr(fact, "request_id", raw.request_id)
    force_setattr(fact, "raw_topic", position.topic)
    force_setattr(fact, "raw_partition", position.partition)
    force_setattr(fact, "raw_offset", position.offset)
    force_setattr(fact, "raw_element", element)
    force_setattr(fact, "raw_sha256", body_sha256)
    return fact
