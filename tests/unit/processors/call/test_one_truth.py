"""Records whose contents disagree, up to the rows: one is shown whole, all can be read, an operator decides."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest

from processors.call.contents import Item, item_of
from schemas.facts import Disposition, Fact, Flag
from schemas.resolution import CALLBACK, Resolution
from tests.support.payloads.whole_rows import GONE, RECEIVED, Rows, Sent, beijing, changed, epoch, printed

OUTCOME = (
    "disposition", "answer_at", "end_at", "talk_ms", "legs", "hangup_cause", "q850", "sip_code", "hangup_reason", "hangup_party",
    "billable_s", "billable_source", "vendor_duration_s", "cost", "currency",
)  # fmt: skip
"""Fields that must come from one content."""


def softphone(**changes: Any) -> Sent:
    answered = {
        "sessionid": "n-1", "start_time": str(epoch(0)), "answer_time": str(epoch(10)), "end_time": str(epoch(45)), "duration": 35,
        "hangup_cause": "NORMAL_CLEARING",
    }  # fmt: skip
    return Sent("nxcloud", "cdr", changed({**printed("nxcloud", "cdr-N01-document-example"), **answered}, **changes))


def silent(**changes: Any) -> Sent:
    """The same call unanswered."""
    nobody = {"answer_time": "", "end_time": str(epoch(20)), "duration": 0, "hangup_cause": "NO_ANSWER"}
    return softphone(**{**nobody, **changes})


def two_way(**changes: Any) -> Sent:
    answered = {
        "requestid": "y-1", "callerstime": beijing(0), "calleretime": beijing(70), "calledstime": beijing(10),
        "calledetime": beijing(70), "duration": "70", "oriamount": "2.94", "stateDesc": "应答|正常",
    }  # fmt: skip
    element = changed({**printed("ytx", "push-W02-the-same-in-valid-JSON"), **answered}, **changes)
    return Sent("ytx", "push", {"cdr": [element]})


def unanswered(**changes: Any) -> Sent:
    """The same call whose B was called and did not answer."""
    return two_way(**{"calledstime": "", "calledetime": "", "stateDesc": "应答|无人接听", **changes})


def voice_code(**changes: Any) -> Sent:
    element = changed(
        {**printed("ytx", "push-V01-document-example"), "requestid": "v-1", "stime": beijing(0), "etime": beijing(20)},
        **changes,
    )
    return Sent("ytx", "push", {"cdr": [element]})


def privacy(*, revised: float, **changes: Any) -> Sent:
    row = {
        "sessionId": "s-1", "callinTime": epoch(0) * 1000, "answerTime": epoch(5) * 1000, "disconnectTime": epoch(65) * 1000,
        "updatedAt": epoch(revised) * 1000,
    }  # fmt: skip
    return Sent("huawei", "ax", changed({**printed("huawei", "ax-H01-document-example"), **row}, **changes))


def page(*, after_s: float = 0, source: Any = "poll", **changes: Any) -> Sent:
    row = {"startSrcCallTime": str(epoch(0)), "startSrcRingTime": str(epoch(2)), "endCallTime": str(epoch(90))}
    element = changed({**printed("tencent", "getCdr-T01-document-success"), **row}, **changes)
    document = {"result": "ok", "errorCode": "0", "offset": "0", "cdr": [element]}
    return Sent("tencent", "getCdr", document, source=source, after_s=after_s)


TALKED: dict[str, Any] = {
    "srcAcceptTime": str(epoch(10)), "startDstCallTime": str(epoch(11)), "startDstRingTime": str(epoch(13)),
    "dstAcceptTime": str(epoch(30)), "duration": "60", "callEndStatus": "0",
}  # fmt: skip
FINAL, FIELD = Flag.CONFLICT_FINAL, Flag.FIELD_CONFLICT

DISAGREE: dict[str, tuple[Sequence[Sent], int, Flag, dict[str, Any]]] = {
    "C1 unanswered, then answered": (
        (silent(), softphone()), 0, FINAL,
        {"disposition": Disposition.NO_ANSWER, "answer_at": None, "talk_ms": None, "billable_s": 0},
    ),
    "C1 answered, then unanswered": (
        (softphone(), silent()), 0, FINAL, {"disposition": Disposition.ANSWERED, "talk_ms": 35_000, "billable_s": 35},
    ),
    "C1 unanswered with the end and the seconds of the answered one": (
        (silent(end_time=str(epoch(45)), duration=GONE), softphone(duration=GONE)), 0, FINAL,
        {"answer_at": None, "talk_ms": None, "billable_s": 0},
    ),
    "C1 answered, then cancelled, which names no reason": (
        (softphone(hangup_cause=""), silent(hangup_cause="")), 0, FINAL, {"disposition": Disposition.ANSWERED, "talk_ms": 35_000},
    ),
    "C1 three of them": (
        (silent(), softphone(), silent(hangup_cause="USER_BUSY", duration=3)), 0, FINAL,
        {"disposition": Disposition.NO_ANSWER, "hangup_cause": "NO_ANSWER", "billable_s": 0},
    ),
    "C2 a two-way call unanswered, then answered: legs, too": (
        (unanswered(), two_way()), 0, FINAL, {"disposition": Disposition.NO_ANSWER, "answer_at": None, "talk_ms": None},
    ),
    "C2 answered, then unanswered": (
        (two_way(), unanswered()), 0, FINAL, {"disposition": Disposition.ANSWERED, "talk_ms": 60_000},
    ),
    "C2 unanswered and free, then answered and charged": (
        (unanswered(oriamount="0.00", duration="0"), two_way()), 0, FINAL,
        {"disposition": Disposition.NO_ANSWER, "answer_at": None, "cost": Decimal(0)},
    ),
    "C2 a voice code nobody heard, then heard": (
        (voice_code(stime=""), voice_code()), 0, FINAL, {"disposition": Disposition.NO_ANSWER, "answer_at": None, "talk_ms": None},
    ),
    "C3 a revision takes the answer back": (
        (privacy(revised=70), privacy(revised=80, answerTime=None)), 1, FINAL,
        {"disposition": Disposition.NO_ANSWER, "answer_at": None, "talk_ms": None, "billable_s": 0},
    ),
    "C3 the older revision comes last": (
        (privacy(revised=80, answerTime=None), privacy(revised=70)), 0, FINAL, {"answer_at": None, "talk_ms": None, "billable_s": 0},
    ),
    "C3 a revision adds the answer": (
        (privacy(revised=70, answerTime=None), privacy(revised=80)), 1, FINAL,
        {"disposition": Disposition.ANSWERED, "talk_ms": 60_000, "billable_s": 60},
    ),
    "C3 a revision moves the end": (
        (privacy(revised=70), privacy(revised=80, disconnectTime=epoch(35) * 1000)), 1, FINAL, {"talk_ms": 30_000, "billable_s": 30},
    ),
    "C4 not answered, then busy": (
        (silent(), silent(hangup_cause="USER_BUSY")), 0, FIELD, {"disposition": Disposition.NO_ANSWER, "hangup_cause": "NO_ANSWER"},
    ),
    "C4 rejected, then not answered": (
        (silent(hangup_cause="CALL_REJECTED"), silent()), 0, FIELD, {"disposition": Disposition.REJECTED},
    ),
    "C4 B switched off, then B declined": (
        (unanswered(stateDesc="应答|关机"), unanswered(stateDesc="应答|用户拒接")), 0, FIELD, {"disposition": Disposition.UNREACHABLE},
    ),
    "C4 answered, cleared in two ways": (
        (softphone(), softphone(hangup_cause="MEDIA_TIMEOUT")), 0, FIELD, {"hangup_cause": "NORMAL_CLEARING"},
    ),
    "C5 an empty page, then the call": (
        (page(), page(after_s=60, **TALKED)), 1, FINAL, {"disposition": Disposition.ANSWERED, "talk_ms": 60_000, "billable_s": 60},
    ),
    "C5 the call, then an empty page": (
        (page(**TALKED), page(after_s=60)), 1, FINAL, {"answer_at": None, "talk_ms": None, "vendor_duration_s": 0},
    ),
    "C5 polled, then filled in later with other seconds": (
        (page(**TALKED), page(after_s=86_400, source="backfill", **{**TALKED, "duration": "61"})), 1, FINAL, {"vendor_duration_s": 61},
    ),
    "C5 three pages: the last one": (
        (page(), page(after_s=60, **TALKED), page(after_s=120, **{**TALKED, "duration": "120"})), 2, FINAL, {"vendor_duration_s": 120},
    ),
    "two costs: the first": (
        (two_way(), two_way(oriamount="0.00")), 0, FINAL, {"cost": Decimal("2.94")},
    ),
    "the cost in two currencies' amounts and other seconds": (
        (two_way(duration="60"), two_way(oriamount="9.99")), 0, FINAL, {"cost": Decimal("2.94"), "vendor_duration_s": 60},
    ),
}  # fmt: skip


def single(body: Sent) -> Fact:
    """The row of this body alone."""
    return Rows().take([body]).record


def outcome(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in OUTCOME}


@pytest.mark.parametrize(("sent", "best", "flag", "expected"), DISAGREE.values(), ids=DISAGREE.keys())
def test_one_content_is_shown_whole(sent: Sequence[Sent], best: int, flag: Flag, expected: dict[str, Any]) -> None:
    """The winner is the same in record and call, in whatever order they reach the joiner."""
    whole = outcome(single(sent[best]))
    for order in permutations(range(len(sent))):
        rows = Rows().take(sent, order=order)

        assert outcome(rows.record) == whole, order
        assert {name: getattr(rows.timeline, name) for name in whole if name != "legs"} | {
            "legs": whole["legs"]
        } == whole
        assert {name: getattr(rows.record, name) for name in expected} == expected
        assert flag in rows.record.quality_flags
        assert flag in rows.timeline.quality_flags


@pytest.mark.parametrize(("sent", "best", "flag", "expected"), DISAGREE.values(), ids=DISAGREE.keys())
def test_c6_every_content_can_be_read(sent: Sequence[Sent], best: int, flag: Flag, expected: object) -> None:
    """Each content has its own place, receipt and digest; the row has those of the one it shows."""
    row = Rows().take(sent).record
    alone = [single(body) for body in sent]

    assert [content.is_shown for content in row.contents] == [True] + [False] * (len(sent) - 1)
    assert {content.digest for content in row.contents} == {fact.content_digest for fact in alone}
    assert {content.raw_offset for content in row.contents} == set(range(len(sent)))
    for content in row.contents:
        expected = alone[content.raw_offset]
        assert {name: getattr(content, name) for name in ("disposition", "answer_at", "end_at", "talk_ms", "cost", "billable_s")} == {
            name: getattr(expected, name) for name in ("disposition", "answer_at", "end_at", "talk_ms", "cost", "billable_s")
        }  # fmt: skip
    shown = row.contents[0]
    assert (shown.digest, shown.raw_offset, shown.received_at) == (row.content_digest, row.raw_offset, row.received_at)
    assert row.raw_offset == best


AGREE: dict[str, tuple[Sequence[Sent], dict[str, Any]]] = {
    "W40 the reason comes later": (
        (silent(hangup_cause=""), silent()), {"hangup_cause": "NO_ANSWER", "q850": 19},
    ),
    "the cost comes later": ((two_way(oriamount=""), two_way()), {"cost": Decimal("2.94"), "currency": "CNY"}),
    "N37 the recording comes later": (
        (softphone(record_url=""), softphone(record_url="https://rec.example/1")), {"recording_url": "https://rec.example/1"},
    ),
    "a call in progress, then its record": (
        (two_way(calledstime="", calledetime="", calleretime="", duration="", oriamount="", stateDesc="正在处理中"), two_way()),
        {"disposition": Disposition.ANSWERED, "talk_ms": 60_000, "cost": Decimal("2.94")},
    ),
    "the row of a call that is not over, then of one that is": (
        (privacy(revised=10, disconnectTime=None), privacy(revised=70)), {"talk_ms": 60_000, "billable_s": 60},
    ),
    "a repetition": ((two_way(), two_way()), {"cost": Decimal("2.94")}),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), AGREE.values(), ids=AGREE.keys())
def test_contents_that_agree_complete_each_other(sent: Sequence[Sent], expected: dict[str, Any]) -> None:
    for order in permutations(range(len(sent))):
        rows = Rows().take(sent, order=order)

        assert {name: getattr(rows.record, name) for name in expected} == expected
        assert {FINAL, FIELD}.isdisjoint(rows.record.quality_flags)
        assert rows.record.contents == ()


def decision(row: Fact, keep: str, *, after_s: float, account: str = "") -> Sent:
    made = Resolution(
        record_id=row.fact_id,
        call_key=row.call_key,
        kind=row.kind,
        keep=keep,
        resolved_at=RECEIVED,
        note=f"at {after_s:g} s",
    )
    return Sent(row.vendor, CALLBACK, msgspec.json.encode(made), account=account, after_s=after_s)


def digests(sent: Sequence[Sent]) -> list[str]:
    return [single(body).content_digest for body in sent]


@pytest.mark.parametrize(("sent", "best", "flag", "expected"), DISAGREE.values(), ids=DISAGREE.keys())
def test_a_decision_settles_a_conflict(sent: Sequence[Sent], best: int, flag: Flag, expected: object) -> None:
    """Whichever content is kept is shown whole; the conflict is over, and all contents stay readable."""
    before = Rows().take(sent)
    for kept in range(len(sent)):
        bodies = [*sent, decision(before.record, digests(sent)[kept], after_s=100_000)]
        rows = Rows().take(bodies)

        assert outcome(rows.record) == outcome(single(sent[kept]))
        assert Flag.CONFLICT_RESOLVED in rows.record.quality_flags
        assert FINAL not in rows.record.quality_flags
        assert Flag.CONFLICT_RESOLVED in rows.timeline.quality_flags
        assert FINAL not in rows.timeline.quality_flags
        assert len(rows.record.contents) == len(sent)
        assert rows.record.contents[0].digest == digests(sent)[kept]
        assert rows.record.version > before.record.version
        assert rows.timeline.version > before.timeline.version
        for order in permutations(range(len(bodies))):
            again = Rows().take(bodies, order=order)
            assert (again.record, again.timeline) == (rows.record, rows.timeline), order


PAIR = (unanswered(), two_way())


def test_the_newest_decision_counts() -> None:
    row = Rows().take(PAIR).record
    first, second = digests(PAIR)
    bodies = [*PAIR, decision(row, first, after_s=50), decision(row, second, after_s=60)]
    for order in permutations(range(4)):
        assert Rows().take(bodies, order=order).record.content_digest == second


@pytest.mark.parametrize(
    ("record_id", "keep"),
    [("", "0" * 32), ("11111111-1111-5111-8111-111111111111", "")],
    ids=["names a content that nobody sent", "names a record that nobody sent"],
)
def test_a_decision_on_something_else_changes_nothing(record_id: str, keep: str) -> None:
    before = Rows().take(PAIR)
    row = before.record
    made = Resolution(
        record_id=record_id or row.fact_id, call_key=row.call_key, kind=row.kind, keep=keep or row.content_digest, resolved_at=RECEIVED
    )  # fmt: skip
    rows = Rows().take([*PAIR, Sent("ytx", CALLBACK, msgspec.json.encode(made), after_s=99)])

    assert outcome(rows.record) == outcome(row)
    assert rows.record.quality_flags == row.quality_flags
    assert rows.timeline.fact_count == 2


def test_an_unknown_decision_leaves_the_one_before_it_standing() -> None:
    row = Rows().take(PAIR).record
    second = digests(PAIR)[1]
    rows = Rows().take([*PAIR, decision(row, second, after_s=50), decision(row, "f" * 32, after_s=60)])

    assert rows.record.content_digest == second


def test_a_decision_that_comes_first_waits_for_its_record() -> None:
    """A decision alone publishes nothing, makes no call, and is forgotten in time."""
    row = Rows().take(PAIR).record
    rows = Rows().take([decision(row, digests(PAIR)[1], after_s=0)])
    assert (rows.records, rows.timelines) == ({}, {})
    assert (rows.held.items["ytx", "fact"], +rows.held.phases) == (1, {"final": 1})

    waited = rows.take(PAIR, now_ms=86_400_000 * 2)
    assert Flag.CONFLICT_RESOLVED in waited.record.quality_flags
    assert {FINAL, Flag.LATE}.isdisjoint(waited.record.quality_flags)
    assert outcome(waited.record) == outcome(single(PAIR[1]))


def test_a_decision_alone_expires() -> None:
    rows = Rows().take([decision(single(PAIR[0]), "0" * 32, after_s=0)])
    rows.held.take_changed()
    rows.wait(8 * 86_400_000)

    assert (rows.records, rows.timelines, len(rows.held)) == ({}, {}, 0)
    assert list(rows.held.take_changed().values()) == [None]
    assert (len(rows.held), +rows.held.items, +rows.held.phases) == (0, {}, {})


def test_news_after_a_decision_are_a_conflict_again() -> None:
    """A decision covers the contents known then; a further correction needs another one."""
    row = Rows().take(PAIR).record
    kept = digests(PAIR)[1]
    bodies = [*PAIR, decision(row, kept, after_s=50), two_way(oriamount="9.99")]
    late = Sent("ytx", "push", bodies[-1].document, after_s=60)
    rows = Rows().take([*bodies[:-1], late])

    assert {FINAL, Flag.CONFLICT_RESOLVED} <= set(rows.record.quality_flags)
    assert rows.record.content_digest == kept
    assert len(rows.record.contents) == 3


def test_a_decision_on_contents_that_agree_says_nothing() -> None:
    sent = (two_way(oriamount=""), two_way())
    row = Rows().take(sent).record
    rows = Rows().take([*sent, decision(row, row.content_digest, after_s=50)])

    assert (rows.record.quality_flags, rows.record.contents) == (row.quality_flags, ())


def test_a_decision_is_counted_as_one_fact_and_its_repetition_as_a_duplicate() -> None:
    row = Rows().take(PAIR).record
    chosen = decision(row, digests(PAIR)[1], after_s=50)
    rows = Rows().take([*PAIR, chosen, chosen])

    assert (rows.held.items["ytx", "fact"], rows.held.items["ytx", "duplicate"], rows.dead) == (3, 1, [])
    assert rows.timeline.fact_count == 2


def test_a_decision_after_the_call_was_closed_is_not_late() -> None:
    rows = Rows().take(PAIR)
    row, call = rows.record, rows.timeline
    rows.take([decision(row, digests(PAIR)[1], after_s=50)], now_ms=3 * 86_400_000)

    assert (rows.timeline.phase, Flag.LATE in rows.timeline.quality_flags) == (call.phase, False)
    assert Flag.CONFLICT_RESOLVED in rows.timeline.quality_flags


def test_a_kept_content_that_a_mended_mapping_reads_anew_stays_kept() -> None:
    """The decision names the digest of the old reading, and means its raw element."""
    rows = Rows().take(PAIR)
    kept = single(PAIR[1])
    rows.take([decision(rows.record, kept.content_digest, after_s=50)])
    in_place = next(content for content in rows.record.contents if content.is_shown)
    anew = msgspec.structs.replace(
        kept, adapter_version=kept.adapter_version + 1, content_digest="e" * 32, hangup_reason="mended",
        raw_offset=in_place.raw_offset, received_at=in_place.received_at,
    )  # fmt: skip
    rows.join(anew)

    assert rows.record.content_digest == anew.content_digest
    assert Flag.CONFLICT_RESOLVED in rows.record.quality_flags
    assert len(rows.record.contents) == 2


def test_an_item_tells_contents_from_decisions() -> None:
    assert item_of(()) == Item(contents=())
