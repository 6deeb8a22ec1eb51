"""The tree of failures: whose fault it is decides what happens next.

CallweaveError
+-- Rejected       the caller's request cannot be taken: it gets `http_status`, nothing is stored
+-- Undecodable    the body or one element cannot be read: a dead letter, never retried by itself
+-- Unavailable    Kafka, ClickHouse or a vendor is away: wait and try again, lose nothing
+-- SettingsError  the configuration is wrong: do not start
+-- SetupError     something on this machine is missing or broken: do not start, say what to do
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
    "bad_signature",  # 403: no signing secret of the account signs the push
    "bad_request",  # 400: the body is not framed as it says, or two accounts are named
]
DeadCode = Literal[
    "empty",  # no bytes, or only white space
    "charset",  # neither UTF-8 nor GB 18030
    "json",  # not JSON, and not one of the repairs
    "xml",  # The body of a vendor that sends XML is not XML, or has a document type.
    "shape",  # JSON, but not the object or list that the vendor's document describes
    "wrong_kind",  # another vendor's or another callback's payload
    "no_id",  # the identity of the call is missing
    "field",  # a mandatory field has a value that cannot be read
    "inflate",  # a compressed body that does not inflate, or inflates past the cap
    "vendor_error",  # a pulled page that carries the vendor's error instead of records
    "unknown_vendor",  # the topic names a vendor or callback this release does not know
    "adapter_bug",  # our own code raised: replay after the fix
    "schema",  # bytes on a topic that are not in the schema they claim
    "row",  # ClickHouse refuses exactly this record
    "oversize",  # the record is larger than Kafka takes
    "limit",  # beyond a bound of schemas/config/limits.py: elements, nesting, length
    "wrong_account",  # it names an account of the vendor's that another address is for
    "poison",  # a worker died at it twice: by memory, a signal or a hang
    "internal",  # our own code could not join, build or store it: replay after the fix
]
DEAD_CODES: Final = frozenset(get_args(DeadCode))


class CallweaveError(Exception):
    """Base of all failures; `code` is a bounded metric label, the message is a sentence for people."""

    code: str = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Rejected(CallweaveError):
    """A request that is not taken; nothing is stored, the caller gets `http_status`."""

    def __init__(self, message: str, *, code: RejectCode, http_status: int) -> None:
        super().__init__(message, code=code)
        self.http_status = http_status


class Undecodable(CallweaveError):
    """A body or an element that cannot be read; `path` names the place in the vendor's words (`cdr[3].stime`)."""

    def __init__(self, message: str, *, code: DeadCode, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message, code=code)
        self.dead_code: DeadCode = code
        self.path = path


class Unavailable(CallweaveError):
    """Something outside does not answer; the caller waits and repeats."""

    code = "unavailable"


class SettingsError(CallweaveError):
    """The configuration is wrong; the message names the path of the setting."""

    code = "settings"


class SetupError(CallweaveError):
    """This machine lacks something; `advice` says what to do about it."""

    code = "setup"

    def __init__(self, message: str, *, code: str | None = None, advice: str = "") -> None:
        super().__init__(f"{message}\n  {advice}" if advice else message, code=code)
        self.advice = advice


def raised_at(exc: BaseException) -> str:
    """The type of an exception and the place that it came from, without its message, which may quote a number: `TypeError at legs.py:123`."""
    where = exc.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    if where is None:
        return type(exc).__name__
    return f"{type(exc).__name__} at {where.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{where.tb_lineno}"
