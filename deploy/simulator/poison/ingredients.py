"""What poisons are made of: calls as fields that can be said otherwise, and claims as far as the poison leaves them."""

import json
import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from deploy.simulator import expectation
from deploy.simulator.calls.truth import Scenario, TrueCall
from deploy.simulator.calls.world import World
from deploy.simulator.expectation import Expectation, Value
from deploy.simulator.requests import Offer, Send, pushed
from deploy.simulator.vendors import huawei, nxcloud, ytx

VendorFields = dict[str, object]
Poison = Callable[[World, random.Random], tuple[Send | Offer, ...]]
"""Requests about one happening of its own; the first one leaves first."""
PoisonTable = Mapping[str, Mapping[str, Poison]]
"""By vendor and name."""


def softphone(
    world: World, rng: random.Random, scenario: Scenario = Scenario.ANSWERED
) -> tuple[TrueCall, VendorFields]:
    """A softphone's call to a number, and its payload."""
    call = msgspec.structs.replace(world.call("nxcloud", scenario), extension="")
    return call, nxcloud.record(call, rng)


def two_way(world: World, rng: random.Random, scenario: Scenario = Scenario.ANSWERED) -> tuple[TrueCall, VendorFields]:
    """A two-way call of which no state is pushed, and its record."""
    call = world.call("ytx", scenario)
    call = msgspec.structs.replace(call, has_states=False, custom_ref=call.custom_ref or "123456")
    return call, fields_of(call, rng)


def fields_of(call: TrueCall, rng: random.Random) -> VendorFields:
    """The two-way platform's record as it would be before it is written."""
    fields: VendorFields = json.loads(ytx.record(call, rng))
    return fields


def told_of(call: TrueCall, *open_: str, **claimed: Value) -> Expectation:
    """What the record tells, without the columns `open_`, and with what is claimed besides."""
    made = expectation.record(call)
    columns = {name: value for name, value in made.columns.items() if name not in open_} | claimed
    return msgspec.structs.replace(made, columns=columns)


def text_of(fields: VendorFields) -> str:
    """The element as JSON text."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def to_nxcloud(body: bytes, *tellings: Expectation) -> Send:
    """A push of the softphone vendor."""
    return pushed("nxcloud", "", nxcloud.PATH, body, *tellings)


def to_ytx(body: bytes, *tellings: Expectation) -> Send:
    """A push of the two-way platform."""
    return pushed("ytx", "", ytx.PATH, body, *tellings)


def to_huawei(fields: VendorFields, *tellings: Expectation) -> Send:
    """A push of the privacy relay."""
    return pushed("huawei", "", huawei.PATH, huawei.body(fields), *tellings)


def batch(*fields: VendorFields) -> bytes:
    """Elements as a batch on the wire."""
    return ytx.batch([text_of(each) for each in fields])


def with_headers(send: Send, *headers: tuple[str, str]) -> Send:
    """The same request under other headers."""
    return msgspec.structs.replace(send, headers=headers)


def in_turn(sends: Sequence[Send], mark: str) -> tuple[Send, ...]:
    """Each request leaves when the one before it was acknowledged."""
    return tuple(
        msgspec.structs.replace(send, mark=f"{mark}/{number}", waits_for=f"{mark}/{number - 1}" if number else "")
        for number, send in enumerate(sends)
    )
