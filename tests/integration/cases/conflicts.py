"""Final contents that contradict each other, and contents that had vanished."""

from typing import Any, Final

from tests.integration.cases.parts import Case, Want, at, call, element, push, record
from tests.property.real_rows.kinds import after, epoch_ms

_MISSED: Final[dict[str, Any]] = {"disposition": "no_answer", "answer_at": None, "talk_ms": None, "billable_s": 0}
_SILENT: Final[dict[str, Any]] = {"calledstime": "", "stateDesc": "应答|无人接听"}


def _softphone(case: str, **changes: Any) -> dict[str, Any]:
    return element("softphone_cdr", case, **changes)


def _conflicts(case: str, count: int = 2, **shows: Any) -> Want:
    return Want(view="v_conflicts", of={"vendor_call_id": case}, count=count, shows=shows)


def _content(case: str, shown: bool, **shows: Any) -> Want:  # noqa: FBT001 - reads as a table
    return Want(view="v_conflicts", of={"vendor_call_id": case, "is_shown": shown}, shows=shows)


def _bare_call(case: str, session: object, key: str = "sessionId") -> dict[str, Any]:
    fields = element("privacy_ax", case, subscriptionId=f"b-{case}", updatedAt=epoch_ms(after(70)))
    del fields["sessionId"]
    return fields | {key: session}


_SILENT_LEGS: Final[dict[str, Any]] = {"disposition": "no_answer", "legs.answer_at": [at(10), None]}
_UNANSWERED: Final[dict[str, Any]] = {"answer_time": "", "end_time": str(int(after(20).timestamp())), "duration": 0}

CASES: Final = (
    Case(
        name="C1 unanswered, then answered",
        pushes=(
            push("softphone_cdr", _softphone("case-C1", **_UNANSWERED, hangup_cause="NO_ANSWER")),
            push("softphone_cdr", _softphone("case-C1", duration=35)),
        ),
        wants=(
            call("case-C1", "conflict_final", end_at=at(20), **_MISSED),
            record("case-C1", "conflict_final", end_at=at(20), **_MISSED),
            _conflicts("case-C1"),
        ),
    ),
    Case(
        name="C1 answered, then unanswered",
        pushes=(
            push("softphone_cdr", _softphone("case-C1b")),
            push("softphone_cdr", _softphone("case-C1b", **_UNANSWERED, hangup_cause="NO_ANSWER")),
        ),
        wants=(
            call("case-C1b", "conflict_final", disposition="answered", talk_ms=40_000, billable_s=40, end_at=at(60)),
            _content("case-C1b", shown=False, disposition="no_answer", answer_at=None, billable_s=0),
        ),
    ),
    Case(
        name="C2 B never answered, then B did",
        pushes=(
            push("callback_cdr", element("callback_cdr", "case-C2", **_SILENT)),
            push("callback_cdr", element("callback_cdr", "case-C2")),
        ),
        wants=(
            call("case-C2", "conflict_final", disposition="no_answer", answer_at=None, talk_ms=None),
            record("case-C2", "conflict_final", **_SILENT_LEGS),
            _conflicts("case-C2"),
        ),
    ),
    Case(
        name="C2 three contents that all disagree",
        pushes=tuple(
            push("callback_cdr", element("callback_cdr", "case-C2b", oriamount=cost)) for cost in ("2.94", "0.15", "7")
        ),
        wants=(call("case-C2b", "conflict_final", cost="2.94"), _conflicts("case-C2b", count=3)),
    ),
    Case(
        name="C3 the relay takes an answer back",
        pushes=(
            push("privacy_ax", element("privacy_ax", "case-C3")),
            push("privacy_ax", element("privacy_ax", "case-C3", answerTime=None, updatedAt=epoch_ms(after(90)))),
        ),
        wants=(call("case-C3", **_MISSED), record("case-C3", **_MISSED)),
    ),
    Case(
        name="C3 an older row comes later",
        pushes=(
            push("privacy_ax", element("privacy_ax", "case-C3b", answerTime=None, updatedAt=epoch_ms(after(90)))),
            push("privacy_ax", element("privacy_ax", "case-C3b")),
        ),
        wants=(call("case-C3b", **_MISSED),),
    ),
    Case(
        name="C4 not answered, then busy",
        pushes=(
            push("softphone_cdr", _softphone("case-C4", **_UNANSWERED, hangup_cause="NO_ANSWER")),
            push("softphone_cdr", _softphone("case-C4", **_UNANSWERED, hangup_cause="USER_BUSY")),
        ),
        wants=(call("case-C4", "field_conflict", disposition="no_answer", q850=19, hangup_cause="NO_ANSWER"),),
    ),
    Case(
        name="C6 both contents with their coordinates",
        pushes=(
            push("callback_cdr", element("callback_cdr", "case-C6")),
            push("callback_cdr", element("callback_cdr", "case-C6", oriamount="0.15")),
        ),
        wants=(
            _content("case-C6", shown=True, cost="2.94", raw_topic="calls.raw"),
            _content("case-C6", shown=False, cost="0.15", raw_topic="calls.raw"),
        ),
    ),
    Case(
        name="C7 the same record again is no conflict",
        pushes=(push("callback_cdr", element("callback_cdr", "case-C7")),) * 3,
        wants=(
            call("case-C7", cost="2.94", fact_count=1, without=("conflict_final", "field_conflict")),
            _conflicts("case-C7", count=0),
        ),
    ),
    *(
        Case(
            name=f"V1 a call's times and {name}",
            pushes=(push("privacy_ax", _bare_call(f"case-V1-{number}", session)),),
            wants=(Want(view="v_bindings", of={"binding_id": f"b-case-V1-{number}"}, count=0),),
            dead=("no_id",),
        )
        for number, (name, session) in enumerate(
            (("no id", None), ("an empty id", ""), ("a blank id", " "), ("the word null", "null"))
        )
    ),
    Case(
        name="V1 the id under a key in capitals",
        pushes=(push("privacy_ax", _bare_call("case-V1k", "case-V1k", key="SessionId")),),
        wants=(call("case-V1k", "key_normalised", disposition="answered"),),
    ),
    Case(
        name="V2 a call's row dissolves the binding",
        pushes=(
            push("binding", element("binding", "b-case-V2")),
            push("privacy_ax", element("privacy_ax", "case-V2", status=0, unbindTime=epoch_ms(after(66)))),
        ),
        wants=(Want(view="v_bindings", of={"binding_id": "b-case-V2"}, shows={"binding_state": "unbound"}),),
    ),
    Case(
        name="V2 an older call's row does not",
        pushes=(
            push("privacy_ax", element("privacy_ax", "case-V2b", status=0)),
            push("binding", element("binding", "b-case-V2b", updatedAt=epoch_ms(after(100)))),
        ),
        wants=(Want(view="v_bindings", of={"binding_id": "b-case-V2b"}, shows={"binding_state": "bound"}),),
    ),
    Case(
        name="V3 a binding that only calls tell of",
        pushes=(push("privacy_ax", element("privacy_ax", "case-V3")),),
        wants=(
            Want(
                view="v_bindings",
                of={"binding_id": "b-case-V3"},
                shows={"binding_state": "bound", "privacy_number": "+8616512880001"},
            ),
        ),
    ),
)
