"""The words by which people head the columns of a table of calls, in Chinese and in English, as data. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

CALL_ID, FROM, TO = "call_id", "from_number", "to_number"
START, START_DATE, START_TIME = "start_at", "start_date", "start_time"
ANSWER, END = "answer_at", "end_at"
BILLED, BILLED_MIN = "billed_s", "billed_min"
COST, COST_CENTS, CURRENCY = "cost", "cost_cents", "currency"

MEANINGS: Final[Mapping[str, str]] = {
    CALL_ID: "the vendor's id of the call",
    FROM: "who called",
    TO: "who was called",
    START: "the call's first instant",
    START_DATE: "the day of that instant",
    START_TIME: "the time of that day",
    ANSWER: "when the called party answered",
    END: "when the call ended",
    BILLED: "billed seconds, also as mm:ss or hh:mm:ss",
    BILLED_MIN: "billed minutes",
    COST: "what the call costs",
    COST_CENTS: "the same in hundredths of the currency",
    CURRENCY: "its currency",
}
"""The meanings that a column may have, with a sentence each."""
_WORDS: Final[Mapping[str, str]] = {
    CALL_ID: """
        通话id 呼叫id 话单id 话单号 话单编号 通话标识 呼叫标识 通话流水号 流水号 呼叫流水号 会话id 会话标识 记录id 请求id 唯一标识 通话唯一标识
        callid calluuid uuid callsid sessionid requestid recordid cdrid uniqueid callreference callidentifier
    """,
    FROM: """
        主叫 主叫号码 主叫号 主叫电话 主叫方 主叫方号码 呼叫号码 a号码 caller callernumber callingnumber callingparty callingpartynumber cli ani from
        fromnumber source src anumber callerid originatingnumber
    """,
    TO: """
        被叫 被叫号码 被叫号 被叫电话 被叫方 被叫方号码 接听号码 b号码 called callednumber calledparty calledpartynumber callee calleenumber to
        tonumber destination destinationnumber dst dnis bnumber dialednumber
    """,
    START: """
        开始时间 通话开始时间 呼叫时间 呼叫开始时间 发起时间 呼叫发起时间 起始时间 拨打时间 通话时间 start starttime startat startdatetime starttimestamp
        calldate calltime callstart callstarttime setuptime setupat datetime begintime
    """,
    START_DATE: "日期 通话日期 呼叫日期 开始日期 date callday startdate",
    START_TIME: "时间 时刻 开始时刻 time timeofday",
    ANSWER: "应答时间 接通时间 接听时间 被叫应答时间 被叫接通时间 answer answertime answeredat answerat connecttime connectedat answerdatetime",
    END: "结束时间 通话结束时间 挂断时间 挂机时间 呼叫结束时间 释放时间 终止时间 end endtime endat endedat hanguptime disconnecttime releasetime stoptime",
    BILLED: """
        时长 通话时长 计费时长 通话时长秒 计费时长秒 时长秒 计费秒数 通话秒数 秒数 duration durations durationsec durationseconds billsec billedseconds
        billedduration billableseconds billeddurations chargeduration chargeableduration seconds talktime billingduration
    """,
    BILLED_MIN: "计费分钟 计费分钟数 通话分钟 通话分钟数 分钟数 时长分钟 通话时长分钟 计费时长分钟 minutes billedminutes durationmin durationminutes",
    COST: """
        费用 通话费用 金额 话费 费用元 金额元 通话费用元 通话费 计费金额 消费金额 实际费用 扣费 扣费金额 cost price amount charge fee callcost
        totalcost totalcharge chargedamount billedamount
    """,
    COST_CENTS: "费用分 金额分 通话费用分 话费分 costcents amountcents pricecents",
    CURRENCY: "币种 货币 currency currencycode",
}
_MEANING: Final[Mapping[str, str]] = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
_BETWEEN: Final = re.compile(r"[\W_]+")
_BILL: Final = re.compile(r"计费|扣费|bill|charge")
_TOTALS: Final = frozenset({"合计", "总计", "小计", "共计", "汇总", "total", "totals", "sum", "grandtotal", "subtotal"})


def plain_word(text: str) -> str:
    """Returns a heading without case, spaces, brackets and signs: "通话时长（秒）" is "通话时长秒"."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text[:200]).lower())


def meaning_of(heading: str) -> str:
    """Returns the meaning of a heading, "" for a word that is none of those known."""
    return _MEANING.get(plain_word(heading), "")


def says_bill(heading: str) -> bool:
    """True for a heading that speaks of a bill: "计费时长" beside "通话时长" is what the carrier charges for."""
    return bool(_BILL.match(plain_word(heading)))


def is_total(cells: list[str]) -> bool:
    """True for a line of sums at the end of a table, whose first cells say so."""
    first = next((cell for cell in cells if cell), "")
    if first[:1].isdecimal():  # as nearly all rows begin
        return False
    return plain_word(first) in _TOTALS or plain_word(first).startswith(("合计", "总计"))
