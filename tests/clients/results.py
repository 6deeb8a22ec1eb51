"""Reads the output of the clients' programs and of the suite, and makes the table of results. Pure."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

SUITE: Final = "clickhouse-connect's suite"
_WHY_WIDTH: Final = 160


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a command."""

    code: int
    output: str
    errors: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one client's program."""

    client: str
    version: str = "-"
    passed: int = 0
    failed: tuple[str, ...] = ()
    explained: int = 0
    skipped: int = 0
    not_run: str = ""


def read(client: str, done: Done) -> Result:
    """Reads a program's output; a program that ended early has failed too."""
    lines = done.output.splitlines()
    failed = [line.removeprefix("not ok ") for line in lines if line.startswith("not ok ")]
    passed = sum(line.startswith("ok ") for line in lines)
    if done.code or not (passed or failed):
        failed.append(f"the program ended with {done.code}: {last_words(done)}")
    version = next((line.removeprefix("version ") for line in lines if line.startswith("version ")), "?")
    return Result(client=client, version=version, passed=passed, failed=tuple(failed))


def last_words(done: Done) -> str:
    """Returns the last line of its errors, or else of its output."""
    return (done.errors.strip() or done.output.strip() or "it said nothing").splitlines()[-1]


def read_suite(report: ET.Element, known: Mapping[str, str], version: str) -> Result:
    """Reads the JUnit report of clickhouse-connect's own suite; failures in `known` are explained."""
    passed = skipped = explained = 0
    failed: list[str] = []
    for case in report.iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        problem = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        if problem is not None and name in known:
            explained += 1
        elif problem is not None:
            failed.append(f"{name}: {' '.join((problem.get('message') or '').split())}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return Result(
        client=SUITE,
        version=version,
        passed=passed,
        failed=tuple(failed),
        explained=explained,
        skipped=skipped,
    )


def known_failures(text: str) -> dict[str, str]:
    """Returns the reason of each known test; in the file, a line with # is the reason of the tests below it."""
    reason, known = "", {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            reason = line.removeprefix("#").strip()
        else:
            known[line] = reason
    return known


def table(results: Iterable[Result]) -> Iterator[str]:
    """Returns the lines of the table."""
    form = "{:<32} {:<10} {:>6} {:>6} {:>9} {:>7}  {}"
    yield form.format("client", "version", "passed", "failed", "explained", "skipped", "why")
    for one in results:
        why = one.failed or (f"NOT RUN: {one.not_run}",) if one.not_run or one.failed else ("",)
        yield form.format(
            one.client, one.version, one.passed, len(one.failed), one.explained, one.skipped, why[0][:_WHY_WIDTH]
        ).rstrip()
        for more in why[1:]:
            yield form.format("", "", "", "", "", "", more[:_WHY_WIDTH])
