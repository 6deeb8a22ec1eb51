"""Findings of what was lost, doubled or wrong, from the ledger, the topics and the views. Pure.

The raw topic is compared with the vendors' acknowledgements; the other topics and the views are compared with the raw
topic. So nothing stays open: a body whose answer was lost on its way counts when it is on the raw topic.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from deploy.simulator.expectation import Expectation
from deploy.simulator.sending.ledger import LedgerEntry
from tests.oracle.compare import Difference
from tests.oracle.expected import Counts, Expected, expect

Body = tuple[str, str]
"""A pushed body: its vendor and digest."""
Harm = Literal["lost", "doubled", "wrong"]

_ROWS: Final = re.compile(r"(\d+) rows?$")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be."""

    harm: Harm
    where: tuple[str, ...]
    """The vendor and the call or digest, to find the fault during which it happened."""
    text: str


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of the ledger with the raw topic."""

    entries: tuple[LedgerEntry, ...]
    """The ledger as the raw topic has it: one certain entry for each body that is there."""
    superseded: int
    """The number of pulled records with a newer version that was served: the older one need not have arrived."""
    repeated: int
    """The number of bodies that are there more often than they were acknowledged: duplicates."""
    findings: tuple[Finding, ...]


def stored(entries: Iterable[LedgerEntry], raw: Mapping[Body, int]) -> Stored:
    """Compares the ledger with the raw topic: acknowledged bodies must be there, others must have been sent."""
    sent: dict[Body, list[LedgerEntry]] = defaultdict(list)
    pulled: list[LedgerEntry] = []
    for entry in entries:
        if entry.pulled:
            pulled.append(entry)
        else:
            sent[entry.vendor, entry.digest].append(entry)
    found: list[Finding] = []
    certain: list[LedgerEntry] = []
    repeated = 0
    for body, alike in sent.items():
        acked, there = sum(entry.acked for entry in alike), raw.get(body, 0)
        if there < acked:
            text = f"raw topic: {alike[0].label} of {body[0]} acknowledged {acked} times, there {there} times"
            found += [Finding(harm="lost", where=body, text=text)] * (acked - there)
        repeated += max(0, there - acked)
        once = msgspec.structs.replace(alike[0], acked=True, lost_answers=0)
        certain += [once] * there
    found += [
        Finding(harm="wrong", where=body, text=f"raw topic: a body of {body[0]} that nobody sent")
        for body in raw
        if body not in sent
    ]
    newest, superseded = _newest(pulled)
    return Stored(entries=(*certain, *newest), superseded=superseded, repeated=repeated, findings=tuple(found))


def _newest(pulled: list[LedgerEntry]) -> tuple[list[LedgerEntry], int]:
    """The pulled entries without versions that a later one replaced: a cut connection may have lost the page."""
    last: dict[tuple[str, str], Expectation] = {}
    for entry in pulled:
        last |= {(expectation.vendor, expectation.identity): expectation for expectation in entry.expected}
    total = sum(len(entry.expected) for entry in pulled)
    return [
        LedgerEntry(vendor=vendor, label="page", expected=(expectation,), pulled=True)
        for (vendor, _), expectation in last.items()
    ], total - len(last)


def expected_of(what: Stored) -> Expected:
    """Returns everything that topics and views must show for the bodies on the raw topic."""
    expected = expect(what.entries)
    for count in expected.counts.values():
        if count.pulled:
            # An older version, whether it arrived or not, makes no other row, only one more fact.
            count.unsure += what.superseded
    return expected


def identity_broken(counts: Mapping[str, Counts]) -> list[Finding]:
    """Returns the vendors whose books do not balance (guarantee 7) in the system's own numbers."""
    return [
        Finding(harm="wrong", where=(vendor, ""), text=f"identity of {vendor}: {count}")
        for vendor, count in counts.items()
        if not count.balanced
    ]


def ledger_wrong(
    books: Mapping[str, Mapping[str, Any]], counts: Mapping[str, Counts], left_open: Iterable[str]
) -> list[Finding]:
    """Returns what `v_ledger` and `v_ledger_open` have open, and where they differ from the joiner's own counts."""
    found = [
        Finding(harm="lost", where=(vendor, ""), text=f"v_ledger of {vendor}: {row}")
        for vendor, row in books.items()
        if int(row["open"])
    ]
    found += [Finding(harm="lost", where=("", ""), text=f"v_ledger_open: {line}") for line in left_open]
    for vendor, count in counts.items():
        row = books.get(vendor, {})
        here = {name: int(row.get(name, 0)) for name in ("facts", "duplicates")}
        if here != {"facts": count.facts, "duplicates": count.duplicates}:
            found.append(Finding(harm="wrong", where=(vendor, ""), text=f"v_ledger of {vendor}: {here} for {count}"))
    return found


def findings(differences: Iterable[Difference]) -> list[Finding]:
    """Returns a finding for each difference: a missing row is lost, an extra row doubled, anything else wrong."""
    return [Finding(harm=_harm(one), where=one.key[:1] + one.key[-1:], text=str(one)) for one in differences]


def _harm(one: Difference) -> Harm:
    if one.column:
        return "wrong"
    wanted, shown = _rows(one.expected), _rows(one.actual)
    return "lost" if shown < wanted else "doubled"


def _rows(count: object) -> int:
    found = _ROWS.search(str(count))
    return int(found.group(1)) if found else int(count) if isinstance(count, int) else 0


def unlike(view: str, shown: Mapping[str, int], topic: Mapping[str, int]) -> list[Finding]:
    """Compares the newest versions that a view shows with the newest on its topic."""
    found = []
    for key in sorted(shown.keys() | topic.keys()):
        here, there = shown.get(key), topic.get(key)
        if here != there:
            harm: Harm = "lost" if here is None else "doubled" if there is None else "wrong"
            text = f"{view} {key}: version {here} in the view, {there} on the topic"
            found.append(Finding(harm=harm, where=("", key), text=text))
    return found


def ended_without_fault(before: Mapping[str, int], after: Mapping[str, int]) -> list[Finding]:
    """Returns the parts that ended without a fault: something that was sent has ended them."""
    return [
        Finding(harm="wrong", where=("", name), text=f"{name} ended {after[name] - times} times without a fault")
        for name, times in before.items()
        if after[name] > times
    ]


def by_window(
    found: Iterable[Finding], entries: list[LedgerEntry], windows: Mapping[str, list[tuple[int, int]]]
) -> tuple[dict[str, Counter[Harm]], dict[str, int]]:
    """Returns findings and acknowledgements by the fault during which the body was acknowledged; "" for none.

    A window is a range of ledger entries: from the fault's begin until all parts were back at work.
    """
    about: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for number, entry in enumerate(entries):
        about[entry.vendor, entry.digest].add(number)
        for element in entry.expected:
            about[element.vendor, element.call].add(number)
    harms: dict[str, Counter[Harm]] = defaultdict(Counter)
    for one in found:
        numbers = about.get(one.where, set())
        blamed = [
            name
            for name, stretches in windows.items()
            if any(start <= number < end for start, end in stretches for number in numbers)
        ]
        for name in blamed or [""]:
            harms[name][one.harm] += 1
    acked = {
        name: sum(entry.acked for start, end in stretches for entry in entries[start:end])
        for name, stretches in windows.items()
    }
    return harms, acked
