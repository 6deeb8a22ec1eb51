"""The ends of calls as the vendors name them, and what each name means: the oracle's own copy of the documents' tables.

Kept apart from the normaliser's tables, so that a slip in either shows as a difference.
"""

from typing import Final, NamedTuple

from deploy.simulator.calls.truth import Scenario
from schemas.facts import Disposition


class Ending(NamedTuple):
    """One way to say how a call ended; None where nothing is claimed."""

    text: str
    disposition: Disposition
    q850: int | None = None
    sip_code: int | None = None


_ANSWERED: Final = Disposition.ANSWERED
_SILENT: Final = Disposition.NO_ANSWER
_AWAY: Final = Disposition.UNREACHABLE

NXCLOUD: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.ANSWERED: (Ending("NORMAL_CLEARING", _ANSWERED, 16, 200),),
    Scenario.TIMER_EXPIRED: (Ending("RECOVERY_ON_TIMER_EXPIRE", _ANSWERED, 102),),
    Scenario.NO_ANSWER: (Ending("NO_ANSWER", _SILENT, 19, 480), Ending("NO_USER_RESPONSE", _SILENT, 18, 408)),
    Scenario.BUSY: (Ending("USER_BUSY", Disposition.BUSY, 17, 486),),
    Scenario.REJECTED: (Ending("CALL_REJECTED", Disposition.REJECTED, 21, 603),),
    Scenario.SWITCHED_OFF: (Ending("SUBSCRIBER_ABSENT", _AWAY, 20, 480),),
    Scenario.INVALID_NUMBER: (
        Ending("UNALLOCATED_NUMBER", Disposition.INVALID_NUMBER, 1, 404),
        Ending("INVALID_NUMBER_FORMAT", Disposition.INVALID_NUMBER, 28, 484),
    ),
    Scenario.CONGESTION: (
        Ending("NORMAL_TEMPORARY_FAILURE", Disposition.CONGESTION, 41, 503),
        Ending("NORMAL_CIRCUIT_CONGESTION", Disposition.CONGESTION, 34, 503),
    ),
    # Beyond 127 a cause is FreeSWITCH's own and has no Q.850 number.
    Scenario.CANCELLED: (Ending("ORIGINATOR_CANCEL", Disposition.CANCELLED, None, 487),),
}

YTX: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.ANSWERED: (Ending("应答|正常", _ANSWERED, 16, 200), Ending("正常|正常", _ANSWERED, 16, 200)),
    Scenario.STATES_ONLY: (Ending("", _ANSWERED),),
    # The last one is the platform's lie: it says "answered" of a callee who never was.
    Scenario.NO_ANSWER: (
        Ending("应答|无人接听", _SILENT, 19, 480),
        Ending("应答|未应答", _SILENT, 19, 480),
        Ending("应答|正常", _SILENT),
    ),
    Scenario.BUSY: (
        Ending("应答|用户正忙", Disposition.BUSY, 17, 486),
        Ending("应答|正在通话中", Disposition.BUSY, 17, 486),
    ),
    Scenario.REJECTED: (Ending("应答|用户拒接", Disposition.REJECTED, 21, 603),),
    Scenario.SWITCHED_OFF: (
        Ending("应答|关机", _AWAY, 20, 480),
        Ending("应答|无法接听", _AWAY, 20, 480),
        Ending("应答|无法拨通", _AWAY, 20, 480),
        Ending("应答|来电提醒", _AWAY, 20, 480),
    ),
    Scenario.INVALID_NUMBER: (
        Ending("应答|空号", Disposition.INVALID_NUMBER, 1, 404),
        Ending("应答|改号", Disposition.INVALID_NUMBER, 22, 410),
        Ending("应答|拨号方式不正确", Disposition.INVALID_NUMBER, 28, 484),
    ),
    Scenario.SUSPENDED: (
        Ending("应答|停机", Disposition.BARRED, 21, 403),
        Ending("应答|欠费", Disposition.BARRED, 21, 403),
        Ending("应答|暂停服务", Disposition.BARRED, 21, 403),
        Ending("应答|呼入限制", Disposition.BARRED, 54, 403),
    ),
    Scenario.CONGESTION: (
        Ending("应答|网络忙", Disposition.CONGESTION, 42, 503),
        Ending("应答|稍后再拨", Disposition.CONGESTION, 41, 503),
        Ending("应答|线路故障", Disposition.FAILED, 38, 503),
        Ending("应答|呼叫转移失败", Disposition.FAILED, 29, 501),
    ),
    Scenario.A_NO_ANSWER: (Ending("无人接听", _SILENT, 19, 480), Ending("未应答|", _SILENT, 19, 480)),
    Scenario.A_UNREACHABLE: (Ending("关机", _AWAY, 20, 480), Ending("关机|未知", _AWAY, 20, 480)),
}

TENCENT: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.ANSWERED: (Ending("1", _ANSWERED, 16, 200),),
    Scenario.A_NO_ANSWER: (Ending("2", _SILENT, 19, 480),),
    Scenario.NO_ANSWER: (Ending("3", _SILENT, 19, 480),),
    Scenario.A_UNREACHABLE: (Ending("4", _AWAY, 20, 480),),
    Scenario.SWITCHED_OFF: (Ending("5", _AWAY, 20, 480),),
}

HUAWEI: Final[dict[Scenario, tuple[Ending, ...]]] = {
    Scenario.PRIVACY: (Ending("", _ANSWERED, 16),),
    Scenario.PRIVACY_NO_ANSWER: (Ending("", _SILENT),),
}
