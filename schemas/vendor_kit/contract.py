"""The contract of a vendor file: the types that it declares, and those between it and the other parts.

A vendor file ends with one `VENDOR = Vendor(...)`. Ingress uses its paths, keys, replies and signatures; the normaliser
its elements and mappings; the poller its `Poll`. None of them knows a vendor by name. Pure: no I/O, no clock.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from schemas.body.document import BodyFormat
from schemas.body.member_keys import NO_WORDS, Words, words_of
from schemas.config.settings import COST_LIMIT
from schemas.facts import Fact
from schemas.raw import Source


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer in the vendor's convention."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()


class PushHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a push, for a vendor's signature check; it is read before anything is believed of the body."""

    method: str
    path: str
    query: str = ""
    """The raw query string, without its question mark."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case, in the order in which they came."""


Verify = Callable[[PushHead, bytes, tuple[str, ...]], bool]
"""`verify(head, body, secrets)`: True when one of the account's signing secrets signs this push.

It is total and takes constant time; `schemas.vendor_kit.signatures` has the common schemes.
"""


class Context(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The facts around an element that a mapping may use."""

    received_at: datetime
    account: str = ""
    """The configured account that the URL named, or ""."""
    external_ids: frozenset[str] = frozenset()
    """The vendor's own account ids (appid, ak, appId) that this account may carry; empty: any."""
    known_ids: frozenset[str] = frozenset()
    """The external ids of all configured accounts of this vendor; empty: none configured."""
    foreign_ids: frozenset[str] = frozenset()
    """External ids that no payload of this address may carry: those of other accounts, or of protected ones."""
    cost_limits: Mapping[str, int] = {}
    """The highest cost of one call by external id; "" is for this address."""
    source: Source = "push"

    def cost_limit(self, account_id: str) -> int:
        """Returns the highest cost that one call of this vendor account may have."""
        limits = self.cost_limits
        return limits.get(account_id, limits.get("", COST_LIMIT))


class Mapped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of mapping one element."""

    fact: Fact
    """Without identity and provenance, and made for this element alone: `schemas.identity.seal` adds them to it."""
    dedupe: tuple[str, ...]
    """The parts of the dedupe identity beside vendor, account and kind."""
    key_account: str = ""
    """The account in the Kafka key: one that every payload of the call can show."""


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """An element that is understood and not kept; `reason` is a bounded label."""

    reason: str


Element = Mapping[str, Any]
"""One decoded item in the vendor's words: keys as documented, scalars as sent (ids never as float)."""


class Elements(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A body taken apart."""

    items: tuple[Any, ...]
    """The elements, of any JSON type: one of a wrong type fails alone."""
    page_error: str = ""
    """The vendor's error on a pulled page, which then has no items."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """One address that a vendor pushes to, or one call that we poll."""

    name: str
    path: str
    """The address below `/v1/<vendor>`: "/cdr", or "" for the vendor's root."""
    key: Callable[[bytes], str]
    """`key(body)`: the call id if a cheap look shows it, else "". Never raises; equal for all bodies of a call."""
    key_account: Callable[[bytes, str], str] = lambda _body, account: account
    """`key_account(body, account)`: the account in the key, from the body and the URL's account.

    For a body of one call it equals `Mapped.key_account`.
    """
    elements: Callable[[Any], Elements]
    """Takes the decoded document apart; raises `Undecodable` (`shape`, `wrong_kind`)."""
    normalise: Callable[[Element, Context], Mapped | Filtered]
    """Maps one element; raises `Undecodable` (`no_id`, `field`, `wrong_kind`, `shape`)."""
    methods: tuple[str, ...] = ("POST",)
    """The HTTP methods that carry a record. The body of a GET is its query string, with the content type of a form."""
    verify: Verify | None = None
    """The vendor's signature check; it runs when the account has `signing_secrets`."""
    body: BodyFormat = "json"
    """The documented format of a body: "json", "form" (a parameter for each field) or "xml" (`schemas.body.xml_text`).

    JSON is read in any case, and a form in the place of JSON; XML only when it is declared here.
    """
    form_fields: tuple[str, ...] = ("cdr", "data", "payload", "json")
    """Form parameters that may hold the JSON or XML."""
    holders: Mapping[str, tuple[str, ...]] = {}
    """Keys of an envelope that hold elements, each with the kinds of `documented` that occur there.

    () is for all kinds that no other key holds.
    """
    also: tuple[str, ...] = ()
    """Keys beside the documented ones that are spelt alike: of the envelope, and of live payloads."""
    nested: Mapping[str, tuple[str, ...]] = {}
    """The keys of objects inside an element, by the field that holds such an object, or JSON text of one."""
    example: bytes = b""
    """One body as the vendor's document prints it, for people to try with."""
    documented: Mapping[str, tuple[str, ...]] = {}
    """The fields of the vendor's document by payload kind: for the spelling of keys and the test of completeness."""
    words: Words = NO_WORDS
    """The vocabulary made from the four above."""

    def __post_init__(self) -> None:
        words = words_of(self.documented, self.holders, self.also, self.nested)
        msgspec.structs.force_setattr(self, "words", words)


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The poller's reaction to one code of a vendor's answer."""

    action: str
    """One of advance, resend_plain, halve, backoff, retry_id, probe, stop and park."""
    alert: str = ""
    """One of "", log, page (somebody is called) and security."""
    tries: int = 0
    """The number of tries before `then`; 0 is without limit."""
    then: str = ""
    first_s: float = 1.0
    cap_s: float = 300.0
    description: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a pulled page that the poller needs to go on; the body goes to Kafka untouched."""

    code: str
    """The vendor's error code as text; "0" is success."""
    message: str = ""
    records: int = 0
    cursor: str = ""
    """The vendor's continuation, "" when there is none: a start time to go on from, or a mere sign of more."""
    token: str = ""
    """A token in the page that names the page after it, for `Poll.next`."""
    call_ids: frozenset[str] = frozenset()


class PollRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a poller."""

    method: Literal["GET", "POST"] = "POST"
    url: str
    """The whole address, with the parameters of a GET."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def no_next_page(_page: Page) -> str:
    """Returns "": the API has no tokens, a window goes on by `Page.cursor`."""
    return ""


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's pull API."""

    callback: str
    """The name of the callback that pages are published under."""
    request: Callable[..., PollRequest]
    """`request(account, start_s=, end_s=, call_id=, plain=)`: one page's request; `account` is a `PollAccount`.

    `token=` comes with it for the pages after the first one, when `next` gives tokens.
    """
    read_page: Callable[[bytes, str], Page]
    """`read_page(body, content_encoding)`: reads a page; raises `Undecodable`."""
    advice: Mapping[str, Advice]
    """The reaction to each code; "" is for any code not listed, "transport" for no answer or one that is no page."""
    next: Callable[[Page], str] = no_next_page
    """`next(page)`: the token that the same window's next page is asked for with, "" when the window has no more.

    While it gives one, `Page.cursor` does not count.
    """


class Locale(msgspec.Struct, frozen=True):
    """The meaning of a vendor's times, numbers and amounts that do not say it themselves."""

    zone: str = "UTC?"
    """The zone of civil times (IANA name), with "?" when the vendor names none."""
    region: str = ""
    """The country of national phone numbers, "" for none."""
    currency: str = ""
    """The currency of unmarked amounts, "" where the vendor sends none."""


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor, whole."""

    name: str
    title: str
    adapter_version: int
    """Raised when the mapping's output changes."""
    callbacks: tuple[Callback, ...]
    accepted: Reply
    """The answer that stops the vendor from sending again."""
    retry: Reply
    """The answer that makes the vendor send again."""
    sends_at_most: int
    """The number of times that the vendor sends one payload: 1 is once, whatever the reply; 0 is not stated."""
    kinds: Mapping[str, str] = {}
    """The vendor's own kinds of payload, where none of `Kind` fits, each with a sentence; in every view they are calls.
    A fact of a kind that is neither is a bug of the vendor's file."""
    locale: Locale = Locale()
    """The meaning of a file of the vendor's whose columns are not its own fields (`callweave reconcile`)."""
    poll: Poll | None = None
