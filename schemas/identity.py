"""Who a fact is: the same item sent again gets the same id; the same id with another digest is an update or a conflict."""

import hashlib
import uuid
from operator import attrgetter
from typing import Final

import msgspec

from schemas.facts import Fact
from schemas.raw import Position, RawCallback
from schemas.vendor_kit.contract import Mapped

_NAMESPACE: Final = uuid.UUID("6f1d7a52-6f0b-5c1e-9f43-0c5d7f1f9a11")
_SEPARATOR: Final = "\x1f"

# How an item came, and how it was spelt, is not what it says: these stay out of the digest.
_CARRIER_FIELDS: Final = (
    "fact_id", "content_digest", "call_key", "adapter_version", "schema_version", "version", "from_raw", "to_raw", "display_raw",
    "privacy_raw", "leg", "time_precision", "quality_flags", "received_at", "source", "request_id", "raw_topic",
    "raw_partition", "raw_offset", "raw_element", "raw_sha256", "account", "contents",
)  # fmt: skip
_leg_said: Final = attrgetter(
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
_encoder: Final = msgspec.json.Encoder(order="sorted", decimal_format="string")


def call_key(vendor: str, account: str, call_id: str) -> str:
    """The Kafka key of a call; `|` inside a part is escaped so that no two calls share a key."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in (vendor, account, call_id))


def fact_id(vendor: str, account_id: str, kind: str, dedupe: tuple[str, ...], account: str = "") -> str:
    """UUIDv5 over the dedupe identity (domain: the hash of OriginID and OriginHost, as CGRateS has it).

    `account` is the configured account that let the item in: what comes by another address is another item. It is named
    even where `account_id` is the same, which anybody may write into a body; and no part can hold what separates parts.
    """
    door = ("account", account) if account else ()
    parts = (vendor, account_id, kind, *dedupe, *door)
    return str(uuid.uuid5(_NAMESPACE, _SEPARATOR.join(map(_escaped, parts))))


def _escaped(part: str) -> str:
    return part.replace("\x1e", "\x1e0").replace(_SEPARATOR, "\x1e1")


def digest(fact: Fact) -> str:
    """32 hex digits over what the fact says."""
    said = msgspec.structs.asdict(fact)
    for name in _CARRIER_FIELDS:
        del said[name]
    if not fact.keeps:
        del said["keeps"]  # only decisions have it: what vendors say keeps the digest that it had before there were any
    said["legs"] = list(map(_leg_said, fact.legs))
    return hashlib.blake2b(_encoder.encode(said), digest_size=16).hexdigest()


def seal(mapped: Mapped, raw: RawCallback, position: Position, element: int, body_sha256: str) -> Fact:
    """Give a mapped fact its identity and its provenance."""
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
