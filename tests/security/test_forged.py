"""A forger's push changes, contradicts and hides no row that came by another route (guarantee 10)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ingress.access.request_head import RequestHead
from ingress.http.routes import Router
from schemas.errors import Rejected
from schemas.raw import RawCallback
from schemas.vendors import VENDORS
from tests.security.forgeries import (
    EXTERNAL,
    LATER,
    PAYLOADS,
    ROUTES,
    SETTINGS,
    UNCLAIMED,
    Payload,
    Rows,
    T,
    claimed,
    facts_of,
    pushed,
    rows,
)
from tests.support.http.accepting import accept_request

FORGED = 1000
"""The offsets at which forgeries begin."""
VICTIMS = ("main", "bare", "net", "open")
"""Accounts with a secret and external ids, with a secret alone, with a network, and with nothing but a name."""
each_payload = pytest.mark.parametrize("payload", [pytest.param(each, id=each.name) for each in PAYLOADS])
names_its_account = pytest.mark.parametrize(
    "payload", [pytest.param(each, id=each.name) for each in PAYLOADS if each.names_account]
)


def own_id(account: str) -> str:
    """Returns the vendor's id in payloads that come by this route."""
    return EXTERNAL.get(account, UNCLAIMED)


def claims(payload: Payload, victim: str, forger: str) -> Iterator[tuple[str, str | None]]:
    """Returns the account ids that a forger could put into a payload."""
    yield "the victim's id", own_id(victim)
    if payload.id_field:
        yield "the forger's own id", own_id(forger)
        yield "no id", None
        yield "the victim's name for an id", victim
        yield "an id that nobody has", "ids-of-nobody-0010"


def without_forgeries(payload: Payload, victim: str, claim: str | None) -> list[Any]:
    documents = [claimed(each, payload.id_field, claim) for each in payload.true()]
    return facts_of(pushed(payload, victim, documents, at=T, offset=0))


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("forger", ROUTES, ids=[account or "no account" for account in ROUTES])
@each_payload
def test_no_row_changes_by_a_push_on_another_route(payload: Payload, victim: str, forger: str) -> None:
    """The forgeries come before the true pushes, after them, on both sides, and when the call is forgotten."""
    if forger == victim:
        return  # the holder of the secret is the account
    changed: list[str] = []
    for named in (own_id(victim), None) if payload.id_field and victim in ("bare", "open") else (own_id(victim),):
        true = without_forgeries(payload, victim, named)
        assert true, "the true payload makes rows"
        alone: dict[tuple[bool, ...], Rows] = {}  # without a forgery, by the places of the pauses
        for claimed_id, claim in claims(payload, victim, forger):
            forgeries = [claimed(each, payload.id_field, claim) for each in payload.forged()]
            early = facts_of(pushed(payload, forger, forgeries, at=T - timedelta(hours=1), offset=FORGED))
            late = facts_of(pushed(payload, forger, forgeries, at=T + timedelta(hours=1), offset=2 * FORGED))
            for when, log in {
                "before": [*early, *true],
                "after": [*true, *late],
                "around": [*early, *true, *late],
                "between": [true[0], *late, *true[1:]],
                "when it is forgotten": [*true, LATER, *late, LATER],
                "before it is forgotten": [*early, LATER, *true, LATER],
            }.items():
                shown = rows(log)
                honest = [item for item in log if item is LATER or item.raw_offset < FORGED]
                pauses = tuple(item is LATER for item in honest)
                if pauses not in alone:
                    alone[pauses] = rows(honest)
                for key, row in alone[pauses].items():
                    if shown.get(key) != row:
                        changed.append(
                            f"{claimed_id}, {when}: {key[0]} {'is hidden' if key not in shown else 'differs'}"
                        )
    assert changed == []


@pytest.mark.parametrize("victim", ["main", "other", "net"])
@pytest.mark.parametrize("forger", ROUTES, ids=[account or "no account" for account in ROUTES])
@names_its_account
def test_an_id_that_another_account_has_is_a_dead_letter(payload: Payload, victim: str, forger: str) -> None:
    """An account is reached only by its own address, so another account's id in the payload is refused."""
    documents = [claimed(each, payload.id_field, EXTERNAL[victim]) for each in payload.true()]
    outcomes = pushed(payload, forger, documents, at=T, offset=0)
    named = [
        outcome
        for outcome, document in zip(outcomes, documents, strict=True)
        if EXTERNAL[victim] in str(document)  # a state push names no account
    ]
    codes = {letter.code for outcome in named for letter in outcome.dead}
    facts = facts_of(named)
    assert (codes, bool(facts)) == ((set(), True) if forger == victim else ({"wrong_account"}, False))


@each_payload
@pytest.mark.parametrize(
    ("path", "more", "code"),
    [
        pytest.param("/v1{}", {"accounts": ("main",)}, "forbidden", id="its name instead of its secret"),
        pytest.param("/v1{}", {"accounts": ("net",), "peer": "198.51.100.7"}, "forbidden", id="from another network"),
        pytest.param("/v1{}", {"accounts": ("net",), "peer": "198.51.100.7", "forwarded_for": "192.0.2.9"}, "forbidden", id="from another network, which says otherwise"),
        pytest.param("/v1{}", {"accounts": ("nobody",)}, "unknown_account", id="an account that there is not"),
        pytest.param("/v1{}", {"accounts": ("",)}, "unknown_account", id="an empty account"),
        pytest.param("/v1{}", {"accounts": ("open", "main")}, "bad_request", id="two accounts"),
        pytest.param("/v1/a/k3vq9xw2mz7rt5hx{}", {}, "forbidden", id="a secret but for its last letter"),
        pytest.param("/v1/a/K3VQ9XW2MZ7RT5HB{}", {}, "forbidden", id="a secret in another case"),
        pytest.param("/v1/a/main{}", {}, "forbidden", id="a name for a secret"),
        pytest.param("/v1/a//{}", {}, "forbidden", id="an empty secret"),
    ],
)  # fmt: skip
def test_who_is_not_let_in(payload: Payload, path: str, more: dict[str, Any], code: str) -> None:
    with pytest.raises(Rejected) as rejected:
        raw_of(path.format(payload.path), more)
    assert rejected.value.code == code
    assert rejected.value.http_status in (400, 403)


def raw_of(path: str, more: dict[str, Any]) -> RawCallback:
    head = RequestHead(method="POST", path=path, **more)
    return accept_request(Router(SETTINGS, VENDORS), head, b"{}", now=T, request_id="r").raw
