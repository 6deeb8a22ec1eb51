"""Bodies and elements that nobody can use, with the code of the dead letter that each must end as."""

import json
import random
from collections.abc import Callable
from typing import Final

import msgspec

from deploy.simulator.calls import people
from deploy.simulator.expectation import Expectation, dead
from deploy.simulator.requests import Send

_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
_STRANGERS: Final = {
    # Never one that the addressed vendor could take for its own.
    "nxcloud": b'{"id":7,"ak":"AC5A23CF0E42435C9FF52E401EE897BC","status":1,"subscriptionId":"%b","sessionId":null}',
    "huawei": b'{"show_phone":"6298881888","direction":0,"sipid":"1049002","phone":"4444","sessionid":"%b"}',
    "ytx": b'{"show_phone":"6298881888","direction":0,"sipid":"1049002","phone":"4444","sessionid":"%b"}',
}

Breaker = Callable[[random.Random, Send], tuple[bytes, str] | None]
"""A body and its code; None where this vendor has no such body."""


def body(rng: random.Random, like: Send) -> Send:
    """A broken companion of a plain, uncompressed request, at the same address."""
    choices = [(name, made) for name, breaker in _BREAKERS.items() if (made := breaker(rng, like))]
    name, (content, code) = rng.choice(choices)
    return msgspec.structs.replace(like, label=f"broken: {name}", body=content, told=(dead(like.vendor, code),))


def element(rng: random.Random) -> tuple[str, Expectation]:
    """One bad element of a two-way platform's batch: it must fail alone."""
    text, code = rng.choice(
        (
            ("null", "shape"),
            ('"retry"', "shape"),
            (json.dumps({"requestid": people.digits(rng, 29), "appid": "x", "fid": "9", "tel": "10086"}), "wrong_kind"),
            (json.dumps({"appid": "x", "fid": "2", "tel": "10086", "stime": "", "etime": ""}), "no_id"),
        )
    )
    return text, dead("ytx", code)


def _empty(rng: random.Random, _like: Send) -> tuple[bytes, str]:
    return rng.choice((b"", b"  \r\n")), "empty"


def _html(_rng: random.Random, _like: Send) -> tuple[bytes, str]:
    return _HTML, "json"


def _truncated(rng: random.Random, like: Send) -> tuple[bytes, str]:
    text = like.body.decode("utf-8", "replace")
    return text[: rng.randint(len(text) // 3, len(text) - 12)].encode(), "json"


def _scalar(rng: random.Random, _like: Send) -> tuple[bytes, str]:
    return rng.choice((b"null", b"42", b'"x"')), "shape"


def _stranger(rng: random.Random, like: Send) -> tuple[bytes, str]:
    return _STRANGERS[like.vendor] % people.call_uuid(rng).encode(), "wrong_kind"


def _no_id(_rng: random.Random, like: Send) -> tuple[bytes, str] | None:
    if like.vendor == "nxcloud":
        return _without(like.body, "sessionid"), "no_id"
    return (_without(like.body, "requestid"), "no_id") if like.label == "state" else None


def _empty_state(_rng: random.Random, like: Send) -> tuple[bytes, str] | None:
    if like.label != "state":
        return None
    return json.dumps(json.loads(like.body) | {"state": ""}).encode(), "field"


def _without(content: bytes, key: str) -> bytes:
    try:
        fields = json.loads(content)
    except UnicodeDecodeError:
        fields = json.loads(content.decode("gb18030"))
    del fields[key]
    return json.dumps(fields, ensure_ascii=False).encode()


_BREAKERS: Final[dict[str, Breaker]] = {
    "empty": _empty,
    "html": _html,
    "truncated": _truncated,
    "scalar": _scalar,
    "stranger": _stranger,
    "no id": _no_id,
    "empty state": _empty_state,
}
