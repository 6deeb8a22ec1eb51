"""Plans what a poller asks next: pure decisions over a checkpoint, a page and the time; no I/O, no clock, no vendor.

Time is cut into windows on a fixed grid of epoch seconds, so that no host's time zone moves them. New windows come
first, in order; then those of the overlap, older ones more rarely; once a day all windows of the last day. A window
leaves the list only when its page was received or it was parked for a person to see: `settled_s` passes nothing else.
The reaction to a vendor's code comes from the vendor's file (`Poll.advice`).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import msgspec

from schemas.backoff import Backoff
from schemas.config.settings import PollAccount
from schemas.vendor_kit.contract import Advice, Page

TRANSPORT: Final = "transport"
"""Code of a response that is no page, and of a missing response."""
PROBE_S: Final = 60.0
DAY_S: Final = 86_400
ROUND_MAX: Final = 300
"""Most windows of one round, so that a checkpoint stays small while years are caught up."""
PAGES_MAX: Final = 10_000
"""Most pages of one window that are asked for by tokens; a vendor that has more goes round in circles."""


class PollWindow(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Start times from `start_s` up to, not including, `end_s`; epoch seconds."""

    start_s: int
    end_s: int


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """State after a response that was not a page."""

    code: str
    tries: int
    until_s: float = 0.0
    """Nothing is asked before this time."""
    plain: bool = False
    """True when the next request leaves out what is optional."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """All that a poller must remember over a restart."""

    settled_s: int
    """Every start time before this one was received, or is parked."""
    todo: tuple[PollWindow, ...] = ()
    rounds: int = 0
    next_round_s: float = 0.0
    swept_day: int = 0
    """The last UTC day (since 1970) whose sweep was planned."""
    parked: tuple[PollWindow, ...] = ()
    """Windows that the vendor refused for good: a person must look."""
    trouble: Trouble | None = None
    stopped: str = ""
    """The code that stopped the poller until a person starts it again; "" while it runs."""
    token: str = ""
    """The vendor's token of the page that is asked for next in the first window of `todo`; "" for its first page."""
    pages: int = 0
    """The pages of that window that came before."""


class PollDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The next action: ask for `ask`, or wait `wait_s` (for ever when stopped)."""

    checkpoint: Checkpoint
    ask: PollWindow | None = None
    token: str = ""
    """The page of the window to ask for, "" for the first one."""
    plain: bool = False
    wait_s: float = 0.0
    note: str = ""
    """The event for the log: page, more, split, no_progress, retry, parked, probe, stopped, or ""."""
    alert: str = ""
    """The urgency for people: "", log, page, or security."""


class _Step(msgspec.Struct, frozen=True):
    checkpoint: Checkpoint
    note: str = ""
    alert: str = ""


def fresh(account: PollAccount, now_s: float, start_at_s: int | None = None) -> Checkpoint:
    """Returns the first checkpoint of a poller: at the configured time, else one overlap before now."""
    begin = int(now_s) - account.overlap_s if start_at_s is None else start_at_s
    return Checkpoint(settled_s=begin, swept_day=int(now_s) // DAY_S)


def resumed(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the checkpoint after a person's go-ahead: no stop, no wait, and parked windows are asked for again."""
    return msgspec.structs.replace(
        checkpoint, stopped="", trouble=None, todo=(*checkpoint.todo, *checkpoint.parked), parked=()
    )


def next_step(
    checkpoint: Checkpoint,
    answer: Page | None,
    now_s: float,
    *,
    account: PollAccount,
    advice: Mapping[str, Advice],
    jitter: float = 0.0,
    token: str = "",
) -> PollDecision:
    """Returns the next decision after the response to the window asked last (`checkpoint.todo[0]`).

    `answer` is None at the start and after a wait; `jitter` in [0, 1) lengthens waits by up to a quarter; `token` is
    the vendor's for the page after `answer` (`Poll.next`).
    """
    step = _Step(checkpoint)
    if answer is not None and checkpoint.todo and not checkpoint.stopped:
        if answer.code != "0":
            step = _after_error(checkpoint, answer, now_s, advice, jitter)
        else:
            step = _after_token(checkpoint, token) if token else _after_page(checkpoint, answer)
    after = step.checkpoint
    if after.todo[:1] != checkpoint.todo[:1]:  # another window: its first page
        after = msgspec.structs.replace(after, token="", pages=0)
    if after.stopped:
        return PollDecision(checkpoint=after, wait_s=float("inf"), note=step.note or "stopped", alert=step.alert)
    if after.trouble and after.trouble.until_s > now_s:
        return PollDecision(checkpoint=after, wait_s=after.trouble.until_s - now_s, note=step.note, alert=step.alert)
    if not after.todo and after.next_round_s <= now_s:
        after = _planned(after, now_s, account)
    if not after.todo:
        wait_s = max(after.next_round_s - now_s, account.min_gap_s)
        return PollDecision(checkpoint=after, wait_s=wait_s, note=step.note, alert=step.alert)
    plain = after.trouble is not None and after.trouble.plain
    return PollDecision(
        checkpoint=after, ask=after.todo[0], token=after.token, plain=plain, note=step.note, alert=step.alert
    )


def id_wait_s(advice: Advice, tries: int) -> float | None:
    """Returns the seconds before a call's id is asked for again after `tries` responses, None when it is not found."""
    if advice.action != "retry_id" or tries > advice.tries:
        return None
    return Backoff(first_s=advice.first_s, cap_s=advice.cap_s).delay_s(tries - 1)


def _after_token(checkpoint: Checkpoint, token: str) -> _Step:
    """Takes in a page with a token for the next one: its window stays, unless the tokens lead nowhere."""
    untroubled = msgspec.structs.replace(checkpoint, trouble=None)
    if token == checkpoint.token or checkpoint.pages >= PAGES_MAX:
        return _Step(_parked(untroubled), "parked", "page")
    return _Step(msgspec.structs.replace(untroubled, token=token, pages=checkpoint.pages + 1), "more")


def _after_page(checkpoint: Checkpoint, page: Page) -> _Step:
    """Takes in a page: its window is done, unless the page says that there is more."""
    asked = checkpoint.todo[0]
    untroubled = msgspec.structs.replace(checkpoint, trouble=None)
    if not page.cursor:
        return _Step(_done(untroubled, asked.end_s), "page")
    if len(page.cursor) == 10 and page.cursor.isdecimal() and asked.start_s < int(page.cursor) < asked.end_s:
        return _Step(_done(untroubled, int(page.cursor), PollWindow(int(page.cursor), asked.end_s)), "more")
    halves = _halves(asked)
    if not halves:
        return _Step(_parked(untroubled), "parked", "page")
    return _Step(msgspec.structs.replace(untroubled, todo=(*halves, *untroubled.todo[1:])), "no_progress", "log")


def _after_error(
    checkpoint: Checkpoint, page: Page, now_s: float, advice: Mapping[str, Advice], jitter: float
) -> _Step:
    """Takes in an error: the vendor's table says what its code asks for, and what to do when that has not helped."""
    advised = advice.get(page.code) or advice[""]
    previous = checkpoint.trouble
    tries = previous.tries + 1 if previous and previous.code == page.code else 1
    alert = advised.alert if tries == 1 else ""
    # A code about one call cannot be about a window: there it stands for a parameter that the vendor refuses.
    action, limit = ("resend_plain", 1) if advised.action == "retry_id" else (advised.action, advised.tries)
    if limit and tries > limit:
        action = "park" if advised.action == "retry_id" else advised.then
        alert = (advised.alert or "log") if tries == limit + 1 else ""
    trouble = Trouble(code=page.code, tries=tries)

    def troubled(wait_s: float = 0.0, *, plain: bool = False) -> Checkpoint:
        until_s = now_s + wait_s * (1 + jitter / 4) if wait_s else 0.0
        return msgspec.structs.replace(
            checkpoint, trouble=msgspec.structs.replace(trouble, until_s=until_s, plain=plain)
        )

    if action == "stop":
        return _Step(msgspec.structs.replace(troubled(), stopped=page.code), "stopped", advised.alert)
    if action == "probe":
        return _Step(troubled(advised.first_s if advised.action == "probe" else PROBE_S), "probe", alert)
    if action == "resend_plain":
        return _Step(troubled(plain=True), "retry", alert)
    if action == "halve":
        halves = _halves(checkpoint.todo[0])
        if halves:
            return _Step(msgspec.structs.replace(troubled(), todo=(*halves, *checkpoint.todo[1:])), "split", alert)
        action = "park"
    if action == "park":
        return _Step(_parked(msgspec.structs.replace(checkpoint, trouble=None)), "parked", alert or "log")
    return _Step(troubled(Backoff(first_s=advised.first_s, cap_s=advised.cap_s).delay_s(tries - 1)), "retry", alert)


def _done(checkpoint: Checkpoint, end_s: int, *rest: PollWindow) -> Checkpoint:
    """Settles the first window up to `end_s`."""
    asked = checkpoint.todo[0]
    settled_s = max(checkpoint.settled_s, end_s) if asked.start_s <= checkpoint.settled_s else checkpoint.settled_s
    return msgspec.structs.replace(checkpoint, settled_s=settled_s, todo=(*rest, *checkpoint.todo[1:]))


def _parked(checkpoint: Checkpoint) -> Checkpoint:
    """Parks the first window, joined with a neighbour that is parked already."""
    asked = checkpoint.todo[0]
    parked = [window for window in checkpoint.parked if window.end_s < asked.start_s or window.start_s > asked.end_s]
    touching = [window for window in checkpoint.parked if window not in parked]
    whole = PollWindow(
        min(asked.start_s, *(w.start_s for w in touching), asked.start_s),
        max(asked.end_s, *(w.end_s for w in touching), asked.end_s),
    )
    return msgspec.structs.replace(_done(checkpoint, asked.end_s), parked=tuple(sorted([*parked, whole])))


def _halves(window: PollWindow) -> tuple[PollWindow, ...]:
    """Returns both halves of a window, none for a single second."""
    middle = (window.start_s + window.end_s) // 2
    if middle == window.start_s:
        return ()
    return PollWindow(window.start_s, middle), PollWindow(middle, window.end_s)


def _planned(checkpoint: Checkpoint, now_s: float, account: PollAccount) -> Checkpoint:
    """Plans the next round: the new windows, those of the overlap whose turn it is, and the day's sweep."""
    horizon = int(now_s) - account.lag_s
    settled = checkpoint.settled_s
    new = _grid(settled, horizon, account.window_s)[:ROUND_MAX]
    caught_up = not new or new[-1].end_s >= horizon
    again: list[PollWindow] = []
    if caught_up:
        old = _grid(_floor(settled - account.overlap_s, account.window_s), settled, account.window_s)
        # The window before the newest is asked every second round, those before it every fourth, and so on.
        turns = (1 << age.bit_length() for age in range(1, len(old) + 1))
        again = [window for window, every in zip(reversed(old), turns, strict=True) if checkpoint.rounds % every == 0]
    day = int(now_s) // DAY_S
    due = 0 <= account.sweep_hour_utc <= int(now_s) % DAY_S // 3600 and day > checkpoint.swept_day
    if due and caught_up:
        again = _grid(_floor(settled - DAY_S, account.window_s), settled, account.window_s)
    return msgspec.structs.replace(
        checkpoint,
        todo=(*new, *again),
        rounds=checkpoint.rounds + 1,
        next_round_s=now_s + account.interval_s if caught_up else now_s,
        swept_day=day if due and caught_up else checkpoint.swept_day,
    )


def _grid(start_s: int, end_s: int, step_s: int) -> list[PollWindow]:
    """Returns the windows of [start_s, end_s), cut at the multiples of `step_s`."""
    cuts = [start_s, *range(_floor(start_s, step_s) + step_s, end_s, step_s), end_s]
    return [PollWindow(a, b) for a, b in pairwise(cuts)] if start_s < end_s else []


def _floor(at_s: int, step_s: int) -> int:
    return at_s // step_s * step_s
