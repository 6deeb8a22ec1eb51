"""Text in another encoding than declared, or with a byte that is in none: only the field with that byte is harmed."""

import random
from typing import Final

import msgspec

from deploy.simulator.calls.truth import Scenario, ended_with
from deploy.simulator.expectation import Expectation
from deploy.simulator.poison.ingredients import (
    Poison,
    PoisonTable,
    VendorFields,
    batch,
    expected_of,
    softphone,
    text_of,
    to_nxcloud,
    to_ytx,
    two_way,
    with_headers,
)
from deploy.simulator.requests import PushRequest
from deploy.simulator.vendors import ytx
from deploy.simulator.world import World

_REF: Final = "order-abc"
_SPOILT: Final = b"order-\xf9abc"
_SHOWN: Final = "order-\ufffdabc"


def _unreachable(world: World, rng: random.Random, ref: str, shown: str) -> tuple[VendorFields, Expectation]:
    """A record with a cause of the end in Chinese, and its expectation with the reference as it is `shown`."""
    call, fields = two_way(world, rng, Scenario.SWITCHED_OFF)
    cause = ytx.ENDINGS[Scenario.SWITCHED_OFF][0]
    call = ended_with(msgspec.structs.replace(call, custom_ref=shown), cause)
    return fields | {"stateDesc": cause.text, "customParm": ref}, expected_of(call)


def _spoilt(*fields: VendorFields) -> bytes:
    return batch(*fields).replace(_REF.encode(), _SPOILT, 1)


def _bad_byte(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The bad byte stands in the customer's own field."""
    fields, expected = _unreachable(world, rng, _REF, _SHOWN)
    expected = msgspec.structs.replace(expected, columns=expected.columns | {"flag_charset_repaired": True})
    return (to_ytx(_spoilt(fields), expected),)


def _bad_byte_in_a_batch(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The bad byte stands in the second of three records."""
    refs = (("first", "first"), (_REF, _SHOWN), ("third", "third"))
    pairs = [_unreachable(world, rng, *ref) for ref in refs]
    return (to_ytx(_spoilt(*(fields for fields, _ in pairs)), *(expected for _, expected in pairs)),)


def _in(declared: str, name: str, encoding: str) -> Poison:
    """Returns the poison of a name in an encoding, with what the header declares."""

    def made(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
        call, fields = softphone(world, rng)
        body = text_of(fields | {"mobile_name": name}).encode(encoding)
        request = to_nxcloud(body, expected_of(msgspec.structs.replace(call, agent_name=name)))
        return (with_headers(request, ("Content-Type", f"application/json{declared}")),)

    return made


TABLE: Final[PoisonTable] = {
    "nxcloud": {
        # Its bytes are valid UTF-8 as well, and are other characters there.
        "GBK, as declared": _in("; charset=GBK", "医院", "gbk"),
        "Latin-1, as declared": _in("; charset=ISO-8859-1", "José Núñez", "latin-1"),
        "GB 18030, not declared": _in("", "前台接待一号，客服中心夜班专用电话", "gb18030"),
        "UTF-8 with its mark": _in("", "前台一号", "utf-8-sig"),
        "UTF-16 with its mark": _in("", "前台一号", "utf-16"),
    },
    "ytx": {"a bad byte": _bad_byte, "a bad byte in a batch": _bad_byte_in_a_batch},
}
