"""Key figures, each case under an account of its own."""

from datetime import UTC, datetime
from typing import Any, Final

from tests.integration.cases.parts import Case, Want, element, plain, push
from tests.property.real_rows.kinds import after, beijing

_DAY: Final = datetime(2026, 3, 2, 13, 59, 40, tzinfo=UTC)


def _softphone(case: str, app: str, **changes: Any) -> Any:
    body = push("softphone_cdr", element("softphone_cdr", case, **changes)).body
    return plain(f"/v1/nxcloud/cdr?account={app}", body)


def _figures(app: str, **shows: Any) -> Want:
    return Want(view="v_kpi_hour", of={"account_id": app}, shows=shows)


ACCOUNTS: Final = ("f2", "f4")
"""Configured accounts of the softphone vendor."""

CASES: Final = (
    Case(
        name="F1 a call counts where its first leg began",
        pushes=(
            push(
                "callback_cdr",
                element(
                    "callback_cdr",
                    "case-F1",
                    appid="app-f1",
                    callerstime=beijing(_DAY),
                    calledstime="",
                    calleretime="2026-03-02 22:00:20",
                    calledetime="2026-03-02 22:00:20",
                    stateDesc="应答|无人接听",
                ),
            ),
        ),
        wants=(_figures("app-f1", slot_at="2026-03-02 13:00:00", attempts=1, answered=0),),
    ),
    Case(
        name="F2 an answered call without a known talk",
        pushes=(
            _softphone("case-F2a", "f2", end_time=str(int(after(140).timestamp())), duration=120),
            _softphone("case-F2b", "f2", end_time="n/a", duration=""),
        ),
        wants=(
            Want(
                view="v_kpi_hour",
                of={"account_id": "f2"},
                shows={"acd_s": 120.0, "answered_without_talk": 1},
            ),
        ),
    ),
    Case(
        name="F3 a conference of three under three ids",
        pushes=tuple(
            push(
                "conference_leg",
                element("conference_leg", f"case-F3-{n}", appid="app-f3", confid="77031", tel=f"1390000002{n}"),
            )
            for n in range(3)
        ),
        wants=(
            Want(view="v_kpi_hour", of={"account_id": "app-f3"}, count=0),
            Want(view="v_conferences", of={"account_id": "app-f3"}, shows={"participants": 3}),
        ),
    ),
    Case(
        name="F4 a caller who gave up after ringing",
        pushes=(
            _softphone("case-F4a", "f4"),
            _softphone("case-F4b", "f4", answer_time="", duration=0, hangup_cause="ORIGINATOR_CANCEL"),
        ),
        wants=(_figures("f4", attempts=2, answered=1, ner=1.0),),
    ),
    Case(
        name="F5 two costs that contradict each other",
        pushes=tuple(
            push("callback_cdr", element("callback_cdr", "case-F5", appid="app-f5", oriamount=cost))
            for cost in ("2.94", "0.15")
        ),
        wants=(
            Want(
                view="v_kpi_hour",
                of={"account_id": "app-f5"},
                shows={"cost_in_conflict": "2.94"},
                one_of={"cost": (None, "0")},
            ),
        ),
    ),
)
