"""The poller's plan for every code and every kind of page; no second of the vendor's time is left out."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.poll.planner import PAGES_MAX, Checkpoint, PollDecision, PollWindow, fresh, id_wait_s, next_step, resumed
from schemas.config.settings import PollAccount
from schemas.vendor_kit.contract import Page
from schemas.vendors.tencent import ADVICE

NOW = 1_700_000_040.0
HORIZON = 1_699_999_980  # the lag of 60 s before now
ACCOUNT = PollAccount(vendor="tencent", url="https://vendor.example", app_id="1400000000", sweep_hour_utc=-1)
ASKED = PollWindow(HORIZON - 300, HORIZON)


def asking(window: PollWindow = ASKED, **fields: object) -> Checkpoint:
    return Checkpoint(settled_s=window.start_s, todo=(window,), next_round_s=NOW + 30, **fields)  # type: ignore[arg-type]


def step(checkpoint: Checkpoint, code: str, now_s: float = NOW, **page: object) -> PollDecision:
    return next_step(checkpoint, Page(code=code, **page), now_s, account=ACCOUNT, advice=ADVICE)  # type: ignore[arg-type]


def wait_over(decision: PollDecision, now_s: float = NOW) -> PollDecision:
    return next_step(decision.checkpoint, None, now_s + decision.wait_s, account=ACCOUNT, advice=ADVICE)


def test_a_page_settles_its_window() -> None:
    decision = step(asking(), "0", records=3)
    assert decision.checkpoint.settled_s == HORIZON
    assert decision.checkpoint.todo == ()
    assert (decision.ask, decision.wait_s, decision.note) == (None, 30.0, "page")


@pytest.mark.parametrize(
    ("code", "ask", "plain", "wait_s", "note", "alert"),
    [
        pytest.param("-1", None, False, float("inf"), "stopped", "page", id="-1 version"),
        pytest.param("-2", ASKED, True, 0.0, "retry", "log", id="-2 parameter"),
        pytest.param("-201", ASKED, True, 0.0, "retry", "log", id="-201 call id, asked by window"),
        pytest.param(
            "-202", PollWindow(HORIZON - 300, HORIZON - 150), False, 0.0, "split", "log", id="-202 time stamps"
        ),
        pytest.param("-203", None, False, 1.0, "retry", "", id="-203 network"),
        pytest.param("-401", None, False, float("inf"), "stopped", "page", id="-401 appId"),
        pytest.param("-402", None, False, float("inf"), "stopped", "page", id="-402 URL"),
        pytest.param("-403", None, False, 600.0, "probe", "page", id="-403 our address"),
        pytest.param("-423", None, False, float("inf"), "stopped", "security", id="-423 blocked"),
        pytest.param("-501", None, False, 1.0, "retry", "", id="-501 server"),
        pytest.param("transport", None, False, 1.0, "retry", "", id="no answer or no page"),
        pytest.param("-999", None, False, 1.0, "retry", "log", id="a code nobody knows"),
    ],
)
def test_each_code_has_its_first_action_and_the_cursor_stays(
    code: str, ask: PollWindow | None, *, plain: bool, wait_s: float, note: str, alert: str
) -> None:
    decision = step(asking(), code)
    assert (decision.ask, decision.plain, decision.wait_s) == (ask, plain, wait_s)
    assert (decision.note, decision.alert) == (note, alert)
    assert decision.checkpoint.settled_s == ASKED.start_s


@pytest.mark.parametrize("code", ["-1", "-401", "-402", "-423"])
def test_a_stop_lasts_over_restarts_until_a_person_says_go(code: str) -> None:
    stopped = step(asking(), code).checkpoint
    again = msgspec.json.decode(msgspec.json.encode(stopped), type=Checkpoint)
    assert next_step(again, None, NOW + 10**7, account=ACCOUNT, advice=ADVICE).ask is None
    assert next_step(resumed(again), None, NOW, account=ACCOUNT, advice=ADVICE).ask == ASKED


@pytest.mark.parametrize("code", ["-2", "-201"])
def test_a_bad_parameter_is_sent_plainly_once_then_parked(code: str) -> None:
    decision = step(step(asking(), code).checkpoint, code)
    assert decision.checkpoint.parked == (ASKED,)
    assert (decision.checkpoint.settled_s, decision.note, decision.alert) == (HORIZON, "parked", "log")
    assert decision.checkpoint.trouble is None


def test_bad_time_stamps_halve_the_window_and_park_the_half_that_fails_again() -> None:
    split = step(asking(), "-202")
    parked = step(split.checkpoint, "-202")
    assert parked.checkpoint.parked == (PollWindow(HORIZON - 300, HORIZON - 150),)
    assert parked.ask == PollWindow(HORIZON - 150, HORIZON)
    assert step(parked.checkpoint, "0").checkpoint.settled_s == HORIZON


def test_a_network_fault_backs_off_to_five_minutes_without_end() -> None:
    waits = list(waits_of("-203", 12))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("code", ["-501", "transport"])
def test_a_server_fault_is_probed_every_minute_after_ten_tries(code: str) -> None:
    assert list(waits_of(code, 13)) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 60, 60, 60]


def test_an_unlisted_address_is_probed_every_ten_minutes_and_goes_on_by_itself() -> None:
    first = step(asking(), "-403")
    second = step(wait_over(first).checkpoint, "-403", NOW + 600)
    assert (second.wait_s, second.alert) == (600.0, "")
    assert step(wait_over(second, NOW + 600).checkpoint, "0", NOW + 1200).checkpoint.trouble is None


def test_an_unknown_code_is_tried_three_times_then_parked() -> None:
    decision = step(asking(), "-999")
    for _ in range(2):
        decision = step(wait_over(decision).checkpoint, "-999")
        assert decision.note == "retry"
    decision = step(wait_over(decision).checkpoint, "-999")
    assert (decision.note, decision.checkpoint.parked) == ("parked", (ASKED,))


def test_jitter_only_lengthens() -> None:
    page = Page(code="-203")
    waited = [next_step(asking(), page, NOW, account=ACCOUNT, advice=ADVICE, jitter=j).wait_s for j in (0.0, 0.5, 0.99)]
    assert waited == sorted(waited)
    assert 1.0 <= waited[0] <= waited[-1] < 1.25 + 1e-6


def waits_of(code: str, times: int) -> Iterator[float]:
    checkpoint, now_s = asking(), NOW
    for _ in range(times):
        decision = step(checkpoint, code, now_s)
        yield round(decision.wait_s, 3)
        now_s += decision.wait_s
        checkpoint = decision.checkpoint


def test_a_window_goes_on_from_a_cursor_that_is_a_later_start_time() -> None:
    cursor = HORIZON - 100
    decision = step(asking(), "0", records=500, cursor=str(cursor))
    assert (decision.ask, decision.note) == (PollWindow(cursor, HORIZON), "more")
    assert decision.checkpoint.settled_s == cursor


def turned(checkpoint: Checkpoint, token: str, **page: object) -> PollDecision:
    answer = Page(code="0", records=9, **page)  # type: ignore[arg-type]
    return next_step(checkpoint, answer, NOW, account=ACCOUNT, advice=ADVICE, token=token)


def test_pages_of_a_window_are_asked_for_by_their_tokens() -> None:
    second = turned(asking(), "t2", cursor="x")
    assert (second.ask, second.token, second.note) == (ASKED, "t2", "more")
    assert second.checkpoint.settled_s == ASKED.start_s, "nothing is settled before the last page"
    third = turned(second.checkpoint, "t3")
    assert (third.ask, third.token) == (ASKED, "t3")
    last = turned(third.checkpoint, "")
    assert (last.ask, last.token, last.checkpoint.settled_s) == (None, "", HORIZON)
    assert (last.checkpoint.token, last.checkpoint.pages) == ("", 0)


def test_a_page_that_fails_is_asked_for_again_by_its_token() -> None:
    second = turned(asking(), "t2")
    failed = step(second.checkpoint, "-203")
    assert wait_over(failed).token == "t2"


def test_a_new_window_begins_with_its_first_page() -> None:
    second = turned(asking(), "t2")
    halved = step(second.checkpoint, "-202")
    assert (halved.ask, halved.token) == (PollWindow(HORIZON - 300, HORIZON - 150), "")


def test_tokens_that_lead_nowhere_park_the_window() -> None:
    second = turned(asking(), "t2")
    same = turned(second.checkpoint, "t2")
    assert (same.note, same.alert, same.checkpoint.parked, same.checkpoint.token) == ("parked", "page", (ASKED,), "")
    circle = turned(asking(token="a", pages=PAGES_MAX), "b")
    assert (circle.note, circle.checkpoint.parked) == ("parked", (ASKED,))


def test_a_checkpoint_from_before_there_were_tokens_is_read() -> None:
    assert msgspec.json.decode(b'{"settled_s":7}', type=Checkpoint) == Checkpoint(settled_s=7)


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(str(ASKED.start_s), id="equal to the last start"),
        pytest.param(str(ASKED.start_s - 1), id="before the start"),
        pytest.param(str(HORIZON), id="at the end"),
        pytest.param("500", id="a count"),
        pytest.param("next-page", id="a token"),
    ],
)
def test_a_cursor_without_progress_bisects(cursor: str) -> None:
    decision = step(asking(), "0", records=500, cursor=cursor)
    assert decision.checkpoint.todo == (PollWindow(HORIZON - 300, HORIZON - 150), PollWindow(HORIZON - 150, HORIZON))
    assert (decision.note, decision.alert) == ("no_progress", "log")
    assert decision.checkpoint.settled_s == ASKED.start_s


def test_a_single_second_that_does_not_fit_a_page_is_parked_and_paged() -> None:
    second = PollWindow(HORIZON - 1, HORIZON)
    decision = step(asking(second), "0", records=500, cursor="x")
    assert (decision.checkpoint.parked, decision.note, decision.alert) == ((second,), "parked", "page")


def test_parked_neighbours_become_one_window() -> None:
    left = asking(PollWindow(100, 200), parked=(PollWindow(0, 50), PollWindow(200, 300)))
    decision = step(step(left, "-2").checkpoint, "-2")
    assert decision.checkpoint.parked == (PollWindow(0, 50), PollWindow(100, 300))


def test_resuming_asks_for_what_was_parked() -> None:
    checkpoint = Checkpoint(settled_s=HORIZON, parked=(PollWindow(100, 200),), next_round_s=NOW + 30)
    assert next_step(resumed(checkpoint), None, NOW, account=ACCOUNT, advice=ADVICE).ask == PollWindow(100, 200)


def test_windows_lie_on_the_grid_of_epoch_seconds() -> None:
    decision = next_step(Checkpoint(settled_s=HORIZON - 1500), None, NOW, account=ACCOUNT, advice=ADVICE)
    cuts = [window.start_s for window in decision.checkpoint.todo if window.start_s >= HORIZON - 1500]
    assert cuts[0] == HORIZON - 1500
    assert all(cut % 600 == 0 for cut in cuts[1:])


def test_each_window_of_the_overlap_is_asked_again_the_younger_the_oftener() -> None:
    """A call that appears late is found, although its window was settled long ago."""
    checkpoint, now_s, asked = Checkpoint(settled_s=HORIZON), NOW, dict[PollWindow, int]()
    for _ in range(64):
        now_s += 30
        decision = next_step(checkpoint, None, now_s, account=ACCOUNT, advice=ADVICE)
        while decision.ask:
            asked[decision.ask] = asked.get(decision.ask, 0) + 1
            decision = step(decision.checkpoint, "0", now_s)
        checkpoint = decision.checkpoint
    covered = {second for window in asked for second in range(window.start_s, window.end_s, 60)}
    assert set(range(HORIZON // 600 * 600 - 7200, HORIZON, 60)) <= covered
    assert sum(asked.values()) < 64 * 6


def test_once_a_day_the_whole_last_day_is_swept() -> None:
    account = msgspec.structs.replace(ACCOUNT, sweep_hour_utc=22)  # it is 22:14 UTC
    before = Checkpoint(settled_s=HORIZON, swept_day=int(NOW) // 86_400 - 1)
    after = next_step(before, None, NOW, account=account, advice=ADVICE).checkpoint
    assert min(after.todo).start_s <= HORIZON - 86_400
    assert after.swept_day == int(NOW) // 86_400
    early = next_step(before, None, NOW - 3600, account=account, advice=ADVICE).checkpoint
    assert early.swept_day == before.swept_day


def test_years_are_caught_up_in_rounds_of_bounded_size() -> None:
    decision = next_step(Checkpoint(settled_s=HORIZON - 10**8), None, NOW, account=ACCOUNT, advice=ADVICE)
    assert len(decision.checkpoint.todo) <= 300
    assert decision.checkpoint.next_round_s == NOW


def test_a_first_start_looks_back_one_overlap_or_to_the_time_that_is_set() -> None:
    assert fresh(ACCOUNT, NOW).settled_s == int(NOW) - 7200
    assert fresh(ACCOUNT, NOW, 1_600_000_000).settled_s == 1_600_000_000


def test_a_call_is_asked_for_by_its_id_seven_times_in_half_an_hour_then_not_found() -> None:
    waits = [id_wait_s(ADVICE["-201"], tries) for tries in range(1, 8)]
    assert waits == [20, 40, 80, 160, 320, 600, None]


ANSWERS = st.one_of(
    st.just(("0", "")),
    st.sampled_from([(code, "") for code in ADVICE if code and ADVICE[code].action != "stop"] + [("-999", "")]),
    st.integers(-5, 900).map(lambda shift: ("0", f"{shift:+d}")),
)


@settings(max_examples=200)
@given(st.lists(ANSWERS, max_size=120), st.integers(0, 50_000), st.floats(0, 0.99))
def test_every_second_is_answered_for_or_parked_after_any_failures(
    answers: list[tuple[str, str]], behind_s: int, jitter: float
) -> None:
    """The checkpoint goes through JSON at each step, as it does over a restart."""
    begin, now_s = int(NOW) - behind_s, NOW
    had: list[PollWindow] = []
    script = iter(answers)
    decision = next_step(fresh(ACCOUNT, NOW, begin), None, now_s, account=ACCOUNT, advice=ADVICE, jitter=jitter)
    for _ in range(3_000):
        checkpoint = msgspec.json.decode(msgspec.json.encode(decision.checkpoint), type=Checkpoint)
        json.dumps(msgspec.to_builtins(checkpoint))
        if decision.ask is None:
            if next(script, None) is None and checkpoint.settled_s >= int(now_s) - ACCOUNT.lag_s - 60:
                break
            now_s += decision.wait_s
            decision = next_step(checkpoint, None, now_s, account=ACCOUNT, advice=ADVICE, jitter=jitter)
            continue
        code, cursor = next(script, ("0", ""))
        at = str(decision.ask.start_s + int(cursor)) if cursor else ""
        page = Page(code=code, cursor=at)
        if code == "0":
            good = at and decision.ask.start_s < int(at) < decision.ask.end_s
            if not at or good:
                had.append(PollWindow(decision.ask.start_s, int(at) if good else decision.ask.end_s))
        decision = next_step(checkpoint, page, now_s, account=ACCOUNT, advice=ADVICE, jitter=jitter)
    else:
        pytest.fail("never caught up")
    reach = begin
    for window in sorted([*had, *decision.checkpoint.parked]):
        if window.start_s <= reach:
            reach = max(reach, window.end_s)
    assert reach >= decision.checkpoint.settled_s
