"""The tree of failures: the branch decides what happens next, and `code` is a bounded label of metrics.

CallweaveError
+-- Rejected       the caller's request cannot be taken: it gets `http_status`, nothing is stored
+-- Undecodable    the body or one element cannot be read: a dead letter, never retried by itself
+-- Unavailable    Kafka, ClickHouse or a vendor is away: wait and try again, lose nothing
+-- SettingsError  the configuration is wrong: do not start
+-- SetupError     something on this machine is missing or broken: do not start, say what to do about it.
"""

from typing import Final, Literal, get_args

Stage = Literal["ingress", "poll", "normalise", "join", "sink", "setup"]

RejectCode = Literal[
    "unknown_route",  # 404: no vendor or callback has this address
    "method",  # 405: the address does not take this method
    "too_large",  # 413: the body is larger than `ingress.max_body_bytes`
    "timeout",  # 408: the body did not end in time
    "forbidden",  # 403: the secret is not known, or the network may not push here
    "unknown_account",  # 403: the account is not configured, or one is required
    "bad_signature",  # 403: no key of the account signs the push
    "bad_credentials",  # 401, 403: they are missing, wrong, or those of no account
    "stale",  # 403: the signature is right, and too old or too new
    "replayed",  # 403: a proof that is good for one request came with another one
    "refused_often",  # 429: too many requests of this address were refused in a minute
    "bad_request",  # 400: the body is not framed as it says, or two accounts are named
]
DeadCode = Literal[
    "empty",  # The body has no bytes, or only white space.
    "charset",  # The body is neither UTF-8 nor GB 18030.
    "json",  # The body is not JSON, and no repair makes it JSON.
    "xml",  # The body of a vendor that sends XML is not XML, or has a document type.
    "shape",  # The JSON is not the object or list that the vendor's document describes.
    "wrong_kind",  # The payload is another vendor's or another callback's.
    "no_id",  # The identity of the call is missing.
    "field",  # A mandatory field has a value that cannot be read.
    "inflate",  # A compressed body does not inflate, or is too large when inflated.
    "vendor_error",  # A pulled page has the vendor's error instead of records.
    "unknown_vendor",  # The record names a vendor or callback that this release does not know.
    "adapter_bug",  # The vendor's adapter raised an exception: replay after the fix.
    "schema",  # The bytes on a topic do not have the schema that they name.
    "row",  # ClickHouse refuses exactly this record.
    "oversize",  # The record is larger than Kafka accepts.
    "limit",  # The body is beyond a bound of `schemas/config/limits.py`.
    "wrong_account",  # The payload names an account of the vendor's that has another address.
    "poison",  # A worker died at the record twice, by memory, a signal or a hang.
    "internal",  # The joiner or the sink raised an exception: replay after the fix.
]
DEAD_CODES: Final = frozenset(get_args(DeadCode))


class CallweaveError(Exception):
    """Base of all failures; `code` is a bounded label of metrics, the message a sentence for people."""

    code: str = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Rejected(CallweaveError):
    """A request that is refused: nothing is stored, and the caller gets `http_status`."""

    def __init__(self, message: str, *, code: RejectCode, http_status: int, challenge: str = "") -> None:
        super().__init__(message, code=code)
        self.http_status = http_status
        self.challenge = challenge
        """The header `WWW-Authenticate` of a 401."""


class Undecodable(CallweaveError):
    """A body or an element that cannot be read; `path` is the place in the vendor's names (`cdr[3].stime`)."""

    def __init__(self, message: str, *, code: DeadCode, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message, code=code)
        self.dead_code: DeadCode = code
        self.path = path


class Unavailable(CallweaveError):
    """A server that does not answer; the caller waits and repeats."""

    code = "unavailable"


class SettingsError(CallweaveError):
    """The configuration is wrong; the message names the path of the setting."""

    code = "settings"


class SetupError(CallweaveError):
    """Something that this machine lacks; `advice` says what to do about it."""

    code = "setup"

    def __init__(self, message: str, *, code: str | None = None, advice: str = "") -> None:
        super().__init__(f"{message}\n  {advice}" if advice else message, code=code)
        self.advice = advice


def raised_at(exc: BaseException) -> str:
    """Returns type and place of an exception, `TypeError at legs.py:123`; its message might quote a phone number."""
    where = exc.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    if where is None:
        return type(exc).__name__
    return f"{type(exc).__name__} at {where.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{where.tb_lineno}"
