"""A proof that is good for one request: what is new, what comes again, what is a replay, and what is forgotten."""

import pytest

from ingress.access.replays import Replays
from ingress.access.verdict import Proof
from schemas.errors import Rejected

ACCOUNT, OTHER = ("acme", "main"), ("acme", "other")
NOW_S = 1_000.0


def proof(name: str, until_s: float = NOW_S + 300) -> Proof:
    return Proof(digest=name.encode(), until_s=until_s)


def test_the_same_request_may_come_again_until_it_is_acknowledged() -> None:
    replays, proofs = Replays(), (proof("a"),)
    assert replays.enter(ACCOUNT, proofs, b"request", NOW_S) == "new"
    assert replays.enter(ACCOUNT, proofs, b"request", NOW_S + 1) == "again"
    assert replays.enter(ACCOUNT, proofs, b"another", NOW_S + 1) == "replayed"
    replays.acknowledge(ACCOUNT, proofs)
    assert replays.enter(ACCOUNT, proofs, b"request", NOW_S + 2) == "acknowledged"
    assert replays.admit(ACCOUNT, proofs, b"request", NOW_S + 2) is False
    with pytest.raises(Rejected) as rejected:
        replays.admit(ACCOUNT, proofs, b"another", NOW_S + 2)
    assert (rejected.value.code, rejected.value.http_status) == ("replayed", 403)


def test_one_of_two_proofs_is_enough_for_a_replay() -> None:
    replays = Replays()
    assert replays.enter(ACCOUNT, (proof("a"), proof("b")), b"request", NOW_S) == "new"
    assert replays.enter(ACCOUNT, (proof("c"), proof("b")), b"another", NOW_S) == "replayed"
    assert replays.enter(ACCOUNT, (proof("c"),), b"another", NOW_S) == "new"  # a replay notes nothing


def test_accounts_do_not_share_their_proofs() -> None:
    replays = Replays()
    assert replays.enter(ACCOUNT, (proof("a"),), b"request", NOW_S) == "new"
    assert replays.enter(OTHER, (proof("a"),), b"another", NOW_S) == "new"


def test_what_is_too_old_by_its_own_time_is_forgotten() -> None:
    replays = Replays()
    replays.enter(ACCOUNT, (proof("a", NOW_S + 1),), b"request", NOW_S)
    replays.enter(ACCOUNT, (proof("b", NOW_S + 9),), b"request", NOW_S + 2)
    assert len(replays._seen[ACCOUNT]) == 1


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    replays = Replays(most=3)
    for number in range(1000):
        replays.enter(ACCOUNT, (proof(f"{number}"),), b"%d" % number, NOW_S)
        assert len(replays._seen[ACCOUNT]) <= 3
    assert replays.enter(ACCOUNT, (proof("999"),), b"another", NOW_S) == "replayed"
    assert replays.enter(ACCOUNT, (proof("1"),), b"another", NOW_S) == "new"
