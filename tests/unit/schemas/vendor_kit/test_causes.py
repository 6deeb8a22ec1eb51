"""FreeSWITCH's causes: each row of the table, however the name is spelt, and that an answer time outranks it."""

import pytest

from schemas.facts import Disposition
from schemas.vendor_kit.causes import CAUSES, cause, denies_answer, disposition_of, reason_of, sip_of

# name, Q.850, SIP, disposition of an unanswered call, reason; written from switch_types.h and mod_sofia by hand
ROWS = """
NONE - 480 unknown
UNSPECIFIED - 480 unknown
UNALLOCATED_NUMBER 1 404 invalid_number unallocated
NO_ROUTE_TRANSIT_NET 2 404 failed no_route
NO_ROUTE_DESTINATION 3 404 failed no_route
CHANNEL_UNACCEPTABLE 6 480 failed channel
CALL_AWARDED_DELIVERED 7 480 failed channel
NORMAL_CLEARING 16 480 cancelled caller_hangup
USER_BUSY 17 486 busy user_busy
NO_USER_RESPONSE 18 408 no_answer no_response
NO_ANSWER 19 480 no_answer no_answer
SUBSCRIBER_ABSENT 20 480 unreachable absent
CALL_REJECTED 21 603 rejected declined
NUMBER_CHANGED 22 410 invalid_number number_changed
REDIRECTION_TO_NEW_DESTINATION 23 410 invalid_number redirected
EXCHANGE_ROUTING_ERROR 25 483 failed routing_loop
DESTINATION_OUT_OF_ORDER 27 502 unreachable out_of_order
INVALID_NUMBER_FORMAT 28 484 invalid_number format
FACILITY_REJECTED 29 501 failed facility
RESPONSE_TO_STATUS_ENQUIRY 30 480 unknown unspecified
NORMAL_UNSPECIFIED 31 480 unknown unspecified
NORMAL_CIRCUIT_CONGESTION 34 503 congestion congestion
NETWORK_OUT_OF_ORDER 38 503 failed network
NORMAL_TEMPORARY_FAILURE 41 503 congestion congestion
SWITCH_CONGESTION 42 503 congestion congestion
ACCESS_INFO_DISCARDED 43 480 failed resource
REQUESTED_CHAN_UNAVAIL 44 503 congestion congestion
PRE_EMPTED 45 480 failed resource
FACILITY_NOT_SUBSCRIBED 50 480 failed resource
OUTGOING_CALL_BARRED 52 403 barred barred
INCOMING_CALL_BARRED 54 403 barred barred
BEARERCAPABILITY_NOTAUTH 57 403 barred barred
BEARERCAPABILITY_NOTAVAIL 58 503 congestion bearer
SERVICE_UNAVAILABLE 63 480 failed resource
BEARERCAPABILITY_NOTIMPL 65 488 failed codec
CHAN_NOT_IMPLEMENTED 66 480 failed not_implemented
FACILITY_NOT_IMPLEMENTED 69 501 failed not_implemented
SERVICE_NOT_IMPLEMENTED 79 501 failed not_implemented
INVALID_CALL_REFERENCE 81 480 failed protocol
INCOMPATIBLE_DESTINATION 88 488 failed codec
INVALID_MSG_UNSPECIFIED 95 480 failed protocol
MANDATORY_IE_MISSING 96 480 failed protocol
MESSAGE_TYPE_NONEXIST 97 480 failed protocol
WRONG_MESSAGE 98 480 failed protocol
IE_NONEXIST 99 480 failed protocol
INVALID_IE_CONTENTS 100 480 failed protocol
WRONG_CALL_STATE 101 480 failed protocol
RECOVERY_ON_TIMER_EXPIRE 102 504 failed timer
MANDATORY_IE_LENGTH_ERROR 103 480 failed protocol
PROTOCOL_ERROR 111 480 failed protocol
INTERWORKING 127 480 failed protocol
SUCCESS - 480 unknown
ORIGINATOR_CANCEL - 487 cancelled caller_cancel
CRASH - 480 failed platform
SYSTEM_SHUTDOWN - 480 failed platform
LOSE_RACE - 480 cancelled answered_elsewhere
MANAGER_REQUEST - 480 cancelled platform
BLIND_TRANSFER - 480 unknown transfer
ATTENDED_TRANSFER - 480 unknown transfer
ALLOTTED_TIMEOUT - 480 failed max_duration
USER_CHALLENGE - 480 failed auth_identity
MEDIA_TIMEOUT - 480 failed media
PICKED_OFF - 480 cancelled answered_elsewhere
USER_NOT_REGISTERED - 480 unreachable unregistered
PROGRESS_TIMEOUT - 480 no_answer timeout
INVALID_GATEWAY - 484 failed gateway
GATEWAY_DOWN - 503 failed gateway
INVALID_URL - 484 failed gateway
INVALID_PROFILE - 502 failed gateway
NO_PICKUP - 480 no_answer timeout
SRTP_READ_ERROR - 480 failed media
BOWOUT - 480 unknown transfer
BUSY_EVERYWHERE - 600 busy busy_everywhere
DECLINE - 603 rejected declined
DOES_NOT_EXIST_ANYWHERE - 604 invalid_number unallocated
NOT_ACCEPTABLE - 606 failed not_acceptable
UNWANTED - 607 rejected spam
NO_IDENTITY - 428 failed auth_identity
BAD_IDENTITY_INFO - 429 failed auth_identity
UNSUPPORTED_CERTIFICATE - 437 failed auth_identity
INVALID_IDENTITY - 438 failed auth_identity
STALE_DATE - 403 failed auth_identity
REJECT_ALL - 603 rejected declined
"""
# FreeSWITCH's own causes by number; from today's switch_types.h by hand
NUMBERS = """
700 CRASH
701 SYSTEM_SHUTDOWN
702 LOSE_RACE
703 MANAGER_REQUEST
800 BLIND_TRANSFER
801 ATTENDED_TRANSFER
802 ALLOTTED_TIMEOUT
803 USER_CHALLENGE
804 MEDIA_TIMEOUT
805 PICKED_OFF
806 USER_NOT_REGISTERED
807 PROGRESS_TIMEOUT
808 INVALID_GATEWAY
809 GATEWAY_DOWN
810 INVALID_URL
811 INVALID_PROFILE
812 NO_PICKUP
813 SRTP_READ_ERROR
814 BOWOUT
815 BUSY_EVERYWHERE
816 DECLINE
817 DOES_NOT_EXIST_ANYWHERE
818 NOT_ACCEPTABLE
819 UNWANTED
820 NO_IDENTITY
821 BAD_IDENTITY_INFO
822 UNSUPPORTED_CERTIFICATE
823 INVALID_IDENTITY
824 STALE_DATE
825 REJECT_ALL
"""
OWN = [(int(number), name) for number, name in (line.split(" ") for line in NUMBERS.strip().splitlines())]
TABLE = [line.split(" ") for line in ROWS.strip().splitlines()]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_an_unanswered_call_ended_as_its_cause_says(row: list[str]) -> None:
    found = CAUSES[row[0]]
    assert [
        found.name,
        str(found.q850 or "-"),
        str(sip_of(found, answered=False)),
        disposition_of(found, answered=False),
        reason_of(found, answered=False),
    ] == [*row, ""][:5]


def test_there_is_no_other_cause() -> None:
    assert set(CAUSES) == {row[0] for row in TABLE}


@pytest.mark.parametrize("name", CAUSES)
def test_an_answered_call_was_answered_whatever_its_cause(name: str) -> None:
    assert disposition_of(CAUSES[name], answered=True) == Disposition.ANSWERED


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("normal_clearing", "NORMAL_CLEARING", id="lower case"),
        pytest.param("NORMAL CLEARING", "NORMAL_CLEARING", id="a space"),
        pytest.param(" Normal-Clearing ", "NORMAL_CLEARING", id="a dash"),
        pytest.param("16", "NORMAL_CLEARING", id="its number"),
        pytest.param("SWITCH_CAUSE_NORMAL_CLEARING", "NORMAL_CLEARING", id="its name in the source"),
        pytest.param("0", "NONE", id="zero"),
        pytest.param("487", "ORIGINATOR_CANCEL", id="a number above 127"),
        pytest.param("700", "CRASH", id="new number"),
        pytest.param("500", "CRASH", id="old number"),
        *[pytest.param(str(number), name, id=f"{name} by its number") for number, name in OWN],
        *[
            pytest.param(str(number - 200), name, id=f"{name} by its number before June 2022")
            for number, name in OWN
            if number != 825
        ],
        pytest.param("503", "MANAGER_REQUEST", id="old number of a request"),
    ],
)
def test_a_cause_is_known_however_it_is_spelt(text: str, name: str) -> None:
    assert cause(text) is CAUSES[name]


@pytest.mark.parametrize(
    "text", ["FOO_BAR", "999", "499", "504", "599", "625", "699", "704", "826", "99999999999999999999", "１６", "正常"]
)
def test_another_text_is_an_unknown_cause_and_no_failure(text: str) -> None:
    found = cause(text)
    assert found is not None
    assert (found.name, found.known, found.q850, found.sip) == (text, False, None, None)
    assert disposition_of(found, answered=False) == Disposition.UNKNOWN


def test_no_text_is_no_cause() -> None:
    assert cause("  ") is None
    assert (sip_of(None, answered=True), reason_of(None, answered=True)) == (None, "")
    assert disposition_of(None, answered=False) == Disposition.UNKNOWN


def test_a_normal_clearing_after_an_answer_is_the_end_of_a_200() -> None:
    found = CAUSES["NORMAL_CLEARING"]
    assert (sip_of(found, answered=True), reason_of(found, answered=True)) == (200, "normal")


@pytest.mark.parametrize(
    ("name", "denies"),
    [
        ("NORMAL_CLEARING", False),
        ("RECOVERY_ON_TIMER_EXPIRE", False),
        ("ALLOTTED_TIMEOUT", False),
        ("MANAGER_REQUEST", False),
        ("ORIGINATOR_CANCEL", True),
        ("NO_ANSWER", True),
        ("USER_BUSY", True),
        ("PICKED_OFF", True),
    ],
)
def test_some_causes_cannot_stand_on_an_answered_call(name: str, denies: bool) -> None:  # noqa: FBT001 - a table's column
    assert denies_answer(CAUSES[name]) is denies
