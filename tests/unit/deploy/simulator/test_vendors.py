"""Simulated vendors: each is one file, and the bytes of a seed stay the same."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from deploy.simulator.requests import Offer, PushRequest
from deploy.simulator.traffic import Mix, Traffic
from deploy.simulator.vendors import SIMULATED_VENDORS
from schemas.vendors import VENDORS

FOLDER: Final = Path(__file__).parents[4] / "deploy" / "simulator"
NOW: Final = datetime(2026, 3, 3, 6, 22, 10, tzinfo=UTC)
CALLS: Final = 2000
IRREGULAR: Final = Mix(
    repeat=0.2, rebatch=0.2, update=0.3, conflict=0.1, broken=0.1, bad_element=0.2, compressed=0.3, poison=0.3
)
# The digests of all that seed 7 sends. A change that is meant to change the bytes (another vendor, scenario, poison or
# share) renews them: run this test, and copy the digests that it finds. Any other change must leave them as they are.
DIGESTS: Final = {
    "regular": "c809170851a51b856474047771e648f3",
    "irregular": "05234ee6326729ea5d786db01057f6b7",
}


def digest(mix: Mix) -> str:
    """The digest of all requests and offered records of a stream, in their order."""
    found = hashlib.blake2b(digest_size=16)
    shares = {name: vendor.share for name, vendor in SIMULATED_VENDORS.items()}
    for item in Traffic(seed=7, vendors=shares, mix=mix, clock=lambda: NOW).stream(CALLS):
        found.update(_text(item).encode())
        found.update(item.body if isinstance(item, PushRequest) else _records(item))
    return found.hexdigest()


def _text(item: PushRequest | Offer) -> str:
    if isinstance(item, Offer):
        return f"{item.vendor} {item.contradicts}"
    return repr((item.vendor, item.label, item.method, item.path, item.headers, item.mark, item.waits_for))


def _records(offer: Offer) -> bytes:
    pull = SIMULATED_VENDORS[offer.vendor].pull
    assert pull
    return pull.page([call for call in (offer.call, offer.later) if call], "0", False)  # not compressed


@pytest.mark.parametrize(("name", "mix"), [("regular", Mix()), ("irregular", IRREGULAR)])
def test_a_seed_sends_the_same_bytes_as_before(name: str, mix: Mix) -> None:
    """A seed that once found a fault finds it again."""
    assert digest(mix) == DIGESTS[name]


@pytest.mark.parametrize("name", SIMULATED_VENDORS)
def test_a_simulated_vendor_is_pushed_or_pulled_as_the_real_one(name: str) -> None:
    simulated, vendor = SIMULATED_VENDORS[name], VENDORS[name]

    assert bool(simulated.pull) == bool(vendor.poll)
    assert bool(simulated.path) != bool(simulated.pull)
    assert bool(simulated.record or simulated.batch) == bool(simulated.path)


def test_only_its_own_file_names_a_vendor() -> None:
    """A poison is about one vendor; every other file works for all of them."""
    names = re.compile("|".join(VENDORS))
    wrong = [
        str(path.relative_to(FOLDER))
        for path in FOLDER.rglob("*")
        if path.suffix in {".py", ".md"} and path.parent.name not in {"vendors", "poison"}
        if names.search(path.read_text("utf-8").lower())
    ]

    assert wrong == []


def test_orders_are_distinct() -> None:
    """Two vendors with the same place would change places with the names of their files."""
    orders = [vendor.order for vendor in SIMULATED_VENDORS.values()]

    assert len(set(orders)) == len(orders)
