"""States without a record, parties, and the tables of causes."""

from typing import Any, Final

from tests.integration.cases.parts import Case, Want, at, call, element, push, record
from tests.property.real_rows.kinds import CALLED, CALLER, after, beijing, epoch_ms


def _state(case: str, phone: str, what: str, seconds: float) -> Any:
    stamp = beijing(after(seconds)).removesuffix(".000")
    return push("callback_state", element("callback_state", case, dsc=phone, state=what, timestamp=stamp))


_B_ONLY: Final = (("callout", 11), ("alerting", 14), ("answer", 20), ("disconnect", 80))
_SILENT: Final[dict[str, Any]] = {"answer_time": "", "duration": 0}


def _native(number: int, sip: int, *dispositions: str, point: int = 0) -> Case:
    case = f"case-S5-{number}"
    fields = element("notification", case, fwdAnswerTime="", fwdUnaswRsn=0, sipStatusCode=sip, ulFailReason=point)
    return Case(
        name=f"S5 SIP {sip} without a cause{f' beside {point}' if point else ''}",
        pushes=(push("notification", fields),),
        wants=(
            Want(
                view="v_cdr",
                of={"vendor_call_id": case},
                shows={"cause_confidence": "derived", "sip_code": sip},
                one_of={"disposition": dispositions},
            ),
        ),
    )


def _cause(spelt: str, sip: int) -> Case:
    case = f"case-S7-{spelt}"
    return Case(
        name=f"S7 cause {spelt}",
        pushes=(push("softphone_cdr", element("softphone_cdr", case, **_SILENT, hangup_cause=spelt)),),
        wants=(record(case, sip_code=sip, without=("unknown_enum",)),),
    )


CASES: Final = (
    Case(
        name="S1 a disconnect alone",
        pushes=(_state("case-S1", CALLED, "disconnect", 80),),
        wants=(call("case-S1", disposition="unknown", has_record=False),),
    ),
    Case(
        name="S1 set up, rung and let go",
        pushes=tuple(
            _state("case-S1b", CALLED, what, s) for what, s in (("callout", 0), ("alerting", 3), ("disconnect", 40))
        ),
        wants=(call("case-S1b", disposition="no_answer"),),
    ),
    Case(
        name="S2 of A's pushes only its end came",
        pushes=(_state("case-S2", CALLER, "disconnect", 80), *(_state("case-S2", CALLED, w, s) for w, s in _B_ONLY)),
        wants=(
            Want(
                view="v_timelines",
                of={"vendor_call_id": "case-S2"},
                one_of={
                    "disposition": ("unknown", "answered", "in_progress"),
                    "from_number": (None, f"+86{CALLER}"),
                    "to_number": (None, f"+86{CALLED}"),
                },
            ),
        ),
    ),
    Case(
        name="S3 A declined and B was never asked",
        pushes=(
            push(
                "callback_cdr",
                element("callback_cdr", "case-S3", callerstime="", calledstime="", stateDesc="用户拒接|用户拒接"),
            ),
        ),
        wants=(record("case-S3", hangup_party="a"),),
    ),
    Case(
        name="S4 fourteen digits are a time",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-S4", answer_time="20260301080020")),),
        wants=(record("case-S4", disposition="answered", answer_at=at(20)),),
    ),
    Case(
        name="S4 what cannot be read is not absent",
        pushes=(
            push(
                "softphone_cdr",
                element("softphone_cdr", "case-S4b", answer_time="n/a", hangup_cause="NORMAL_CLEARING"),
            ),
        ),
        wants=(record("case-S4b", disposition="unknown", hangup_party="unknown", sip_code=None),),
    ),
    _native(1, 486, "busy"),
    _native(2, 404, "invalid_number"),
    _native(3, 480, "unreachable", "no_answer"),
    _native(4, 487, "cancelled"),
    _native(5, 503, "congestion", "failed"),
    _native(6, 600, "busy"),
    _native(7, 603, "rejected"),
    _native(8, 486, "busy", point=518),
    Case(
        name="S6 the platform's own printed fields",
        pushes=(
            push(
                "notification",
                element("notification", "case-S6", ttsPlayTimes=0, ttsTransDuration=0, mptyId="", voiceCheckType=0),
            ),
        ),
        wants=(record("case-S6", disposition="answered", without=("schema_drift",)),),
    ),
    Case(
        name="S6 the number that was called in effect",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-S6b", effective_called_number=CALLED)),),
        wants=(record("case-S6b", disposition="answered", without=("schema_drift",)),),
    ),
    _cause("820", 428),
    _cause("821", 429),
    _cause("822", 437),
    _cause("823", 438),
    _cause("824", 403),
    _cause("825", 603),
    Case(
        name="S8 conference zero is none",
        pushes=(
            push("conference_leg", element("conference_leg", "case-S8a", confid="0", tel="13900000011")),
            push("conference_leg", element("conference_leg", "case-S8b", confid="0", tel="13900000012")),
        ),
        wants=(
            record("case-S8a", conference_id=""),
            record("case-S8b", conference_id=""),
            Want(view="v_conferences", of={"conference_id": "0"}, count=0),
        ),
    ),
    Case(
        name="S9 a verification code",
        pushes=(push("voice_otp", element("voice_otp", "case-S9", code="842177")),),
        wants=(record("case-S9", disposition="answered"),),
    ),
    Case(
        name="S10 a call over a binding that was dissolved",
        pushes=(push("privacy_ax", element("privacy_ax", "case-S10", unbindTime=epoch_ms(after(-60)), status=0)),),
        wants=(record("case-S10", "time_order"),),
    ),
    Case(
        name="S10 a privacy number that is the customer's own",
        pushes=(push("privacy_ax", element("privacy_ax", "case-S10b", privateNum=f"+86{CALLER}")),),
        wants=(record("case-S10b", "number_ambiguous"),),
    ),
    Case(
        name="S10 dissolved, says the row, and refused, says the answer",
        pushes=(
            push(
                "binding",
                element(
                    "binding",
                    "b-case-S10c",
                    status=0,
                    unbindTime=epoch_ms(after(0)),
                    unbindResponse='{"resultcode":"11","resultdesc":"refused"}',
                ),
            ),
        ),
        wants=(Want(view="v_bindings", of={"binding_id": "b-case-S10c"}, flags=("state_vs_time",)),),
    ),
    Case(
        name="S11 a country code that stands twice",
        pushes=(push("softphone_cdr", element("softphone_cdr", "case-S11", code="62", phone="62811234567")),),
        wants=(record("case-S11", "number_ambiguous", to_number="+62811234567"),),
    ),
    Case(
        name="S12 B's leg ends before A's",
        pushes=(
            push(
                "callback_cdr",
                element("callback_cdr", "case-S12", calledetime=beijing(after(50)), calleretime=beijing(after(76))),
            ),
        ),
        wants=(record("case-S12", talk_ms=30_000), call("case-S12", talk_ms=30_000)),
    ),
    Case(
        name="S13 rung twice at one phone and never answered",
        pushes=tuple(
            push(
                "conference_leg",
                element("conference_leg", "case-S13", stime="", etime=beijing(after(end)), duration="0"),
            )
            for end in (30, 90)
        ),
        wants=(Want(view="v_cdr", of={"vendor_call_id": "case-S13"}, count=2, shows={"cost": "0.044"}),),
    ),
)
