"""Two settings compared: every path that differs and no value; and one put together of two."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas.config.changes import combined, differing
from schemas.config.secret import Secret
from schemas.config.settings import Account, ClickHouseSettings, IngressSettings, Settings

ONE = Account(vendor="ytx", name="one", secret=Secret("a" * 20))
TWO = Account(vendor="ytx", name="two", secret=Secret("b" * 20))
BASE = Settings(accounts=(ONE, TWO))
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing": ({}, ()),
    "a number of a section": ({"ingress": IngressSettings(port=8081)}, ("ingress.port",)),
    "two of two sections": (
        {"ingress": IngressSettings(port=8081), "clickhouse": ClickHouseSettings(password=Secret("new"))},
        ("clickhouse.password", "ingress.port"),
    ),
    "the value of a secret whose file is the same": (
        {"clickhouse": ClickHouseSettings(password=Secret("new", file="/run/password"))},
        ("clickhouse.password",),
    ),
    "an entry of a list": ({"accounts": (ONE, replace(TWO, allow=("192.0.2.0/24",)))}, ("accounts[1].allow",)),
    "a list with one entry more": ({"accounts": (ONE, TWO, replace(TWO, name="three"))}, ("accounts",)),
    "a list without an entry": ({"accounts": (ONE,)}, ("accounts",)),
    "entries that changed places": (
        {"accounts": (TWO, ONE)},
        ("accounts[0].name", "accounts[0].secret", "accounts[1].name", "accounts[1].secret"),
    ),
}


@pytest.mark.parametrize(("changes", "paths"), CASES.values(), ids=CASES)
def test_the_paths_that_differ(changes: dict[str, Any], paths: tuple[str, ...]) -> None:
    old = replace(BASE, clickhouse=ClickHouseSettings(password=Secret("old", file="/run/password")))
    if "clickhouse" not in changes:
        changes = {**changes, "clickhouse": old.clickhouse}

    assert differing(old, replace(old, **changes)) == paths


@pytest.mark.parametrize(("changes", "paths"), CASES.values(), ids=CASES)
def test_taking_over_all_or_nothing(changes: dict[str, Any], paths: tuple[str, ...]) -> None:
    del paths
    new = replace(BASE, **changes)

    assert combined(BASE, new, lambda _: True) == new
    assert combined(BASE, new, lambda _: False) == BASE


def test_what_is_not_taken_over_stays_as_it_was() -> None:
    new = replace(BASE, accounts=(ONE, replace(TWO, name="new")), ingress=IngressSettings(port=8081, workers=2))

    mixed = combined(BASE, new, lambda path: path != "ingress.port")

    assert mixed == replace(new, ingress=IngressSettings(port=8080, workers=2))
    assert differing(mixed, new) == ("ingress.port",)
