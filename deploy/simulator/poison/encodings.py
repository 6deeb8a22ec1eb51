"""Text in another encoding than it says, or with a byte that is in none: only the field that it stands in suffers."""

import random
from typing import Final

import msgspec

from deploy.simulator.calls import endings
from deploy.simulator.calls.truth import Scenario
from deploy.simulator.calls.world import World
from deploy.simulator.expectation import Expectation
from deploy.simulator.poison.ingredients import (
    Poison,
    PoisonTable,
    VendorFields,
    batch,
    softphone,
    text_of,
    to_nxcloud,
    to_ytx,
    told_of,
    two_way,
    with_headers,
)
from deploy.simulator.requests import Send

_REF: Final = "order-abc"
_SPOILT: Final = b"order-\xf9abc"
_SHOWN: Final = "order-\ufffdabc"


def _unreachable(world: World, rng: random.Random, ref: str, shown: str) -> tuple[VendorFields, Expectation]:
    """A record that says in Chinese how it ended."""
    call, fields = two_way(world, rng, Scenario.SWITCHED_OFF)
    cause = endings.YTX[Scenario.SWITCHED_OFF][0]
    call = msgspec.structs.replace(
        call,
        cause=cause.text,
        disposition=cause.disposition,
        q850=cause.q850,
        sip_code=cause.sip_code,
        custom_ref=shown,
    )
    return fields | {"stateDesc": cause.text, "customParm": ref}, told_of(call)


def _spoilt(*fields: VendorFields) -> bytes:
    return batch(*fields).replace(_REF.encode(), _SPOILT, 1)


def _bad_byte(world: World, rng: random.Random) -> tuple[Send, ...]:
    """In the customer's own field."""
    fields, told = _unreachable(world, rng, _REF, _SHOWN)
    told = msgspec.structs.replace(told, columns=told.columns | {"flag_charset_repaired": True})
    return (to_ytx(_spoilt(fields), told),)


def _bad_byte_in_a_batch(world: World, rng: random.Random) -> tuple[Send, ...]:
    """In the second of three records."""
    refs = (("first", "first"), (_REF, _SHOWN), ("third", "third"))
    pairs = [_unreachable(world, rng, *ref) for ref in refs]
    return (to_ytx(_spoilt(*(fields for fields, _ in pairs)), *(told for _, told in pairs)),)


def _in(declared: str, name: str, encoding: str) -> Poison:
    """A name in an encoding, with what the header says of it."""

    def made(world: World, rng: random.Random) -> tuple[Send, ...]:
        call, fields = softphone(world, rng)
        body = text_of(fields | {"mobile_name": name}).encode(encoding)
        send = to_nxcloud(body, told_of(msgspec.structs.replace(call, agent_name=name)))
        return (with_headers(send, ("Content-Type", f"application/json{declared}")),)

    return made


TABLE: Final[PoisonTable] = {
    "nxcloud": {
        # Its bytes are valid UTF-8 as well, and mean something else there.
        "GBK, as declared": _in("; charset=GBK", "医院", "gbk"),
        "Latin-1, as declared": _in("; charset=ISO-8859-1", "José Núñez", "latin-1"),
        "GB 18030, not declared": _in("", "前台接待一号，客服中心夜班专用电话", "gb18030"),
        "UTF-8 with its mark": _in("", "前台一号", "utf-8-sig"),
        "UTF-16 with its mark": _in("", "前台一号", "utf-16"),
    },
    "ytx": {"a bad byte": _bad_byte, "a bad byte in a batch": _bad_byte_in_a_batch},
}
