"""The identity of a fact: the same item sent again has the same id; another digest is an update or a conflict."""

import hashlib
import uuid
from operator import attrgetter
from typing import Final

import msgspec

from schemas.call_fields import CARRIERS, IN_DIGEST_WHEN_SET
from schemas.facts import Fact
from schemas.raw import Position, RawCallback
from schemas.vendor_kit.contract import Mapped

_NAMESPACE: Final = uuid.UUID("6f1d7a52-6f0b-5c1e-9f43-0c5d7f1f9a11")
_SEPARATOR: Final = "\x1f"

_leg_content: Final = attrgetter(
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
_DEFAULTS: Final = {f.name: f.default for f in msgspec.structs.fields(Fact) if f.name in IN_DIGEST_WHEN_SET}
_encoder: Final = msgspec.json.Encoder(order="sorted", decimal_format="string")


def call_key(vendor: str, account: str, call_id: str) -> str:
    """Returns the Kafka key of a call; `|` inside a part is escaped, so that no two calls share a key."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in (vendor, account, call_id))


def fact_id(vendor: str, account_id: str, kind: str, dedupe: tuple[str, ...], account: str = "") -> str:
    """Returns the UUIDv5 over the dedupe identity, which is CGRateS's hash of OriginID and OriginHost.

    `account` is the configured account whose address let the item in: by another address it is another item. It counts
    even where `account_id` is the same, because anybody may write that into a body. The separator is escaped in parts.
    """
    by_account = ("account", account) if account else ()
    parts = (vendor, account_id, kind, *dedupe, *by_account)
    return str(uuid.uuid5(_NAMESPACE, _SEPARATOR.join(map(_escaped, parts))))


def _escaped(part: str) -> str:
    return part.replace("\x1e", "\x1e0").replace(_SEPARATOR, "\x1e1")


def digest(fact: Fact) -> str:
    """Returns 32 hexadecimal digits over the content of the fact, without its carrier fields."""
    content = msgspec.structs.asdict(fact)
    for name in CARRIERS:
        del content[name]
    for name, default in _DEFAULTS.items():
        if content[name] == default:
            del content[name]
    content["legs"] = list(map(_leg_content, fact.legs))
    return hashlib.blake2b(_encoder.encode(content), digest_size=16).hexdigest()


def seal(mapped: Mapped, raw: RawCallback, position: Position, element: int, body_sha256: str) -> Fact:
    """Returns the mapped fact with its identity and its provenance."""
    fact = mapped.fact
    return msgspec.structs.replace(
        fact,
        fact_id=fact_id(fact.vendor, fact.account_id, fact.kind, mapped.dedupe, raw.account),
        account=raw.account,
        content_digest=digest(fact),
        call_key=call_key(fact.vendor, mapped.key_account, fact.vendor_call_id or fact.binding_id),
        received_at=raw.received_at,
        source=raw.source,
        request_id=raw.request_id,
        raw_topic=position.topic,
        raw_partition=position.partition,
        raw_offset=position.offset,
        raw_element=element,
        raw_sha256=body_sha256,
    )
