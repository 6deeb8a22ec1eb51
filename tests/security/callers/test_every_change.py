"""Any change of any letter of what a push proves with, or of what its proof covers, is refused: each place is tried."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from ingress.access.gate import Gate
from ingress.access.request_head import RequestHead
from schemas.errors import Rejected
from tests.security.callers.kinds import KINDS, NOW, PAGES, Key, Kind, Push, accounts, loaded

PROVING = [pytest.param(kind, id=kind.name) for kind in KINDS if kind.check]
UNREAD = frozenset({"Content-Type"})
"""Headers that no proof of the kinds is in, and `Authorization` beside a UsernameToken."""


def gate_of(kind: Kind) -> Gate:
    (account, _) = loaded(json.dumps(accounts(kind, "ytx")), "192.0.2.0/24", True).accounts
    return Gate(account.checks, ("192.0.2.0/24",))


def passes(gate: Gate, push: Push) -> bool:
    content_type = next((value for name, value in push.headers if name == "Content-Type"), "")
    head = RequestHead(
        method=push.method, path=push.path, sent_path=push.path, query=push.query, content_type=content_type,
        peer="192.0.2.7", headers=tuple((name.lower(), value) for name, value in push.headers),
    )  # fmt: skip
    try:
        gate.pass_head(head, NOW)
        gate.pass_body(head, push.body, NOW)
    except Rejected:
        return False
    return True


def changes(text: str) -> Iterator[str]:
    """Yields the text with each letter replaced, left out, and followed by another one."""
    for at, letter in enumerate(text):
        other = "7" if letter != "7" else "x"
        yield from (
            text[:at] + other + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[: at + 1] + other + text[at + 1 :],
        )


def changed(kind: Kind, genuine: Push) -> Iterator[Push]:
    for place, (name, value) in enumerate(genuine.headers):
        if name in UNREAD or (name == "Authorization" and kind.proof != name):
            continue
        for other in changes(value):
            yield genuine.having(headers=(*genuine.headers[:place], (name, other), *genuine.headers[place + 1 :]))
    if kind.covers_body:
        for text in changes(genuine.body.decode("latin-1")):
            yield genuine.having(body=text.encode("latin-1"))
    if kind.name.startswith("twilio") or "{query}" in kind.check.get("signed", ""):
        for query in changes(genuine.query):
            yield genuine.having(query=query)
        for path in changes(genuine.path):
            yield genuine.having(path=path)


@pytest.mark.parametrize("kind", PROVING)
def test_no_letter_can_be_changed(kind: Kind) -> None:
    gate = gate_of(kind)
    path, payload = PAGES["ytx"]
    plain = Push(path=f"/v1{path}", query="account=main", body=json.dumps(payload).encode())
    genuine = kind.sign(plain, Key(name="ak-main", secret=kind.secrets[0]))
    assert passes(gate, genuine)
    tried = 0
    for push in changed(kind, genuine):
        assert not passes(gate, push), msgspec.json.encode([push.headers, push.query, push.path])
        tried += 1
    assert tried > 50 or kind.name == "md5-fields"


@pytest.mark.parametrize("name", ["hmac-fields", "md5-fields"])
def test_no_letter_of_a_signed_field_can_be_changed(name: str) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)
    gate = gate_of(kind)
    genuine = kind.sign(Push(path="/v1/ytx", body=b"{}"), Key(name="ak-main", secret=kind.secrets[0]))
    fields = json.loads(genuine.body)
    assert passes(gate, genuine)
    for field, value in fields.items():
        for other in changes(value):
            assert not passes(gate, genuine.having(body=json.dumps({**fields, field: other}).encode())), (field, other)
        assert not passes(gate, genuine.having(body=json.dumps({**fields, field: [value]}).encode()))
        assert not passes(
            gate, genuine.having(body=json.dumps({k: v for k, v in fields.items() if k != field}).encode())
        )
