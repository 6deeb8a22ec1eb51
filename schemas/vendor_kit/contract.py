"""What a vendor's file declares, and the types between it and the rest.

A vendor's file ends with one `VENDOR = Vendor(...)`. Ingress uses its paths, keys, acknowledgement and authentication;
the normaliser its elements and mappings; the poller its `Poll`. None of them knows a vendor by name. Pure: no I/O, no clock.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

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
"""`verify(head, body, secrets)`: True when one of the account's signing secrets signs this push. Total and in constant time."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """All that a mapping may know besides the element itself."""

    received_at: datetime
    account: str = ""
    """The configured account that the URL named, or ""."""
    external_ids: frozenset[str] = frozenset()
    """The vendor's own account ids (appid, ak, appId) that this account may carry; empty: any."""
    known_ids: frozenset[str] = frozenset()
    """The external ids of all configured accounts of this vendor; empty: none configured."""
    foreign_ids: frozenset[str] = frozenset()
    """External ids that nothing may carry which came by this address: those of other accounts, or of protected ones."""
    cost_limits: Mapping[str, int] = {}
    """What one call may cost at the most, by external id; "" is for this address."""
    source: Source = "push"

    def cost_limit(self, account_id: str) -> int:
        """What one call of this account of the vendor's may cost at the most."""
        limits = self.cost_limits
        return limits.get(account_id, limits.get("", COST_LIMIT))


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    """What a mapping makes of one element."""

    fact: Fact
    """Without identity and provenance: `schemas.identity.seal` adds them."""
    dedupe: tuple[str, ...]
    """The parts of the dedupe identity beside vendor, account and kind."""
    key_account: str = ""
    """The account in the Kafka key: one that every payload of the call can show."""


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """An element that is understood and wanted by nobody; `reason` is a bounded label."""

    reason: str


Element = Mapping[str, Any]
"""One decoded item in the vendor's words: keys trimmed, scalars as JSON gave them (ids never as float)."""


class Elements(msgspec.Struct, frozen=True, kw_only=True):
    """A body taken apart."""

    items: tuple[Any, ...]
    """Each one element, of any JSON type: a wrong type fails alone."""
    page_error: str = ""
    """Of a pulled page: the vendor's error, in which case there are no items."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """One address that a vendor pushes to, or one call that we poll."""

    name: str
    path: str
    """Below `/v1/<vendor>`: "/cdr", or "" for the vendor's root."""
    key: Callable[[bytes], str]
    """The call id as far as a cheap look at the body shows it, else "". Total: never raises. Equal for all bodies of a call."""
    key_account: Callable[[bytes, str], str] = lambda _body, account: account
    """The account in the key, from the body and the URL's account; the same as `Mapped.key_account` for a body of one call."""
    elements: Callable[[Any], Elements]
    """Take the decoded document apart; raises `Undecodable` (`shape`, `wrong_kind`)."""
    normalise: Callable[[Element, Context], Mapped | Filtered]
    """Map one element; raises `Undecodable` (`no_id`, `field`, `wrong_kind`, `shape`)."""
    methods: tuple[str, ...] = ("POST",)
    """The HTTP methods that carry a record. Of a GET the query string is the body, with the content type of a form."""
    verify: Verify | None = None
    """The vendor's signature; it is asked where the account has `signing_secrets`."""
    form_fields: tuple[str, ...] = ("cdr", "data", "payload", "json")
    """Form parameters that may hold the JSON."""
    holders: Mapping[str, tuple[str, ...]] = {}
    """Keys of an object around the elements that hold them, each with the kinds of `documented` that stand there; () for all
    that stand in no other."""
    also: tuple[str, ...] = ()
    """Keys that count beside the documented ones: of the object around the elements, and what live payloads carry."""
    nested: Mapping[str, tuple[str, ...]] = {}
    """Fields that are an object, or JSON text of one, with keys of the vendor's: those."""
    example: bytes = b""
    """One body as the vendor's document prints it: what people are shown to try with."""
    documented: Mapping[str, tuple[str, ...]] = {}
    """Per payload kind the fields of the vendor's document: how keys are spelt, and for the completeness test."""
    words: Words = NO_WORDS
    """Made from the four above."""

    def __post_init__(self) -> None:
        words = words_of(self.documented, self.holders, self.also, self.nested)
        msgspec.structs.force_setattr(self, "words", words)


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What a poller does about a vendor's answer."""

    action: str
    """advance | resend_plain | halve | backoff | retry_id | probe | stop | park"""
    alert: str = ""
    """"" | log | page | security"""
    auto_resume: bool = True
    tries: int = 0
    """How often before `then`; 0 is without limit."""
    then: str = ""
    first_s: float = 1.0
    cap_s: float = 300.0
    meaning: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a pulled page as the poller needs to go on; the body goes to Kafka untouched."""

    code: str
    """The vendor's error code as text; "0" is success."""
    message: str = ""
    records: int = 0
    cursor: str = ""
    """The vendor's continuation, "" when there is none."""
    call_ids: frozenset[str] = frozenset()
    newest_start_s: int = 0


class PollRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a poller."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """How a vendor's records are pulled."""

    callback: str
    """Name of the callback that pages are published under."""
    request: Callable[..., PollRequest]
    """`request(account, start_s=, end_s=, call_id=, plain=)`: one page's request; `account` is a `PollAccount`."""
    read_page: Callable[[bytes, str], Page]
    """Body and content encoding to `Page`; raises `Undecodable`."""
    advice: Mapping[str, Advice]
    """Error code to action; key "" is for any code not listed, "transport" for no answer or one that is no page."""


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
    """How often the vendor sends one payload: 1 is "once, whatever we answer", 0 is not stated."""
    time_zone: str
    """Zone of times that carry none."""
    region: str = ""
    """Default region of national numbers, "" for none."""
    currency: str = ""
    secrets: tuple[str, ...] = ()
    """Names of fields that must not be shown (URLs with tokens, signatures)."""
    poll: Poll | None = None
