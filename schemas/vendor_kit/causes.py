"""FreeSWITCH's hangup causes as data: Q.850 value, SIP code, and the disposition of a call that was not answered.

Source: `switch_types.h` and `hangup_cause_to_sip` of mod_sofia (480 where that has no case). Values above 127 are
FreeSWITCH's own: they have no Q.850 code. SIP statuses are for vendors that send no cause. Must not know a vendor.
"""

import re
from typing import Final

import msgspec

from schemas.facts import Disposition


class Cause(msgspec.Struct, frozen=True):
    """One cause; `disposition` and `reason` are those of an unanswered call."""

    name: str
    q850: int | None
    sip: int | None
    disposition: Disposition
    reason: str = ""
    known: bool = True


# Disposition, reason, SIP code: the causes that share them, with FreeSWITCH's number.
_D = Disposition
_GROUPS: Final[tuple[tuple[Disposition, str, int, dict[str, int]], ...]] = (
    (_D.UNKNOWN, "", 480, {"NONE": 0, "UNSPECIFIED": 0, "SUCCESS": 142}),
    (_D.INVALID_NUMBER, "unallocated", 404, {"UNALLOCATED_NUMBER": 1}),
    (_D.FAILED, "no_route", 404, {"NO_ROUTE_TRANSIT_NET": 2, "NO_ROUTE_DESTINATION": 3}),
    (_D.FAILED, "channel", 480, {"CHANNEL_UNACCEPTABLE": 6, "CALL_AWARDED_DELIVERED": 7}),
    (_D.CANCELLED, "caller_hangup", 480, {"NORMAL_CLEARING": 16}),
    (_D.BUSY, "user_busy", 486, {"USER_BUSY": 17}),
    (_D.NO_ANSWER, "no_response", 408, {"NO_USER_RESPONSE": 18}),
    (_D.NO_ANSWER, "no_answer", 480, {"NO_ANSWER": 19}),
    (_D.UNREACHABLE, "absent", 480, {"SUBSCRIBER_ABSENT": 20}),
    (_D.REJECTED, "declined", 603, {"CALL_REJECTED": 21}),
    (_D.INVALID_NUMBER, "number_changed", 410, {"NUMBER_CHANGED": 22}),
    (_D.INVALID_NUMBER, "redirected", 410, {"REDIRECTION_TO_NEW_DESTINATION": 23}),
    (_D.FAILED, "routing_loop", 483, {"EXCHANGE_ROUTING_ERROR": 25}),
    (_D.UNREACHABLE, "out_of_order", 502, {"DESTINATION_OUT_OF_ORDER": 27}),
    (_D.INVALID_NUMBER, "format", 484, {"INVALID_NUMBER_FORMAT": 28}),
    (_D.FAILED, "facility", 501, {"FACILITY_REJECTED": 29}),
    (_D.UNKNOWN, "unspecified", 480, {"RESPONSE_TO_STATUS_ENQUIRY": 30, "NORMAL_UNSPECIFIED": 31}),
    (_D.CONGESTION, "congestion", 503, {
        "NORMAL_CIRCUIT_CONGESTION": 34, "NORMAL_TEMPORARY_FAILURE": 41, "SWITCH_CONGESTION": 42,
        "REQUESTED_CHAN_UNAVAIL": 44,
    }),
    (_D.FAILED, "network", 503, {"NETWORK_OUT_OF_ORDER": 38}),
    (_D.FAILED, "resource", 480, {
        "ACCESS_INFO_DISCARDED": 43, "PRE_EMPTED": 45, "FACILITY_NOT_SUBSCRIBED": 50, "SERVICE_UNAVAILABLE": 63,
    }),
    # FreeSWITCH numbers the two barrings 52 and 54, ITU 53 and 55.
    (_D.BARRED, "barred", 403, {"OUTGOING_CALL_BARRED": 52, "INCOMING_CALL_BARRED": 54, "BEARERCAPABILITY_NOTAUTH": 57}),
    (_D.CONGESTION, "bearer", 503, {"BEARERCAPABILITY_NOTAVAIL": 58}),
    (_D.FAILED, "codec", 488, {"BEARERCAPABILITY_NOTIMPL": 65, "INCOMPATIBLE_DESTINATION": 88}),
    (_D.FAILED, "not_implemented", 480, {"CHAN_NOT_IMPLEMENTED": 66}),
    (_D.FAILED, "not_implemented", 501, {"FACILITY_NOT_IMPLEMENTED": 69, "SERVICE_NOT_IMPLEMENTED": 79}),
    (_D.FAILED, "protocol", 480, {
        "INVALID_CALL_REFERENCE": 81, "INVALID_MSG_UNSPECIFIED": 95, "MANDATORY_IE_MISSING": 96,
        "MESSAGE_TYPE_NONEXIST": 97, "WRONG_MESSAGE": 98, "IE_NONEXIST": 99, "INVALID_IE_CONTENTS": 100,
        "WRONG_CALL_STATE": 101, "MANDATORY_IE_LENGTH_ERROR": 103, "PROTOCOL_ERROR": 111, "INTERWORKING": 127,
    }),
    (_D.FAILED, "timer", 504, {"RECOVERY_ON_TIMER_EXPIRE": 102}),
    (_D.CANCELLED, "caller_cancel", 487, {"ORIGINATOR_CANCEL": 487}),
    (_D.FAILED, "platform", 480, {"CRASH": 700, "SYSTEM_SHUTDOWN": 701}),
    (_D.CANCELLED, "platform", 480, {"MANAGER_REQUEST": 703}),
    (_D.CANCELLED, "answered_elsewhere", 480, {"LOSE_RACE": 702, "PICKED_OFF": 805}),
    # Transfers happen on answered calls; without an answer, the disposition is not known.
    (_D.UNKNOWN, "transfer", 480, {"BLIND_TRANSFER": 800, "ATTENDED_TRANSFER": 801, "BOWOUT": 814}),
    (_D.FAILED, "max_duration", 480, {"ALLOTTED_TIMEOUT": 802}),
    (_D.FAILED, "auth_identity", 480, {"USER_CHALLENGE": 803}),
    # RFC 8224's responses to a caller's identity.
    (_D.FAILED, "auth_identity", 428, {"NO_IDENTITY": 820}),
    (_D.FAILED, "auth_identity", 429, {"BAD_IDENTITY_INFO": 821}),
    (_D.FAILED, "auth_identity", 437, {"UNSUPPORTED_CERTIFICATE": 822}),
    (_D.FAILED, "auth_identity", 438, {"INVALID_IDENTITY": 823}),
    (_D.FAILED, "auth_identity", 403, {"STALE_DATE": 824}),
    (_D.FAILED, "media", 480, {"MEDIA_TIMEOUT": 804, "SRTP_READ_ERROR": 813}),
    (_D.UNREACHABLE, "unregistered", 480, {"USER_NOT_REGISTERED": 806}),
    (_D.NO_ANSWER, "timeout", 480, {"PROGRESS_TIMEOUT": 807, "NO_PICKUP": 812}),
    (_D.FAILED, "gateway", 484, {"INVALID_GATEWAY": 808, "INVALID_URL": 810}),
    (_D.FAILED, "gateway", 503, {"GATEWAY_DOWN": 809}),
    (_D.FAILED, "gateway", 502, {"INVALID_PROFILE": 811}),
    (_D.BUSY, "busy_everywhere", 600, {"BUSY_EVERYWHERE": 815}),
    (_D.REJECTED, "declined", 603, {"DECLINE": 816}),
    (_D.INVALID_NUMBER, "unallocated", 604, {"DOES_NOT_EXIST_ANYWHERE": 817}),
    (_D.FAILED, "not_acceptable", 606, {"NOT_ACCEPTABLE": 818}),
    (_D.REJECTED, "spam", 607, {"UNWANTED": 819}),
    (_D.REJECTED, "declined", 603, {"REJECT_ALL": 825}),
)  # fmt: skip

_Q850_MAX: Final = 127


def _cause(name: str, value: int, sip: int, disposition: Disposition, reason: str) -> Cause:
    return Cause(name, value if 1 <= value <= _Q850_MAX else None, sip, disposition, reason)


CAUSES: Final = {
    name: _cause(name, value, sip, disposition, reason)
    for disposition, reason, sip, causes in _GROUPS
    for name, value in causes.items()
}
_BY_NUMBER: Final = {value: name for *_, causes in _GROUPS for name, value in causes.items() if name != "UNSPECIFIED"}
# Until June 2022 FreeSWITCH's own causes were 500 to 503 and 600 to 624: both are read. 825 never had another number.
_BY_VALUE: Final = (
    _BY_NUMBER
    | {value - 200: name for value, name in _BY_NUMBER.items() if 700 <= value <= 703 or 800 <= value <= 824}
    | {53: "OUTGOING_CALL_BARRED", 55: "INCOMING_CALL_BARRED"}
)  # as ITU numbers them
# SIP status of a call that failed: disposition, reason, Q.850 by RFC 3398 (408 and 403 as the causes above have them).
_STATUSES: Final = {
    status: Cause(name, q850, status, disposition, reason)
    for statuses, name, q850, disposition, reason in (
        ((404, 604), "UNALLOCATED_NUMBER", 1, _D.INVALID_NUMBER, "unallocated"),
        ((485,), "UNALLOCATED_NUMBER", 1, _D.INVALID_NUMBER, "ambiguous"),
        ((410,), "NUMBER_CHANGED", 22, _D.INVALID_NUMBER, "number_changed"),
        ((484,), "INVALID_NUMBER_FORMAT", 28, _D.INVALID_NUMBER, "format"),
        ((486, 600), "USER_BUSY", 17, _D.BUSY, "user_busy"),
        ((408, 480), "NO_USER_RESPONSE", 18, _D.NO_ANSWER, "no_response"),
        ((487,), "ORIGINATOR_CANCEL", None, _D.CANCELLED, "caller_cancel"),
        ((603,), "CALL_REJECTED", 21, _D.REJECTED, "declined"),
        ((607, 608), "CALL_REJECTED", 21, _D.REJECTED, "spam"),
        ((403,), "CALL_REJECTED", 21, _D.BARRED, "barred"),
        ((401, 402, 407), "CALL_REJECTED", 21, _D.FAILED, "auth"),
        ((428, 429, 436, 437, 438), "", None, _D.FAILED, "auth_identity"),
        ((481, 500), "NORMAL_TEMPORARY_FAILURE", 41, _D.FAILED, "temporary"),
        ((503,), "NORMAL_TEMPORARY_FAILURE", 41, _D.CONGESTION, "congestion"),
        ((502,), "NETWORK_OUT_OF_ORDER", 38, _D.FAILED, "network"),
        ((504,), "RECOVERY_ON_TIMER_EXPIRE", 102, _D.FAILED, "timer"),
        ((482, 483), "EXCHANGE_ROUTING_ERROR", 25, _D.FAILED, "routing_loop"),
        ((488, 606), "NORMAL_UNSPECIFIED", 31, _D.FAILED, "not_acceptable"),
        ((405,), "SERVICE_UNAVAILABLE", 63, _D.FAILED, "resource"),
        ((406, 415, 501), "SERVICE_NOT_IMPLEMENTED", 79, _D.FAILED, "not_implemented"),
        ((413, 414, 416, 420, 421, 423, 505, 513), "INTERWORKING", 127, _D.FAILED, "protocol"),
    )
    for status in statuses
}
_SPACING: Final = re.compile(r"[\s\-]+")
_ANSWERED_SIP: Final = 200
_NEVER_ANSWERED: Final = frozenset({_D.NO_ANSWER, _D.BUSY, _D.REJECTED, _D.UNREACHABLE, _D.INVALID_NUMBER, _D.BARRED})


def cause(text: str) -> Cause | None:
    """Returns the cause that a text names: any case, spaces or dashes for `_`, or its number; None for no text.

    A text that names no cause gives an unknown one with that text as its name (`known` is False).
    """
    if (named := CAUSES.get(text)) is not None:  # in FreeSWITCH's own spelling, as nearly all
        return named
    name = _SPACING.sub("_", text.strip()).upper()
    if not name:
        return None
    if name.isdecimal() and name.isascii() and len(name) <= 4:
        name = _BY_VALUE.get(int(name), name)
    name = name.removeprefix("SWITCH_CAUSE_")
    return CAUSES.get(name) or Cause(name, None, None, Disposition.UNKNOWN, known=False)


def cause_of_sip(status: int) -> Cause:
    """Returns the cause for a SIP status of 400 to 699 on an unanswered call; a status that no RFC has is a failure."""
    return _STATUSES.get(status) or Cause("", None, status, Disposition.FAILED, "sip")


def disposition_of(found: Cause | None, *, answered: bool) -> Disposition:
    """Returns the disposition: a call with an answer time was answered, whatever the cause."""
    if answered:
        return Disposition.ANSWERED
    return found.disposition if found else Disposition.UNKNOWN


def sip_of(found: Cause | None, *, answered: bool) -> int | None:
    """Returns the SIP code; a normal clearing after an answer is the end of a 200."""
    if found is None:
        return None
    return _ANSWERED_SIP if answered and found.name == "NORMAL_CLEARING" else found.sip


def reason_of(found: Cause | None, *, answered: bool) -> str:
    """Returns the reason of the release; the cause does not name the party that released an answered call."""
    if found is None:
        return ""
    return "normal" if answered and found.name == "NORMAL_CLEARING" else found.reason


def denies_answer(found: Cause | None) -> bool:
    """True when the cause is only possible on a call that was never answered."""
    return found is not None and (
        found.disposition in _NEVER_ANSWERED or found.reason in ("caller_cancel", "answered_elsewhere")
    )
