"""The rows in which the vendors' documented examples end."""

from typing import Any

from tests.golden.cases import HERE, load

NXCLOUD, YTX, HUAWEI = "/v1/nxcloud/cdr", "/v1/ytx", "/v1/huawei/ax"
APP_ID = "1400000000"


def printed(name: str) -> bytes:
    """Returns a body as the vendor's document prints it."""
    return load(HERE / f"{name}.json").raw.body


PUSHED = {
    NXCLOUD: ["nxcloud/cdr-N01-document-example"],
    YTX: [
        "ytx/push-V01-document-example",
        "ytx/push-W01-document-example-which-is-not-JSON",
        "ytx/push-S01-document-example",
        "ytx/push-C01-document-example",
    ],
    HUAWEI: ["huawei/ax-H01-document-example"],
}


SUCCESS = printed("tencent/getCdr-T01-document-success")
FAILURE = printed("tencent/getCdr-T02-document-failure")
SOFTPHONE: dict[str, Any] = {
    "kind": "softphone_cdr",
    "direction": "inbound",
    "from_number": "4444",
    "from_kind": "extension",
    "to_number": "6298881888",
    "to_kind": "unverified",
    "setup_at": "2019-04-17 06:54:35.000000",
    "alerting_at": None,
    "answer_at": "2019-04-17 06:54:46.000000",
    "end_at": "2019-04-17 06:54:49.000000",
    "ring_ms": 11000,
    "talk_ms": 3000,
    "billable_s": 3,
    "disposition": "answered",
    "hangup_cause": "NORMAL_CLEARING",
    "q850": 16,
    "sip_code": 200,
    "cost": None,
    "recording_state": "available",
    "agent_name": "first mobile",
    "custom_ref": "1001233",
    "quality_flags": ["number_unverified"],
    "is_final": True,
}


VOICE_CODE = {
    "kind": "voice_otp",
    "account_id": "ff8080813fc70a7b013fc72312324213",
    "direction": "outbound",
    "to_number": "2016010000000213",
    "answer_at": "2016-02-02 03:19:36.000000",
    "end_at": "2016-02-02 03:19:58.000000",
    "talk_ms": 22000,
    "vendor_duration_s": 10,
    "disposition": "answered",
    "cost": "0.06",
    "currency": "CNY",
    "quality_flags": ["duration_mismatch", "number_unverified"],
}


TWO_WAY = {
    "kind": "callback_cdr",
    "direction": "callback",
    "from_number": "+8613810603954",
    "to_number": "+8618810207016",
    "setup_at": None,
    "answer_at": "2016-02-02 03:19:40.000000",
    "end_at": "2016-02-02 03:20:40.000000",
    "talk_ms": 56000,
    "billable_s": 60,
    "disposition": "answered",
    "q850": 16,
    "cost": "2.94",
    "currency": "CNY",
    "custom_ref": "123456",
    "recording_state": "none",
    "legs.role": ["A", "B"],
    "legs.number": ["+8613810603954", "+8618810207016"],
    "legs.answer_at": ["2016-02-02 03:19:36.000000", "2016-02-02 03:19:40.000000"],
    "legs.end_at": ["2016-02-02 03:20:36.000000", "2016-02-02 03:20:40.000000"],
    "quality_flags": ["key_normalised", "placeholder", "repaired_json"],
}


STATE = {
    "kind": "callback_state",
    "direction": "callback",
    "leg": "13600007556",
    "leg_number": "+8613600007556",
    "state": "setup",
    "event_at": "2018-06-04 03:13:04.000000",
    "display_number": "+861053180002",
    "quality_flags": [],
}


PARTICIPANT = {
    "kind": "conference_leg",
    "direction": "conference",
    "conference_id": "516152",
    "answer_at": "2016-03-14 02:43:42.000000",
    "end_at": "2016-03-14 02:44:13.000000",
    "talk_ms": 31000,
    "vendor_duration_s": 31,
    "disposition": "answered",
    "cost": "0.044",
    "currency": "CNY",
    "legs.role": ["P"],
    "legs.number": ["+8615801445465"],
    "recording_state": "none",
    "quality_flags": ["placeholder"],
}


BINDING: dict[str, Any] = {
    "kind": "binding",
    "account_id": "AC5A23CF0E42435C9FF52E401EE897BC",
    "binding_state": "bound",
    "from_number": "+8618801330084",
    "privacy_number": "+8616512884987",
    "bound_at": "2022-03-03 06:22:10.000000",
    "unbound_at": None,
    "custom_ref": "1499268874687315968",
    "quality_flags": [],
}


PULLED = {
    "kind": "callback_cdr",
    "account_id": APP_ID,
    "direction": "callback",
    "from_number": "+8613500000000",
    "to_number": "+8613631234568",
    "setup_at": "2019-01-23 09:17:39.000000",
    "alerting_at": "2019-01-23 09:17:42.000000",
    "answer_at": None,
    "end_at": "2019-01-23 09:18:38.000000",
    "pdd_ms": 3000,
    "ring_ms": 56000,
    "talk_ms": None,
    "billable_s": 0,
    "disposition": "no_answer",
    "q850": 19,
    "sip_code": 480,
    "cost": None,
    "legs.role": ["A", "B"],
    "legs.disposition": ["no_answer", "unknown"],
    "source": "poll",
}


ROWS = {
    "N01 softphone record": ("v_cdr", "vendor_call_id = 'bf1b9043-cb9f-048f-cc97-0f939dc94609'", SOFTPHONE),
    "V01 voice code": ("v_cdr", "vendor_call_id = '2016010000000205'", VOICE_CODE),
    "W01 two-way call, printed as broken JSON": ("v_cdr", "vendor_call_id = '2016010000000206'", TWO_WAY),
    "S01 state": ("call_events", "vendor_call_id = '20180635240289460415365120401'", STATE),
    "C01 conference participant": ("v_cdr", "vendor_call_id = '2016010000000207'", PARTICIPANT),
    "H01 binding without a call": ("v_bindings", "binding_id = '88ec9feb-ed7d-4b0a-bf65-cc6be2b9213e'", BINDING),
    "T01 pulled record": ("v_cdr", "vendor_call_id = '12-190123-2773afbbe32943668a2fb98exxxxxx'", PULLED),
}
