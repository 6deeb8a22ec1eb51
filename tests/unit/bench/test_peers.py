"""Peers that host our pure functions give what our own stages give; their environments depend on their locks alone."""

import sys
from pathlib import Path

import pytest

from schemas.codec import FACT, TIMELINE
from schemas.raw import Position
from tests.bench.peers import environments
from tests.bench.peers.environments import PROGRAMS, NotMade, go_command, place, python_command
from tests.bench.peers.hosted import facts_of, joined
from tests.bench.peers.verdicts import skipped_line, target
from tests.bench.peers.workers import Bodies


def test_hosted_functions_give_every_fact_and_call() -> None:
    bodies = Bodies(20, seed=3)
    states: dict[str, bytes | None] = {}
    records, calls = set(), set()
    for number, each in enumerate(bodies.raws):
        for key, fact in facts_of(each.raw.body, each.raw.headers(), 0, Position("calls.raw", 0, number)):
            states[key], changed, timelines = joined(states.get(key), fact, 0)
            records |= {FACT.decode(value).fact_id for _, value in changed}
            calls |= {TIMELINE.decode(value).timeline_id for _, value in timelines}

    assert records == bodies.facts
    assert calls == bodies.calls


@pytest.mark.parametrize("name", ["starlette_ingress", "faust_agent", "quix_app"])
def test_a_peer_in_python_is_a_program_and_a_lock_with_hashes(name: str) -> None:
    lock = (PROGRAMS / f"{name}.txt").read_text()
    pinned = [line for line in lock.splitlines() if line and line[0].isalpha()]

    assert (PROGRAMS / f"{name}.py").exists()
    assert pinned
    assert all("==" in line for line in pinned)
    assert lock.count("--hash=sha256:") >= len(pinned)


def test_another_lock_is_another_environment(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("a==1")
    first = place("peer", lock)
    lock.write_text("a==2")

    assert place("peer", lock) != first


def test_what_cannot_be_made_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "PROGRAMS", tmp_path)
    monkeypatch.setattr(environments, "KEPT_IN", tmp_path / "kept")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (tmp_path / "wrong.txt").write_text("a==1")
    with pytest.raises(NotMade, match="wrong: exit code 1"):
        python_command("wrong")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotMade, match="no Go here"):
        go_command("wrong")


@pytest.mark.parametrize(("value", "verdict"), [(0.99, "below target"), (1.0, "reached"), (1.7, "reached")])
def test_a_target_that_is_missed_is_said(value: float, verdict: str) -> None:
    assert target("a peer", value, 1.0).text().endswith(f"{verdict}: at least 1")


def test_a_skipped_peer_has_a_line_with_the_reason() -> None:
    assert skipped_line("no Go here").text().endswith("no Go here")
