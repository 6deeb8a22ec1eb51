"""The doctor's verdict on the ledger."""

from datetime import UTC, datetime

from deploy.doctor.books import books, verdict
from schemas.config.settings import ClickHouseSettings


def test_nothing_open_is_well() -> None:
    assert verdict([]).state == "ok"


def test_what_is_open_is_named_with_its_number_and_its_first_place() -> None:
    at = datetime(2026, 1, 31, 8, 5, tzinfo=UTC)
    found = verdict([("missing", 12, at, "calls.raw/3/1000"), ("not joined", 1, at, "calls.raw/0/7")])
    assert found.state == "bad"
    assert "missing: 12, the first at calls.raw/3/1000, received 2026-01-31 08:05 UTC" in found.detail
    assert "not joined: 1, the first at calls.raw/0/7" in found.detail
    assert "callweave replay" in found.advice


async def test_a_clickhouse_that_is_away_is_a_note() -> None:
    found = await books(ClickHouseSettings(url="http://127.0.0.1:1"))
    assert (found.state, "not checked" in found.detail) == ("note", True)
