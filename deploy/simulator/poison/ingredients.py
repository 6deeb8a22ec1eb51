"""The parts of a poison: calls as fields that can be changed, and expectations as far as the poison leaves them."""

import json
import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from deploy.simulator.calls.truth import Scenario, TrueCall
from deploy.simulator.expectation import Expectation, Value
from deploy.simulator.requests import Offer, PushRequest, pushed
from deploy.simulator.vendors import expected_record, huawei, nxcloud, ytx
from deploy.simulator.world import World

VendorFields = dict[str, object]
Poison = Callable[[World, random.Random], tuple[PushRequest | Offer, ...]]
"""Makes the requests about a call of its own; the first one leaves first."""
PoisonTable = Mapping[str, Mapping[str, Poison]]
"""Poisons by vendor and name."""


def softphone(
    world: World, rng: random.Random, scenario: Scenario = Scenario.ANSWERED
) -> tuple[TrueCall, VendorFields]:
    """Returns a softphone's call to a number, and its payload."""
    call = msgspec.structs.replace(world.call("nxcloud", scenario), extension="")
    return call, nxcloud.record(call, rng)


def two_way(world: World, rng: random.Random, scenario: Scenario = Scenario.ANSWERED) -> tuple[TrueCall, VendorFields]:
    """Returns a two-way call without state pushes, and its record."""
    call = world.call("ytx", scenario)
    call = msgspec.structs.replace(call, has_states=False, custom_ref=call.custom_ref or "123456")
    return call, fields_of(call, rng)


def fields_of(call: TrueCall, rng: random.Random) -> VendorFields:
    """Returns the fields of the two-way platform's record before they are written as text."""
    fields: VendorFields = json.loads(ytx.record(call, rng))
    return fields


def expected_of(call: TrueCall, *open_: str, **claimed: Value) -> Expectation:
    """Returns the record's expectation without the columns `open_`, with those that are `claimed` besides."""
    made = expected_record(call)
    columns = {name: value for name, value in made.columns.items() if name not in open_} | claimed
    return msgspec.structs.replace(made, columns=columns)


def text_of(fields: VendorFields) -> str:
    """Returns the element as JSON text."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def to_nxcloud(body: bytes, *expected: Expectation) -> PushRequest:
    """Returns a push of the softphone vendor."""
    return pushed("nxcloud", "", nxcloud.PATH, body, *expected)


def to_ytx(body: bytes, *expected: Expectation) -> PushRequest:
    """Returns a push of the two-way platform."""
    return pushed("ytx", "", ytx.PATH, body, *expected)


def to_huawei(fields: VendorFields, *expected: Expectation) -> PushRequest:
    """Returns a push of the privacy relay."""
    return pushed("huawei", "", huawei.PATH, huawei.body(fields), *expected)


def batch(*fields: VendorFields) -> bytes:
    """Returns elements as a batch on the wire."""
    return ytx.batch([text_of(each) for each in fields])


def with_headers(request: PushRequest, *headers: tuple[str, str]) -> PushRequest:
    """Returns the same request with other headers."""
    return msgspec.structs.replace(request, headers=headers)


def in_turn(pushes: Sequence[PushRequest], mark: str) -> tuple[PushRequest, ...]:
    """Returns the requests so marked that each leaves when the one before it was acknowledged."""
    return tuple(
        msgspec.structs.replace(request, mark=f"{mark}/{number}", waits_for=f"{mark}/{number - 1}" if number else "")
        for number, request in enumerate(pushes)
    )
