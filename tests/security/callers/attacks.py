"""Ways to get in without being the caller, each made from a genuine push or from what its sender knows."""

import gzip
from base64 import b64decode, b64encode
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from tests.security.callers.kinds import TOLERANCE_S, Key, Kind, Push


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """One forged push."""

    name: str
    push: Push


def attacks(kind: Kind, plain: Push, key: Key, other: Key) -> Iterator[Attack]:
    """Yields the attacks on an account; `plain` is its push without a proof, and `other` the key of another account."""
    genuine = kind.sign(plain, key)
    yield Attack(name="no proof", push=plain)
    yield Attack(name="another secret", push=kind.sign(plain, msgspec.structs.replace(key, secret=_near(key.secret))))
    yield Attack(name="an empty secret", push=kind.sign(plain, msgspec.structs.replace(key, secret="")))
    if kind.name != "path":  # another account's address is that account
        yield Attack(name="another account's credentials", push=kind.sign(plain, other))
        yield Attack(
            name="another account's secret and this one's name",
            push=kind.sign(plain, msgspec.structs.replace(other, name=key.name)),
        )
    if kind.username:
        yield Attack(name="another name", push=kind.sign(plain, msgspec.structs.replace(key, name="nobody")))
    if kind.timed:
        for name, seconds in (("late", -TOLERANCE_S - 1), ("early", TOLERANCE_S + 1)):
            yield Attack(name=name, push=kind.sign(plain, msgspec.structs.replace(key, at_s=key.at_s + seconds)))
    if kind.name == "path":
        for name, secret in _spelt_otherwise(key.secret):
            yield Attack(name=name, push=kind.sign(plain, msgspec.structs.replace(key, secret=quote(secret, safe="%"))))
    if kind.proof:
        yield from _of_header(kind.proof, genuine)
    if kind.covers_body:
        yield from _of_body(genuine)


def _of_header(name: str, genuine: Push) -> Iterator[Attack]:
    """Yields the proof without its end, spelt otherwise, twice, and beside a forged one."""
    (proof,) = [value for found, value in genuine.headers if found == name]
    rest = tuple(each for each in genuine.headers if each[0] != name)
    for title, value in _spelt_otherwise(proof):
        yield Attack(name=f"the proof {title}", push=genuine.having(headers=(*rest, (name, value))))
    forged = proof[:-1] + ("A" if proof[-1] != "A" else "B")
    for title, values in {
        "twice": (proof, proof), "before a forged one": (proof, forged), "behind a forged one": (forged, proof),
        "before an empty one": (proof, ""),
    }.items():  # fmt: skip
        yield Attack(
            name=f"the proof {title}", push=genuine.having(headers=(*rest, *((name, value) for value in values)))
        )


def _spelt_otherwise(proof: str) -> Iterator[tuple[str, str]]:
    yield "without its end", proof[:-1]
    yield "without its beginning", proof[1:]
    yield "with more at its end", proof + "0"
    yield "percent-encoded twice", quote(quote(proof, safe=""), safe="").replace("-", "%252D") + "%2500"
    yield "in Base64", b64encode(proof.encode()).decode()
    yield (
        "in other letters",
        proof.translate({ord("a"): "\u0430", ord("e"): "\u0435", ord("1"): "\uff11"} | {ord("k"): "\u212a"}) + "\u200b",
    )
    if not proof.startswith("v1,"):  # Svix sends a list of signatures
        yield "after a comma", f"{proof}, {proof}"
    if proof.swapcase() not in (proof, proof.upper(), proof.lower()):
        yield "in the other case", proof.swapcase()
    if "=" in proof[-2:]:
        yield "without its padding", proof.rstrip("=")
    other = proof.replace("+", "-").replace("/", "_")
    if other != proof and "UsernameToken" not in proof:
        yield "in the other alphabet of Base64", other
    scheme, _, text = proof.partition(" ")
    if scheme == "Basic":
        yield (
            "with its name in another charset",
            f"Basic {b64encode(b64decode(text).decode().encode('utf-16')).decode()}",
        )


def _of_body(genuine: Push) -> Iterator[Attack]:
    """Yields the body of a signed push without its end, changed, and encoded otherwise."""
    body = genuine.body
    for title, changed in {
        "without its end": body[:-1],
        "empty": b"",
        "with a space more": body + b" ",
        "with a parameter more": body + b"&forged=1",
        "with another digit": body.translate(bytes.maketrans(b"13", b"31")),
        "in another charset": body.decode().encode("utf-16"),
        "compressed": gzip.compress(body),
    }.items():
        yield Attack(name=f"the body {title}", push=genuine.having(body=changed))
    yield Attack(
        name="the body compressed, and said to be",
        push=genuine.having(body=gzip.compress(body)).adding(("Content-Encoding", "gzip")),
    )


def _near(secret: str) -> str:
    """Returns a secret with one letter changed, of the same form."""
    at = len(secret) // 2
    return secret[:at] + ("Q" if secret[at] != "Q" else "R") + secret[at + 1 :]
