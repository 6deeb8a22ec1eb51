"""Facts for tests: builders with canonical fields, and Hypothesis strategies for all facts of one call."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from schemas.facts import Direction, Disposition, Fact, FactType, Kind, Leg, NumberKind, RecordingState, Role, State
from schemas.identity import digest, fact_id

T0: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CALLER: Final = "+8613810603954"
CALLED: Final = "+8618810207016"
STRANGER: Final = "+8615801445465"
DISPLAY: Final = "+861053180002"
CALL: Final = "2018063524028946"
ACCOUNT: Final = "app-1"
KEY: Final = f"ytx|main|{CALL}"

E164: Final = NumberKind.E164


def at(seconds: float | None) -> datetime | None:
    """Returns the instant `seconds` after the start of the call; None for "did not happen"."""
    return None if seconds is None else T0 + timedelta(seconds=seconds)


def placed(fact: Fact, offset: int, *, element: int = 0, partition: int = 0, received: float | None = None) -> Fact:
    """Returns the fact of the raw record at `offset`, received `received` seconds after the start."""
    return msgspec.structs.replace(
        fact,
        raw_topic="calls.raw",
        raw_partition=partition,
        raw_offset=offset,
        raw_element=element,
        received_at=T0 + timedelta(seconds=offset if received is None else received),
        request_id=f"r-{partition}-{offset}",
    )


def sealed(fact: Fact, *dedupe: str, call_key: str = KEY) -> Fact:
    """Returns the fact with its identity."""
    return msgspec.structs.replace(
        fact,
        fact_id=fact_id(fact.vendor, fact.account_id, fact.kind, dedupe, fact.account),
        content_digest=digest(fact),
        call_key=call_key,
    )


def pushed_state(leg: str, state: State, seconds: float | None, **more: Any) -> Fact:
    """Returns a state push of the leg to the number `leg`."""
    fact = Fact(
        fact_type=FactType.STATE,
        vendor="ytx",
        kind=Kind.CALLBACK_STATE,
        account_id="main",
        vendor_call_id=CALL,
        direction=Direction.CALLBACK,
        display_number=DISPLAY,
        display_raw=DISPLAY,
        display_kind=E164,
        leg=leg,
        leg_number=leg,
        state=state,
        event_at=at(seconds),
    )
    fact = msgspec.structs.replace(fact, **more)
    return sealed(fact, CALL, leg, state, str(fact.event_at))


def callback(
    *,
    a_answer: float | None = 10,
    a_end: float | None = 70,
    b_answer: float | None = 20,
    b_end: float | None = 70,
    caller: str | None = CALLER,
    called: str | None = CALLED,
    **more: Any,
) -> Fact:
    """Returns a two-way call's record; times of both legs are seconds after the start."""
    answered = b_answer is not None
    ends = [seconds for seconds in (a_end, b_end) if seconds is not None]
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor="ytx",
        kind=Kind.CALLBACK_CDR,
        account_id=ACCOUNT,
        vendor_call_id=CALL,
        direction=Direction.CALLBACK,
        from_number=caller,
        from_raw=caller or "",
        from_kind=E164,
        to_number=called,
        to_raw=called or "",
        to_kind=E164,
        answer_at=at(b_answer),
        end_at=at(max(ends)) if ends else None,
        legs=(
            Leg(role=Role.A, number=caller, number_kind=E164, answer_at=at(a_answer), end_at=at(a_end)),
            Leg(role=Role.B, number=called, number_kind=E164, answer_at=at(b_answer), end_at=at(b_end)),
        ),
        talk_ms=int((b_end - b_answer) * 1000) if b_answer is not None and b_end is not None else None,
        vendor_duration_s=60,
        billable_s=60,
        billable_source="vendor",
        disposition=Disposition.ANSWERED if answered else Disposition.NO_ANSWER,
        cost=Decimal("2.94"),
        currency="CNY",
        cost_source="vendor",
        is_final=True,
    )
    fact = msgspec.structs.replace(fact, **more)
    return sealed(fact, fact.account_id, "4", CALL)


def voice(**more: Any) -> Fact:
    """Returns a voice code's record under the same request id."""
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor="ytx",
        kind=Kind.VOICE_OTP,
        account_id=ACCOUNT,
        vendor_call_id=CALL,
        direction=Direction.OUTBOUND,
        to_number=CALLED,
        to_kind=E164,
        answer_at=at(5),
        end_at=at(27),
        talk_ms=22_000,
        vendor_duration_s=10,
        billable_s=10,
        disposition=Disposition.ANSWERED,
        cost=Decimal("0.06"),
        currency="CNY",
        is_final=True,
    )
    return sealed(msgspec.structs.replace(fact, **more), ACCOUNT, "2", CALL)


def participant(number: str, start: float | None, end: float | None, **more: Any) -> Fact:
    """Returns one participant's record of a conference."""
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor="ytx",
        kind=Kind.CONFERENCE_LEG,
        account_id=ACCOUNT,
        vendor_call_id=CALL,
        conference_id="516152",
        direction=Direction.CONFERENCE,
        to_number=number,
        to_raw=number,
        to_kind=E164,
        answer_at=at(start),
        end_at=at(end),
        talk_ms=None if start is None or end is None else int((end - start) * 1000),
        vendor_duration_s=None if start is None or end is None else int(end - start),
        billable_s=None if start is None or end is None else int(end - start),
        disposition=Disposition.NO_ANSWER if start is None else Disposition.ANSWERED,
        cost=Decimal("0.044"),
        currency="CNY",
        is_final=True,
    )
    return sealed(msgspec.structs.replace(fact, **more), ACCOUNT, CALL, number, str(start))


def privacy(*, callin: float | None = 0, answer: float | None = 8, end: float | None = 68, **more: Any) -> Fact:
    """Returns a privacy number's record; it is final once it has an end."""
    fact = Fact(
        fact_type=FactType.RECORD,
        vendor="huawei",
        kind=Kind.PRIVACY_AX,
        account_id="ak-1",
        vendor_call_id="session-1",
        session_id="session-1",
        binding_id="binding-1",
        from_number="+8618801330084",
        from_kind=E164,
        privacy_number="+8616512884987",
        setup_at=at(callin),
        answer_at=at(answer),
        end_at=at(end),
        disposition=Disposition.IN_PROGRESS
        if end is None
        else Disposition.ANSWERED
        if answer is not None
        else Disposition.NO_ANSWER,
        revised_at=T0,
        is_final=end is not None,
    )
    return sealed(msgspec.structs.replace(fact, **more), "session-1", call_key="huawei|main|session-1")


def binding(seconds: float = 0, status: str = "bound") -> Fact:
    """Returns a binding's snapshot, versioned by its own update time."""
    fact = Fact(
        fact_type=FactType.BINDING,
        vendor="huawei",
        kind=Kind.BINDING,
        account_id="ak-1",
        binding_id="binding-1",
        binding_state=status,
        revised_at=at(seconds),
    )
    return sealed(fact, "1", str(seconds), call_key="huawei|main|binding-1")


def decision(record: Fact, keep: Fact | str, seconds: float = 0) -> Fact:
    """Returns a decision, `seconds` after the start, on which content of the record counts."""
    fact = Fact(
        fact_id=record.fact_id,
        call_key=record.call_key,
        fact_type=FactType.RESOLUTION,
        vendor=record.vendor,
        kind=record.kind,
        account=record.account,
        keeps=keep if isinstance(keep, str) else keep.content_digest,
        event_at=at(seconds),
    )
    return msgspec.structs.replace(fact, content_digest=digest(fact))


A_STATES: Final = (
    pushed_state(CALLER, State.SETUP, 0),
    pushed_state(CALLER, State.ALERTING, 3),
    pushed_state(CALLER, State.ANSWER, 10),
    pushed_state(CALLER, State.RELEASE, 70),
)
B_STATES: Final = (
    pushed_state(CALLED, State.SETUP, 11),
    pushed_state(CALLED, State.ALERTING, 14),
    pushed_state(CALLED, State.ANSWER, 20),
    pushed_state(CALLED, State.RELEASE, 70),
)
BOTH_LEGS: Final = (*A_STATES, *B_STATES)


def in_a_row(facts: Sequence[Fact], *, first_offset: int = 0, partition: int = 0) -> list[Fact]:
    """Puts each fact in its own raw record, one after the other."""
    return [placed(fact, first_offset + index, partition=partition) for index, fact in enumerate(facts)]


# All facts that a call of this vendor may have, corrections and contradictions included.
RECORDS: Final = (
    callback(),
    callback(hangup_reason="normal"),
    callback(vendor_duration_s=61),
    callback(cost=Decimal("0.15"), custom_ref="ref-1"),
    callback(custom_ref="ref-2"),
    callback(is_final=False, disposition=Disposition.IN_PROGRESS, b_answer=None, b_end=None),
    callback(b_answer=None, b_end=None),
    callback(recording_url="https://rec.example/1", recording_state=RecordingState.AVAILABLE),
    callback(caller=CALLED, called=CALLED),
    callback(account_id="app-2"),
    voice(),
    voice(end_at=at(30)),
    participant(STRANGER, 5, 36),
    participant(CALLED, 6, 40),
    # with a reason, pulled, revised, by another route, and implausible
    callback(b_answer=None, b_end=None, hangup_cause="busy", q850=17, disposition=Disposition.BUSY),
    callback(b_answer=None, b_end=None, hangup_cause="gone", q850=20, disposition=Disposition.UNREACHABLE),
    callback(disposition=Disposition.UNKNOWN, b_answer=None, b_end=None, cost=None),
    callback(source="poll", vendor_duration_s=62),
    callback(source="backfill", b_answer=None, b_end=None, cost=Decimal(0)),
    callback(revised_at=at(100), cost=Decimal("0.30")),
    callback(revised_at=at(200), b_answer=None, b_end=None, cost=None),
    callback(account="second", cost=Decimal(9)),
    callback(vendor_duration_s=2**32 - 1, billable_s=2**32 - 1, cost=Decimal("999999999999.999999")),
    participant(CALLER, -9500 * 86_400, 40, vendor_duration_s=2**32 - 1, cost=Decimal("999999999999.999999")),
)
DECISIONS: Final = (
    decision(callback(), callback()),
    decision(callback(), callback(vendor_duration_s=61), 5),
    decision(callback(), callback(b_answer=None, b_end=None), 9),
    decision(callback(), "0" * 32, 12),
    decision(callback(account="second", cost=Decimal(9)), callback()),
    decision(voice(), voice(end_at=at(30))),
)
STATES: Final = (
    *BOTH_LEGS,
    pushed_state(CALLER, State.SETUP, 5),
    pushed_state(CALLED, State.ANSWER, 25),
    pushed_state(CALLED, State.ANSWER, 90),
    pushed_state(CALLED, State.RELEASE, 60, hangup_reason="busy", disposition=Disposition.BUSY),
    pushed_state(CALLER, State.ALERTING, 3, display_number=None),
    pushed_state(STRANGER, State.SETUP, 12),
    pushed_state(STRANGER, State.UNKNOWN, 13),
    pushed_state(STRANGER, State.RELEASE, None),
    pushed_state(CALLED, State.ALERTING, -320 * 86_400),
    pushed_state(CALLER, State.SETUP, 0, account="second"),
)

call_items = st.lists(st.sampled_from((*RECORDS, *STATES, *DECISIONS)), min_size=1, max_size=9)
"""Draws the facts of one call, repetitions included."""


@st.composite
def raw_arrivals(draw: st.DrawFn) -> list[Fact]:
    """Draws facts of one call as two raw partitions carry them: offsets and mostly receipt times rise."""
    offsets = [0, 0]
    arrivals: list[Fact] = []
    for fact in draw(call_items):
        partition = draw(st.sampled_from((0, 0, 0, 1)))
        jitter = draw(st.sampled_from((0, 0, 0, -40)))
        offsets[partition] += draw(st.integers(1, 3))
        arrivals.append(
            placed(fact, offsets[partition], partition=partition, received=1000 + 10 * len(arrivals) + jitter)
        )
    return arrivals


@st.composite
def fact_logs(draw: st.DrawFn) -> list[Fact]:
    """Draws the facts topic of one call: the arrivals in order, with parts written again as after a restart."""
    log: list[Fact] = []
    for fact in draw(raw_arrivals()):
        log.append(fact)
        if draw(st.integers(0, 3)) == 0:
            again = draw(st.integers(1, len(log)))
            log.extend(log[-again:])
    return log
