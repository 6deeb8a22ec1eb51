"""Payloads of every vendor and kind, the accounts that may push them, and the same ids in a forger's push."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from ingress.access.request_head import RequestHead
from ingress.http.routes import Router
from processors.normalise import Normalised, directory
from processors.store.partition import PartitionState
from schemas.config.secret import Secret
from schemas.config.settings import Account, JoinSettings, Settings
from schemas.facts import Fact
from schemas.timeline import Timeline
from schemas.vendors import VENDORS
from tests.golden.cases import run
from tests.support.http.accepting import accept_request
from tests.support.payloads import huawei_elements as huawei
from tests.support.payloads import ytx_elements as ytx

VENDOR_NAMES: Final = ("nxcloud", "ytx", "huawei")
"""Vendors that push."""
SECRETS: Final = {
    (vendor, name): secret
    for (vendor, name), secret in zip(
        [(vendor, name) for vendor in VENDOR_NAMES for name in ("main", "other", "bare")],
        (
            "k3vq9xw2mz7rt5hb", "w8dn4cy6jp1gs0fe", "t7mz2rk9vb4xh6qa",
            "p5hx8wd3nq6ky1vc", "z2gf7tb9mr4cw0sj", "n6vk1yq8xd3hp5tz",
            "c9rw4mj7gz2bf8xk", "h1ty6vn3ks9qd7mp", "x4bz8pg2wc5jr0vn",
        ),
        strict=True,
    )
}  # fmt: skip
EXTERNAL: Final = {"main": "ids-of-main-0001", "other": "ids-of-other-0002", "net": "ids-of-net-0003"}
UNCLAIMED: Final = "ids-of-nobody-0009"
INSIDE: Final = "192.0.2.9"
T: Final = datetime(2022, 3, 3, 8, tzinfo=UTC)


def _accounts(vendor: str) -> tuple[Account, ...]:
    def secret(name: str) -> Secret:
        return Secret(value=SECRETS[vendor, name])

    return (
        Account(vendor=vendor, name="main", secret=secret("main"), external_ids=(EXTERNAL["main"],)),
        Account(vendor=vendor, name="other", secret=secret("other"), external_ids=(EXTERNAL["other"],)),
        Account(vendor=vendor, name="bare", secret=secret("bare")),
        Account(vendor=vendor, name="net", allow=("192.0.2.0/24",), external_ids=(EXTERNAL["net"],)),
        Account(vendor=vendor, name="open"),
    )


SETTINGS: Final = Settings(accounts=tuple(account for vendor in VENDOR_NAMES for account in _accounts(vendor)))
DIRECTORY: Final = directory(SETTINGS.accounts)
ROUTER: Final = Router(SETTINGS, VENDORS)
ROUTES: Final = ("main", "other", "bare", "net", "open", "")
"""Every account, and the address without an account."""


class Payload(msgspec.Struct, frozen=True):
    """One payload kind: the true payload, and a forger's payload for the same call."""

    name: str
    vendor: str
    path: str
    id_field: str
    """The field that names the vendor's own account; "" when there is none."""
    true: Callable[[], list[Any]]
    forged: Callable[[], list[Any]]

    @property
    def names_account(self) -> bool:
        """True when the true payload names the vendor's own account."""
        return UNCLAIMED in str(claimed(self.true(), self.id_field, UNCLAIMED))


NX: Final[dict[str, Any]] = json.loads(VENDORS["nxcloud"].callbacks[0].example)
_LOST: Final = {"answerTime": None, "disconnectTime": huawei.T_MS + 1, "updatedAt": huawei.T_MS + 90_000_000}
_CALLED, _CALLER = "18810207016", "13810603954"
_TWO_WAY_ID: Final = ytx.TWO_WAY["requestid"]


def _states(*events: tuple[str, str, int]) -> list[Any]:
    return [
        {**ytx.STATE, "requestid": _TWO_WAY_ID, "dsc": phone, "state": state, "timestamp": f"2016-02-02 11:19:{second}"}
        for phone, state, second in events
    ]


def _records(*elements: dict[str, Any]) -> list[Any]:
    return [{"cdr": [element]} for element in elements]


_NO_ANSWER: Final = {**ytx.TWO_WAY, "calledstime": "", "oriamount": "0.00", "stateDesc": "应答|无人接听"}
_STATES: Final = (
    (_CALLER, "callout", 30), (_CALLER, "answer", 36), (_CALLED, "callout", 37), (_CALLED, "answer", 40), (_CALLED, "disconnect", 58),
)  # fmt: skip
_FORGED_STATES: Final = ((_CALLED, "disconnect", 31), (_CALLER, "disconnect", 32), ("13900000001", "answer", 33))
_LEG: Final = {**ytx.CONFERENCE, "tel": "15801445466", "singleoriamount": "0.066"}

PAYLOADS: Final = (
    Payload(
        "nxcloud cdr", "nxcloud", "/nxcloud/cdr", "",
        lambda: [NX],
        lambda: [NX, {**NX, "answer_time": "", "duration": 0, "hangup_cause": "NO_ANSWER"}, {**NX, "duration": 99_999, "phone": "5555"}],
    ),
    Payload(
        "ytx voice code", "ytx", "/ytx", "appid",
        lambda: _records(ytx.VOICE),
        lambda: _records(ytx.VOICE, {**ytx.VOICE, "oriamount": "0.00"}, {**ytx.VOICE, "etime": "", "duration": "0"}),
    ),
    Payload(
        "ytx two-way record", "ytx", "/ytx", "appid",
        lambda: _records(ytx.TWO_WAY),
        lambda: [*_records(ytx.TWO_WAY, _NO_ANSWER, {**ytx.TWO_WAY, "oriamount": "99.00"}), *_states(*_FORGED_STATES)],
    ),
    Payload(
        "ytx states", "ytx", "/ytx", "appid",
        lambda: _states(*_STATES),
        lambda: [*_states(*_STATES, *_FORGED_STATES), *_records(_NO_ANSWER)],
    ),
    Payload(
        "ytx record and states", "ytx", "/ytx", "appid",
        lambda: [*_records(ytx.TWO_WAY), *_states(*_STATES)],
        lambda: [*_states(*_FORGED_STATES), *_records(_NO_ANSWER, {**ytx.TWO_WAY, "caller": "13900000001"})],
    ),
    Payload(
        "ytx conference", "ytx", "/ytx", "appid",
        lambda: _records(ytx.CONFERENCE, _LEG),
        lambda: _records(ytx.CONFERENCE, {**_LEG, "singleoriamount": "77.00"}, {**_LEG, "tel": "15801445467"}, {**_LEG, "stime": "", "etime": ""}),
    ),
    Payload(
        "huawei call", "huawei", "/huawei/ax", "ak",
        lambda: [huawei.CALL],
        lambda: [huawei.CALL, {**huawei.CALL, **_LOST}, {**huawei.CALL, "origNum": "+8618801339999", "updatedAt": huawei.T_MS + 99_000_000}],
    ),
    Payload(
        "huawei binding", "huawei", "/huawei/ax", "ak",
        lambda: [huawei.ROW],
        lambda: [huawei.ROW, {**huawei.ROW, "status": 0, "updatedAt": huawei.T_MS + 90_000_000}, {**huawei.CALL, **_LOST, "status": 0}],
    ),
    Payload(
        "huawei notification", "huawei", "/huawei/ax", "appKey",
        lambda: [{"eventType": "fee", "feeLst": [huawei.FEE]}],
        lambda: [
            {"eventType": "fee", "feeLst": [fee]}
            for fee in (huawei.FEE, {**huawei.FEE, "fwdAnswerTime": "", "ulFailReason": 8102}, {**huawei.FEE, "callEndTime": "2019-01-23 10:16:41"})
        ],
    ),
)  # fmt: skip


def claimed(document: Any, field: str, external_id: str | None) -> Any:
    """Returns the document with another vendor's account id in it; None: without one."""
    if isinstance(document, list):
        return [claimed(item, field, external_id) for item in document]
    if not isinstance(document, dict):
        return document
    held = {name: claimed(item, field, external_id) for name, item in document.items() if isinstance(item, list)}
    if field not in document:
        return {**document, **held}
    rest = {name: item for name, item in document.items() if name != field}
    return {**rest, **held} if external_id is None else {**rest, **held, field: external_id}


def address(payload: Payload, account: str) -> tuple[str, dict[str, Any]]:
    """Returns the path of a route, and the other properties of a request to it."""
    if (payload.vendor, account) in SECRETS:
        return f"/v1/a/{SECRETS[payload.vendor, account]}{payload.path}", {}
    named = {"accounts": (account,)} if account else {}
    return f"/v1{payload.path}", {**named, "peer": INSIDE}


def pushed(payload: Payload, account: str, documents: Iterable[Any], *, at: datetime, offset: int) -> list[Normalised]:
    """Returns the outcome of pushes at a route, each at its own place of the raw log."""
    path, more = address(payload, account)
    outcomes = []
    for number, document in enumerate(documents):
        head = msgspec.convert(
            {"method": "POST", "path": path, "content_type": "application/json", **more}, RequestHead
        )
        body = json.dumps(document, ensure_ascii=False).encode()
        taken = accept_request(ROUTER, head, body, now=at + timedelta(seconds=number), request_id=f"r{offset + number}")
        outcome = run(taken.raw, DIRECTORY)
        facts = tuple(msgspec.structs.replace(fact, raw_offset=offset + number) for fact in outcome.facts)
        outcomes.append(msgspec.structs.replace(outcome, facts=facts))
    return outcomes


def facts_of(outcomes: Iterable[Normalised]) -> list[Fact]:
    """Returns all facts, in order."""
    return [fact for outcome in outcomes for fact in outcome.facts]


Rows = dict[tuple[str, ...], Any]
LATER: Final = object()
"""A pause between facts after which every call is forgotten."""


def history(log: Iterable[Any]) -> Iterator[Any]:
    """Returns every fact and timeline that is published while a log of facts is joined."""
    settings = JoinSettings()
    state = PartitionState(settings)
    now_ms = int(T.timestamp() * 1000)
    for item in log:
        if item is LATER:
            now_ms += 3 * settings.horizon_s * 1000
        for _, step in state.advance(now_ms):
            yield from _published(step)
        if item is not LATER:
            yield from _published(state.apply(item))


def _published(step: Any) -> Iterator[Fact | Timeline]:
    if step.normalized is not None:
        yield step.normalized
    yield from step.timelines


def rows(log: Iterable[Any]) -> Rows:
    """Returns the contents of tables that keep the newest version of a key, after a log of facts."""
    shown = Rows()
    for row in history(log):
        key = (
            ("timeline", row.vendor, row.timeline_id)
            if isinstance(row, Timeline)
            else ("fact", row.fact_type, row.vendor, row.account_id, row.fact_id)
        )
        if key not in shown or row.version >= shown[key].version:
            shown[key] = row
    return shown
