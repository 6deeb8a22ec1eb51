"""Final contents that contradict each other: the row shows one of them whole.

Which one depends on the vendor. Of pushed records it is the first that was received, so that the second one leaves when
the first was acknowledged; of the relay's rows it is the newest by its own clock, and of pulled records the newest.
"""

import random
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from deploy.simulator.calls.truth import Ending, Scenario, TrueCall, ended_with
from deploy.simulator.expectation import Expectation, Value
from deploy.simulator.poison.ingredients import (
    PoisonTable,
    VendorFields,
    batch,
    expected_of,
    in_turn,
    softphone,
    text_of,
    to_huawei,
    to_nxcloud,
    to_ytx,
    two_way,
)
from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.vendors import huawei, nxcloud, tencent, ytx
from deploy.simulator.world import World

_STANDS: Final = 2
_YIELDS: Final = 1
_CENTS: Final = 100


def _stands(call: TrueCall, **claimed: Value) -> Expectation:
    return msgspec.structs.replace(expected_of(call, **claimed), rank=_STANDS)


def _yields(call: TrueCall, *, disputes: bool = True) -> Expectation:
    return msgspec.structs.replace(expected_of(call), rank=_YIELDS, disputes=disputes)


def unanswered(call: TrueCall, cause: Ending) -> TrueCall:
    """Returns the same call as another record describes it: nobody answered."""
    *others, called = call.legs
    legs = (*others, msgspec.structs.replace(called, answer_at=None))
    return ended_with(msgspec.structs.replace(call, legs=legs, recorded=False, recording_url=""), cause)


def _softphone_then_answered(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """In the first record nobody answered, in the second somebody talked."""
    call, fields = softphone(world, rng)
    call = msgspec.structs.replace(call, recorded=False, recording_url="")
    answered: VendorFields = fields | {"record": 0, "record_url": ""}
    missed = msgspec.structs.replace(unanswered(call, nxcloud.ENDINGS[Scenario.NO_ANSWER][0]), duration_s=0)
    first: VendorFields = answered | {"answer_time": "", "duration": 0, "hangup_cause": missed.cause}
    return in_turn(
        (
            to_nxcloud(text_of(first).encode(), _stands(missed, billable_s=0, talk_ms=None)),
            to_nxcloud(text_of(answered).encode(), _yields(call)),
        ),
        call.call_id,
    )


def _softphone_then_longer(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """In the second record the call ended a minute later."""
    call, fields = softphone(world, rng)
    leg = call.legs[0]
    assert leg.end_at is not None
    longer = msgspec.structs.replace(
        call,
        legs=(msgspec.structs.replace(leg, end_at=leg.end_at + timedelta(minutes=1)),),
        duration_s=call.duration_s + 60,
    )
    second = fields | {"end_time": str(int(str(fields["end_time"])) + 60), "duration": longer.duration_s}
    return in_turn(
        (
            to_nxcloud(text_of(fields).encode(), _stands(call)),
            to_nxcloud(text_of(second).encode(), _yields(longer)),
        ),
        call.call_id,
    )


def _other_reason(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """In one record nobody answered, in the other the line was busy: billed alike, but only one can be shown."""
    call, fields = softphone(world, rng, Scenario.NO_ANSWER)
    silent, busy = nxcloud.ENDINGS[Scenario.NO_ANSWER][0], nxcloud.ENDINGS[Scenario.BUSY][0]
    first, second = unanswered(call, silent), unanswered(call, busy)
    return in_turn(
        (
            to_nxcloud(text_of(fields | {"hangup_cause": silent.text}).encode(), _stands(first)),
            to_nxcloud(text_of(fields | {"hangup_cause": busy.text}).encode(), _yields(second, disputes=False)),
        ),
        call.call_id,
    )


def _two_way_then_answered(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """In the first record B never answered, in the second B talked."""
    call, fields = two_way(world, rng)
    call = msgspec.structs.replace(call, recording_url="")
    answered: VendorFields = fields | {"tapesurl": "NoTapes"}
    missed = unanswered(call, ytx.ENDINGS[Scenario.NO_ANSWER][0])
    first: VendorFields = answered | {"calledstime": "", "stateDesc": missed.cause}
    return in_turn(
        (
            to_ytx(batch(first), _stands(missed, talk_ms=None)),
            to_ytx(batch(answered), _yields(call)),
        ),
        call.call_id,
    )


def _two_way_then_dearer(world: World, rng: random.Random) -> tuple[PushRequest, ...]:
    """The second record has a higher cost."""
    call, fields = two_way(world, rng)
    assert call.cost is not None
    dearer = msgspec.structs.replace(call, cost=call.cost + Decimal(rng.randint(1, 900)) / _CENTS)
    second = fields | {"oriamount": str(dearer.cost)}
    return in_turn(
        (to_ytx(batch(fields), _stands(call)), to_ytx(batch(second), _yields(dearer))),
        call.call_id,
    )


def _relay_takes_it_back(world: World, _rng: random.Random) -> tuple[PushRequest, ...]:
    """A row has an answer, and a later one by the relay's clock has none. They come in any order."""
    call = msgspec.structs.replace(world.call("huawei", Scenario.PRIVACY), recording_url="")
    missed = unanswered(call, huawei.ENDINGS[Scenario.PRIVACY_NO_ANSWER][0])
    newer = huawei.record(missed)
    newer_at = int(str(newer["updatedAt"])) + 1000
    stands = _stands(missed, billable_s=0, talk_ms=None)
    stands = msgspec.structs.replace(stands, binding=stands.binding | {"revised_at": newer_at})
    return (
        to_huawei(newer | {"updatedAt": newer_at}, stands),
        to_huawei(huawei.record(call), _yields(call, disputes=False)),
    )


def _pulled_then_answered(world: World, _rng: random.Random) -> tuple[Offer, ...]:
    """The pulled record has no answer at first, and one when it is pulled again."""
    call = msgspec.structs.replace(world.call("tencent", Scenario.ANSWERED), recording_url="")
    missed = msgspec.structs.replace(unanswered(call, tencent.ENDINGS[Scenario.NO_ANSWER][0]), duration_s=0)
    return (Offer(vendor="tencent", call=missed, later=call, contradicts=True),)


TABLE: Final[PoisonTable] = {
    "nxcloud": {
        "answered after all": _softphone_then_answered,
        "longer after all": _softphone_then_longer,
        "another reason": _other_reason,
    },
    "ytx": {"B answered after all": _two_way_then_answered, "dearer after all": _two_way_then_dearer},
    "huawei": {"not answered after all": _relay_takes_it_back},
    "tencent": {"the archive corrects itself": _pulled_then_answered},
}
