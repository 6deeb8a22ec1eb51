"""The bounds of an account: its rate and its cap of a day, and whose calls they never touch."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.quota.buckets import TokenBucket
from ingress.quota.quotas import BURST_S, AccountQuotas, Quota, quota_of
from schemas.config.settings import Account, IngressSettings
from schemas.errors import Unavailable
from schemas.vendors import VENDORS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAIN = Account(vendor="ytx", name="main")
OTHER = Account(vendor="ytx", name="other")


def outcome(quotas: AccountQuotas, quota: Quota, now: datetime, account: Account = MAIN) -> str:
    try:
        quotas.require(account, quota, now)
    except Unavailable as exc:
        return exc.code
    return "let in"


@pytest.mark.parametrize(
    ("vendor", "own", "general", "expected"),
    [
        pytest.param("ytx", {}, {}, (None, None), id="nothing is set"),
        pytest.param("ytx", {}, {"account_rate_per_s": 5, "account_daily_cap": 9}, (5, 9), id="the general bounds"),
        pytest.param(
            "ytx",
            {"rate_per_s": 2.5, "daily_cap": 3},
            {"account_rate_per_s": 5, "account_daily_cap": 9},
            (2.5, 3),
            id="its own bounds win",
        ),
        pytest.param(
            "ytx",
            {"rate_per_s": 0, "daily_cap": 0},
            {"account_rate_per_s": 5, "account_daily_cap": 9},
            (None, None),
            id="its own 0 is without bound",
        ),
        pytest.param(
            "huawei",
            {},
            {"account_rate_per_s": 5, "account_daily_cap": 9},
            (None, None),
            id="a vendor that calls once has no general bound",
        ),
        pytest.param(
            "huawei",
            {"rate_per_s": 1, "daily_cap": 2},
            {},
            (1, 2),
            id="a vendor that calls once has the bounds that its account sets",
        ),
    ],
)
def test_the_bounds_of_an_account(
    vendor: str, own: dict[str, float], general: dict[str, float], expected: tuple[float | None, int | None]
) -> None:
    quota = quota_of(Account(vendor=vendor, name="a", **own), VENDORS[vendor], IngressSettings(**general))  # type: ignore[arg-type] # tables of numbers

    assert (quota.per_s, quota.per_day) == expected


def test_without_bounds_everything_is_let_in() -> None:
    quotas = AccountQuotas()
    assert {outcome(quotas, Quota(), NOON) for _ in range(1000)} == {"let in"}


def test_a_burst_is_let_in_and_then_the_rate() -> None:
    quotas, quota = AccountQuotas(), Quota(per_s=2)
    at_once = [outcome(quotas, quota, NOON) for _ in range(30)]
    later = [outcome(quotas, quota, NOON + timedelta(seconds=1)) for _ in range(5)]

    assert at_once.count("let in") == 2 * BURST_S
    assert set(at_once[20:]) == {"rate"}
    assert later == ["let in", "let in", "rate", "rate", "rate"]


def test_a_rate_below_one_a_second_lets_single_pushes_in() -> None:
    quotas, quota = AccountQuotas(), Quota(per_s=0.01)
    assert [outcome(quotas, quota, NOON + timedelta(seconds=s)) for s in (0, 1, 99, 101)] == [
        "let in", "rate", "rate", "let in",
    ]  # fmt: skip


def test_the_cap_begins_anew_at_midnight_utc_and_refused_pushes_do_not_count() -> None:
    quotas, quota = AccountQuotas(), Quota(per_day=3)
    evening, morning = datetime(2026, 3, 1, 23, 59, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)

    assert [outcome(quotas, quota, evening) for _ in range(5)] == [*["let in"] * 3, "daily_cap", "daily_cap"]
    assert [outcome(quotas, quota, morning) for _ in range(4)] == [*["let in"] * 3, "daily_cap"]


def test_what_the_rate_refuses_does_not_count_for_the_day() -> None:
    quotas, quota = AccountQuotas(), Quota(per_s=0.1, per_day=2)
    times = [NOON, NOON, NOON, NOON + timedelta(seconds=10), NOON + timedelta(seconds=20)]
    assert [outcome(quotas, quota, at) for at in times] == ["let in", "rate", "rate", "let in", "daily_cap"]


def test_one_account_never_uses_up_what_another_has() -> None:
    quotas, quota = AccountQuotas(), Quota(per_s=1, per_day=10)
    for _ in range(100):
        outcome(quotas, quota, NOON)

    assert outcome(quotas, quota, NOON, OTHER) == "let in"


def test_counts_survive_a_change_of_the_cap_and_a_new_rate_begins_full() -> None:
    quotas = AccountQuotas()
    for _ in range(5):
        outcome(quotas, Quota(per_day=5), NOON)

    assert outcome(quotas, Quota(per_day=5), NOON) == "daily_cap"
    assert outcome(quotas, Quota(per_day=6), NOON) == "let in"
    assert outcome(quotas, Quota(per_day=6), NOON) == "daily_cap"


@given(
    per_s=st.floats(0.001, 1000),
    burst=st.floats(1, 1000),
    steps=st.lists(st.floats(-100, 100, allow_nan=False), max_size=60),
)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(per_s: float, burst: float, steps: list[float]) -> None:
    """A clock that jumps back and forth gives nothing either."""
    bucket, now_s, newest_s, given_out = TokenBucket(per_s, burst, 0.0), 0.0, 0.0, 0
    for step in steps:
        now_s += step
        newest_s = max(newest_s, now_s)
        given_out += bucket.take(now_s)

        assert given_out <= burst + newest_s * per_s + 1e-6
