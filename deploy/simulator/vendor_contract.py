"""The contract of a simulated vendor: the declaration with which each file of `vendors/` ends.

A vendor pushes (`path` and one of `record`, `batch`), or is pulled from (`pull`). The rest is optional.
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from deploy.simulator.calls.truth import Occurrence, Scenario, TrueBinding, TrueCall
from deploy.simulator.expectation import Expectation
from deploy.simulator.requests import PushRequest

PULL_APP_ID: Final = "1400000000"
"""The account id of the pulled calls: a placeholder of a vendor's printed example, which belongs to nobody."""

Maker = Callable[[Scenario, datetime], Occurrence]
"""Makes what happens in a scenario and ends at an instant."""
Breaker = Callable[[random.Random, PushRequest], tuple[bytes, str] | None]
"""Returns a broken body like the request's and its dead-letter code; None where there is no such body."""
StatePush = tuple[datetime, bytes, Expectation]
"""The instant of a state, the body that pushes it, and its expectation."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The way a vendor repeats a push that was not acknowledged, as its document describes it."""

    attempts: int
    """The most attempts, the first one included."""
    delay_s: float = 0.0
    """Seconds between two attempts."""
    only_500: bool = False
    """True when only HTTP 500 (or no answer) counts as not delivered; else anything but 2xx does."""

    def again(self, attempts: int, status: int) -> bool:
        """True when another attempt follows after so many; status 0 means that no answer came."""
        if attempts >= self.attempts or 200 <= status < 300:
            return False
        return status in (0, 500) if self.only_500 else True


class BatchFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a vendor that sends several in one body."""

    element: Callable[[TrueCall, random.Random], str]
    """Writes one record as text."""
    body: Callable[[Sequence[str]], bytes]
    """Joins the texts of several elements to a body."""
    spoil: Callable[[str], str]
    """Rewrites an element in the broken form that the vendor sends now and then."""
    mend: Callable[[str], str]
    """Undoes `spoil`."""
    bad_element: Callable[[random.Random], tuple[str, str]]
    """Returns an element that nobody can use, and its dead-letter code: it must fail alone."""


class PullServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The behaviour of a simulated pull API; times in seconds."""

    app_id: str = PULL_APP_ID
    key_id: str = "simulator"
    """The key's id in the address."""
    page_records: int = 100
    delay_s: float = 3.0
    """The time from a call's end until its record can be pulled."""
    recording_delay_s: float = 20.0
    """The time from then until the record has the address of a late recording."""
    keep_s: int = 4 * 3600
    """Older calls are forgotten; longer than a puller looks back by default."""
    accident_share: float = 0.02
    hang_s: float = 30.0
    seed: int = 1


class PullQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A request for records that the vendor accepts: of one call, or of a window of epoch seconds, ends included."""

    call_id: str = ""
    start_s: int = 0
    end_s: int = 0
    party: str = ""
    """The party, as the vendor writes the number, whose calls alone are asked for; "" for all."""
    compressed: bool = False


class PullApi(msgspec.Struct, frozen=True, kw_only=True):
    """The wire format of a vendor's pull API; the records, windows and accidents are `sending/pull_server.py`."""

    name: str
    """Part of the random seed of its accidents."""
    route: str
    """The path in aiohttp's notation."""
    read: Callable[[Mapping[str, str], str, bytes, PullServerOptions], PullQuery | str]
    """Reads the route's parts, the key's id and the body of a request; returns the query or the code of a refusal."""
    party: Callable[[TrueCall], str]
    """Returns the number by which a query names a party of the call."""
    page: Callable[[Sequence[TrueCall], str, bool], bytes]
    """Writes a page: its calls, the cursor to the next page ("0" for none), and whether it is compressed."""
    failure: Callable[[str], bytes]
    """Writes the body of a failure by its code."""
    codes: Collection[str]
    """All codes of failures."""
    unknown_call: str
    """The code for a call id that is not there."""
    accidents: tuple[str, ...]
    """The codes that occur by themselves now and then."""


class SimulatedVendor(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor: the calls it carries, the way it writes them, and what must come out of that."""

    name: str
    """The file's name."""
    order: int
    """The place among the vendors. The bytes of a seed depend on it, so that a new vendor takes the next number."""
    share: float
    """The number of its calls, relative to the other vendors."""
    weights: Mapping[Scenario, int]
    """The frequency of each scenario, relative to the others."""
    maker: Callable[[random.Random], Maker]
    """Makes the source of its calls and bindings for one run; called once."""
    expected: Callable[[TrueCall], Expectation]
    """Returns the expectation of a call's record."""
    path: str = ""
    """The address of its pushes."""
    record: Callable[[TrueCall, random.Random], bytes] | None = None
    """Writes the body that pushes one record."""
    batch: BatchFormat | None = None
    states: Callable[[TrueCall, random.Random], list[StatePush]] | None = None
    """Writes the state pushes of a call, each leg's in its order."""
    binding: Callable[[TrueBinding], tuple[bytes, Expectation]] | None = None
    """Writes the body that pushes the change of a binding."""
    recounts: bool = False
    """True when a record may come again with another duration."""
    retry: RetryPolicy = RetryPolicy(attempts=1)
    stranger: bytes = b""
    """A body of another vendor, never one that this vendor could take for its own; `%b` is where an id goes."""
    breakers: Mapping[str, Breaker] = {}
    """The broken bodies that only this vendor has, by name."""
    pull: PullApi | None = None
