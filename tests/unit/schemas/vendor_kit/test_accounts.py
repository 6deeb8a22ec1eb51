"""The account of a payload: no address takes another account's payload, and no two accounts are joined."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.normalise import Normalised, directory
from schemas.config.secret import Secret
from schemas.config.settings import Account
from schemas.facts import Flag
from schemas.raw import RawCallback
from schemas.vendors import VENDORS
from tests.golden.cases import run
from tests.support.payloads.huawei_elements import CALL, FEE, ROW
from tests.support.payloads.ytx_elements import CONFERENCE, STATE, TWO_WAY, VOICE

X = "X-000000001"
LOCKED = Account(vendor="", name="locked", secret=Secret("s" * 16), external_ids=(X,))
FENCED = Account(vendor="", name="fenced", allow=("192.0.2.0/24",), external_ids=(X,))
OPEN = Account(vendor="", name="open", external_ids=(X,))
OTHER = Account(vendor="", name="other", external_ids=("Y-000000002",))
ANYBODYS = Account(vendor="", name="anybodys")
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ytx voice code": ("ytx", "push", {"cdr": [{**VOICE, "appid": X}]}),
    "ytx two-way call": ("ytx", "push", {"cdr": [{**TWO_WAY, "appid": X}]}),
    "ytx conference": ("ytx", "push", {"cdr": [{**CONFERENCE, "appid": X}]}),
    "ytx state with its application": ("ytx", "push", {**STATE, "appid": X}),
    "huawei binding": ("huawei", "ax", {**ROW, "ak": X}),
    "huawei call": ("huawei", "ax", {**CALL, "ak": X}),
    "huawei notification": ("huawei", "ax", {"eventType": "fee", "feeLst": [{**FEE, "appKey": X}]}),
}
each_body = pytest.mark.parametrize("name", BODIES)


def sent(name: str, address: str, *accounts: Account, **changes: Any) -> Normalised:
    """Returns the outcome of the body when it comes by this account's address, "" for the one without an account."""
    vendor, callback, document = BODIES[name]
    if changes:
        document = {"cdr": [{**document["cdr"][0], **changes}]}
    ours = (
        Account(**{f: getattr(account, f) for f in account.__struct_fields__} | {"vendor": vendor})
        for account in accounts
    )
    raw = RawCallback(
        vendor=vendor, callback=callback, account=address, received_at=datetime(2022, 3, 3, 8, tzinfo=UTC), request_id="r",
        body=json.dumps(document).encode(),
    )  # fmt: skip
    return run(raw, directory(tuple(ours)))


@each_body
@pytest.mark.parametrize(
    ("address", "accounts"),
    [
        pytest.param("", (LOCKED,), id="P11 the id of an account with a secret, without it"),
        pytest.param("", (FENCED,), id="of an account with networks, from anywhere"),
        pytest.param("", (LOCKED, OPEN), id="of an account with a secret that an open one has as well"),
        pytest.param("other", (LOCKED, OTHER), id="of a protected account, by another's address"),
        pytest.param("other", (OPEN, OTHER), id="of an open account, by another's address"),
        pytest.param("anybodys", (LOCKED, ANYBODYS), id="by the address of an account without ids"),
        pytest.param("anybodys", (OPEN, ANYBODYS), id="of an open account, by the address of one without ids"),
        pytest.param("other", (OTHER,), id="of nobody, by the address of an account that lists its ids"),
        pytest.param("gone", (LOCKED,), id="by the address of an account that is configured no longer"),
    ],
)
def test_what_belongs_to_another_account_is_refused(name: str, address: str, accounts: tuple[Account, ...]) -> None:
    found = sent(name, address, *accounts)
    assert ([dead.code for dead in found.dead], found.facts) == (["wrong_account"], ())
    assert X not in found.dead[0].detail


@each_body
@pytest.mark.parametrize(
    ("address", "accounts", "unknown"),
    [
        pytest.param("locked", (LOCKED, OTHER), False, id="by its own address"),
        pytest.param("fenced", (FENCED,), False, id="by its own address, from its networks"),
        pytest.param("", (OPEN, OTHER), False, id="of an open account, by the address without any"),
        pytest.param("open", (LOCKED, OPEN), False, id="of two accounts, by one's own address"),
        pytest.param("", (OTHER,), True, id="V37 of nobody, by the address without any"),
        pytest.param("", (), False, id="nothing is configured"),
        pytest.param("anybodys", (ANYBODYS,), False, id="no ids are configured"),
        pytest.param("anybodys", (ANYBODYS, OTHER), True, id="of nobody, by the address of an account without ids"),
    ],
)
def test_what_is_nobody_elses_is_taken(
    name: str, address: str, accounts: tuple[Account, ...], *, unknown: bool
) -> None:
    found = sent(name, address, *accounts)
    assert found.dead == ()
    (fact,) = found.facts
    assert (fact.account_id, fact.account) == (X, address)
    assert (Flag.UNKNOWN_ACCOUNT in fact.quality_flags) is unknown


@each_body
def test_nothing_that_came_by_one_address_meets_what_came_by_another(name: str) -> None:
    (mine,), (theirs,) = sent(name, "locked", LOCKED).facts, sent(name, "", OPEN).facts
    assert mine.fact_id != theirs.fact_id
    assert mine.call_key != theirs.call_key


@each_body
@pytest.mark.parametrize("address", ["", "locked"])
def test_ingress_and_normaliser_put_a_call_in_the_same_place(name: str, address: str) -> None:
    vendor, _, document = BODIES[name]
    (callback,) = VENDORS[vendor].callbacks
    body = json.dumps(document).encode()
    (fact,) = sent(name, address, *((LOCKED,) if address else ())).facts
    assert fact.call_key.split("|")[1] == callback.key_account(body, address)


HIGH = Account(vendor="", name="high", external_ids=(X,), cost_limit=1_000_000)
LOW = Account(vendor="", name="low", external_ids=(X,), cost_limit=2)


@pytest.mark.parametrize(
    ("address", "accounts", "amount", "read"),
    [
        pytest.param("", (), "100000", True, id="the most where nothing is configured"),
        pytest.param("", (), "100000.01", False, id="more than that"),
        pytest.param("high", (HIGH,), "100000.01", True, id="an account of dear calls"),
        pytest.param("", (HIGH,), "100000.01", True, id="its calls by the address without any"),
        pytest.param("low", (LOW,), "2.94", False, id="an account of cheap calls"),
        pytest.param("low", (LOW,), "2", True, id="the most of it"),
    ],
)
def test_the_most_that_a_call_may_cost_is_a_setting_of_the_account(
    address: str, accounts: tuple[Account, ...], amount: str, *, read: bool
) -> None:
    (fact,) = sent("ytx two-way call", address, *accounts, oriamount=amount).facts
    assert (fact.cost is not None) is read
    assert (Flag.RANGE_ERROR in fact.quality_flags) is not read
    assert fact.extras.get("oriamount") == (None if read else amount)
