"""The simulator's poisons: all of them come, contradictions leave in turn, and the ledger knows which one stands."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import test_utils, web

from deploy.simulator.calls import parties
from deploy.simulator.poison.catalogue import POISONS, PoisonCycle
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.sending.ledger import Ledger, LedgerEntry
from deploy.simulator.sending.sender import simulate
from deploy.simulator.sending.simulate_options import SimulateOptions
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS
from deploy.simulator.world import World
from tests.oracle.compare import compare
from tests.oracle.expected import Expected, expect

NOW = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
ALL = dict.fromkeys(SIMULATED_VENDORS, 1.0)
CONTRADICTIONS = [(vendor, name) for vendor in ("nxcloud", "ytx") for name in POISONS[vendor] if "after all" in name]
CONTRADICTIONS.append(("nxcloud", "another reason"))


def world(**vendors: float) -> World:
    return World(seed=5, vendors=vendors or ALL, clock=lambda: NOW)


def made(vendor: str, name: str) -> list[PushRequest]:
    poison = POISONS[vendor][name]
    return [item for item in poison(world(), parties.seeded("poison")) if isinstance(item, PushRequest)]


def expected_of(*requests: PushRequest) -> Expected:
    return expect(
        [LedgerEntry(vendor=request.vendor, label=request.label, expected=request.expected) for request in requests]
    )


def test_a_round_has_every_poison_once_and_every_round_in_another_order() -> None:
    poisons = PoisonCycle(world(), parties.seeded("poisons"))
    count = sum(map(len, POISONS.values()))
    rounds = [[_name(poisons.advance()) for _ in range(count)] for _ in range(2)]

    assert sorted(rounds[0]) == sorted(rounds[1])
    assert len(set(rounds[0]) - {"offer"}) == count - len(POISONS["tencent"])
    assert rounds[0] != rounds[1]


def _name(items: tuple[PushRequest | Offer, ...]) -> str:
    return items[0].label if isinstance(items[0], PushRequest) else "offer"


@pytest.mark.parametrize("vendor", SIMULATED_VENDORS)
def test_only_vendors_that_are_asked_for_send_poison(vendor: str) -> None:
    poisons = PoisonCycle(world(**{vendor: 1.0}), parties.seeded("poisons"))

    assert {item.vendor for _ in range(60) for item in poisons.advance()} == {vendor}


def test_there_is_no_poison_unless_it_is_asked_for() -> None:
    traffic = Traffic(seed=1, vendors=ALL, mix=Mix(), clock=lambda: NOW)

    assert not [item for item in traffic.stream(500) if isinstance(item, PushRequest) and "poison" in item.label]


def test_the_ledger_balances_with_poison_in_it() -> None:
    traffic = Traffic(seed=1, vendors=ALL, mix=Mix(poison=0.5), clock=lambda: NOW)
    expected = expected_of(*(item for item in traffic.stream(500) if isinstance(item, PushRequest)))

    assert all(counts.balanced for counts in expected.counts.values())
    assert {"limit", "inflate", "no_id"} <= {code for codes in expected.dead.values() for code in codes}


@pytest.mark.parametrize(("vendor", "name"), CONTRADICTIONS)
def test_of_contradictory_pushes_the_first_stands_whole(vendor: str, name: str) -> None:
    """The order in the ledger does not matter; the second record alone would show itself."""
    first, second = made(vendor, name)
    (alone,) = expected_of(first).cdr
    for order in ((first, second), (second, first)):
        (row,) = expected_of(*order).cdr
        shown = {key: value for key, value in row.columns.items() if key != "conflict_final"}
        assert shown == {key: value for key, value in alone.columns.items() if key != "conflict_final"}
    assert second.waits_for == first.mark != ""
    assert first.body != second.body


def test_a_contradiction_is_to_be_flagged_and_a_first_content_alone_is_not() -> None:
    first, second = made("nxcloud", "answered after all")
    (alone,), (both,) = expected_of(first).cdr, expected_of(first, second).cdr

    assert alone.columns.get("conflict_final") is not True
    assert both.columns["conflict_final"] is True


def test_a_flag_that_is_claimed_and_not_there_is_a_difference() -> None:
    (request,) = made("ytx", "an absurd amount")
    (row,) = expected_of(request).cdr
    shown = dict(zip(("vendor", "kind", "vendor_call_id"), row.key, strict=True)) | row.columns

    unflagged = compare(expected_of(request), cdr=[shown | {"quality_flags": []}])
    flagged = compare(expected_of(request), cdr=[shown | {"quality_flags": ["range_error"]}])

    assert [one.column for one in unflagged] == ["flag_range_error"]
    assert flagged == []


def test_bodies_are_what_their_names_say() -> None:
    """A poison that has become harmless proves nothing."""
    (exponent,) = made("nxcloud", "an exponent")
    (text,) = made("nxcloud", "JSON in a string")
    (keys,) = made("nxcloud", "keys with spaces")
    (byte,) = made("ytx", "a bad byte in a batch")
    (comma,) = made("ytx", "a missing comma")

    assert b"1e2999999999" in exponent.body
    assert isinstance(json.loads(json.loads(text.body)), dict)
    assert " SessionId " in json.loads(keys.body)
    assert byte.body.count(b"\xf9") == 1
    with pytest.raises(UnicodeDecodeError):
        byte.body.decode()
    with pytest.raises(json.JSONDecodeError):
        json.loads(comma.body)


class Receiver:
    """Answers by the number of the attempt at a body; notes what it got and what it took."""

    def __init__(self, status: Callable[[int], int]) -> None:
        self._status = status
        self._attempts: Counter[bytes] = Counter()
        self.got: list[bytes] = []
        self.taken: list[bytes] = []

    async def handle(self, request: web.Request) -> web.Response:
        """One push."""
        body = await request.read()
        self._attempts[body] += 1
        self.got.append(body)
        status = self._status(self._attempts[body])
        if status == 200:
            self.taken.append(body)
        return web.Response(status=status)


async def sent_to(receiver: Receiver) -> Ledger:
    """All poison of the softphone vendor, pushed to the receiver."""
    app = web.Application(handler_args={"auto_decompress": False}, client_max_size=1 << 24)
    app.router.add_post("/{path:.*}", receiver.handle)
    ledger = Ledger()
    async with test_utils.TestServer(app) as server:
        options = SimulateOptions(
            url=str(server.make_url("")).rstrip("/"),
            vendors=("nxcloud",),
            rate=0,
            calls=60,
            mix=Mix(poison=1.0, broken=0, repeat=0),
            retry_scale=0.0005,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(simulate(options, asyncio.Event(), ledger=ledger), 60)
    return ledger


def _firsts(ledger: Ledger) -> list[LedgerEntry]:
    return [entry for entry in ledger.entries if entry.expected and entry.expected[0].rank == 2]


async def test_the_second_content_leaves_when_the_first_is_acknowledged() -> None:
    """Also when that takes three attempts."""
    receiver = Receiver(lambda attempt: 200 if attempt == 3 else 503)

    ledger = await sent_to(receiver)

    seconds = [entry for entry in ledger.entries if entry.expected and entry.expected[0].rank == 1]
    order = {entry.digest: number for number, entry in enumerate(ledger.entries)}
    assert len(seconds) == len(_firsts(ledger)) > 5
    calls = {entry.expected[0].call: order[entry.digest] for entry in _firsts(ledger)}
    assert all(calls[entry.expected[0].call] < order[entry.digest] for entry in seconds)


async def test_the_second_content_never_leaves_when_the_first_is_given_up() -> None:
    receiver = Receiver(lambda _attempt: 503)

    ledger = await sent_to(receiver)

    assert len(_firsts(ledger)) > 5
    assert not [entry for entry in ledger.entries if entry.expected and entry.expected[0].rank == 1]


def test_an_entry_survives_the_ledgers_file() -> None:
    """The expectation has the record's rank, and says that it is disputed."""
    _, second = made("ytx", "dearer after all")
    (expectation,) = second.expected

    assert msgspec.json.decode(msgspec.json.encode(expectation), type=type(expectation)) == expectation
    assert (expectation.rank, expectation.disputes) == (1, True)
