"""Bodies that nobody can use, with the code of the dead letter that each must end as."""

import random
from typing import Final

import msgspec

from deploy.simulator.calls import parties
from deploy.simulator.expectation import dead
from deploy.simulator.requests import PushRequest
from deploy.simulator.vendor_contract import Breaker
from deploy.simulator.vendors import SIMULATED_VENDORS

_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


def broken_body(rng: random.Random, like: PushRequest) -> PushRequest:
    """Returns a broken companion of a plain, uncompressed request, at the same address."""
    breakers = {**_BREAKERS, **SIMULATED_VENDORS[like.vendor].breakers}
    choices = [(name, made) for name, breaker in breakers.items() if (made := breaker(rng, like))]
    name, (content, code) = rng.choice(choices)
    expected = (dead(like.vendor, code),)
    return msgspec.structs.replace(like, label=f"broken: {name}", body=content, expected=expected)


def _empty(rng: random.Random, _like: PushRequest) -> tuple[bytes, str]:
    return rng.choice((b"", b"  \r\n")), "empty"


def _html(_rng: random.Random, _like: PushRequest) -> tuple[bytes, str]:
    return _HTML, "json"


def _truncated(rng: random.Random, like: PushRequest) -> tuple[bytes, str]:
    text = like.body.decode("utf-8", "replace")
    return text[: rng.randint(len(text) // 3, len(text) - 12)].encode(), "json"


def _scalar(rng: random.Random, _like: PushRequest) -> tuple[bytes, str]:
    return rng.choice((b"null", b"42", b'"x"')), "shape"


def _stranger(rng: random.Random, like: PushRequest) -> tuple[bytes, str]:
    return SIMULATED_VENDORS[like.vendor].stranger % parties.call_uuid(rng).encode(), "wrong_kind"


_BREAKERS: Final[dict[str, Breaker]] = {
    "empty": _empty,
    "html": _html,
    "truncated": _truncated,
    "scalar": _scalar,
    "stranger": _stranger,
}
