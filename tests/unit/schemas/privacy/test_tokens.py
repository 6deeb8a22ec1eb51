"""Tokens: equal for one number of one account, of no use elsewhere, and without a trace of key and number."""

import hmac
import pickle
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.privacy.tokens import NumberTokens

KEY = "3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c"
OTHER_KEY = "8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e"
ACCOUNTS = st.text(max_size=20)
NUMBERS = st.text(min_size=1, max_size=30)
TOKENS = NumberTokens(KEY)


@given(ACCOUNTS, NUMBERS)
def test_one_number_of_one_account_has_one_token(account: str, number: str) -> None:
    token = TOKENS.of(account, number)

    assert token == NumberTokens(KEY).of(account, number)
    assert len(token) == 32
    assert set(token) <= set("0123456789abcdef")


@given(st.lists(ACCOUNTS, min_size=2, max_size=4, unique=True), NUMBERS)
def test_tokens_of_two_accounts_differ(accounts: list[str], number: str) -> None:
    assert all(TOKENS.of(one, number) != TOKENS.of(other, number) for one, other in combinations(accounts, 2))


@given(st.lists(NUMBERS, min_size=2, max_size=4, unique=True), ACCOUNTS)
def test_tokens_of_two_numbers_differ(numbers: list[str], account: str) -> None:
    assert all(TOKENS.of(account, one) != TOKENS.of(account, other) for one, other in combinations(numbers, 2))


def test_account_and_number_do_not_run_into_each_other() -> None:
    assert TOKENS.of("a", "bc") != TOKENS.of("ab", "c")


def test_another_key_gives_another_token() -> None:
    assert TOKENS.of("main", "+8613000001234") != NumberTokens(OTHER_KEY).of("main", "+8613000001234")


def test_the_token_is_the_hmac_under_the_key_of_the_account() -> None:
    """A stored token must be found again by every later release."""
    of_account = hmac.digest(KEY.encode(), b"callweave token of account\0main", "sha256")

    assert TOKENS.of("main", "+8613000001234") == hmac.digest(of_account, b"+8613000001234", "sha256").hex()[:32]
    assert TOKENS.erasure_digest("+1") == hmac.digest(KEY.encode(), b"callweave erasure\0+1", "sha256").hex()


@pytest.mark.parametrize(
    ("tokens", "number"),
    [(NumberTokens(""), "+8613000001234"), (TOKENS, None), (TOKENS, "")],
    ids=["no key", "no number", "an empty number"],
)
def test_there_is_no_token(tokens: NumberTokens, number: str | None) -> None:
    assert tokens.of("main", number) == ""


def test_without_a_key_there_is_no_erasure_digest() -> None:
    assert NumberTokens("").erasure_digest("+8613000001234") == ""
    assert not NumberTokens("")
    assert TOKENS


@given(ACCOUNTS, NUMBERS)
def test_an_erasure_digest_is_part_of_no_token(account: str, number: str) -> None:
    digest = TOKENS.erasure_digest(number)

    assert len(digest) == 64
    assert TOKENS.of(account, number) not in digest


def test_half_of_a_surrogate_pair_is_a_text_too() -> None:
    assert len(TOKENS.of("\ud800", "\udfff")) == 32


def test_the_key_is_not_shown() -> None:
    TOKENS.of("main", "+8613000001234")

    assert KEY not in repr(TOKENS) + str(TOKENS)
    assert "1300000" not in repr(TOKENS)
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        pickle.dumps(TOKENS)
