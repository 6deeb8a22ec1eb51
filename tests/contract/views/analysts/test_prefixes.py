"""Prefixes: calling codes against the library of numbers, loading, the longest match, and what an analyst sees."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import phonenumbers
import pytest
from click.testing import CliRunner

from deploy.analysis.prefix_file import Prefix
from deploy.analysis.prefixes import Loaded, load
from deploy.cli.main import main
from schemas.facts import Direction
from schemas.privacy.masks import masked
from sinks.clickhouse import ClickHouse
from sinks.rows import TIMELINES
from tests.contract.views.samples import ask, call

COUNT_AS: Final = {
    "AX": "FI", "BL": "GP", "CC": "AU", "CX": "AU", "EH": "MA", "GG": "GB", "IM": "GB", "JE": "GB", "MF": "GP", "SJ": "NO",
    "TA": "SH", "VA": "IT", "YT": "RE",
}  # fmt: skip
"""Islands and places whose numbers have no digits of their own behind the shared code."""
KNOWN: Final = phonenumbers.SUPPORTED_REGIONS - COUNT_AS.keys()


@pytest.fixture
async def loaded(db: ClickHouse) -> AsyncIterator[ClickHouse]:
    """Yields the shared database, and takes the prefixes out of it again."""
    yield db
    await db.command(f"TRUNCATE TABLE {db.database}.prefixes")


def numbers() -> dict[str, str]:
    """Returns an example of a number of every country, from the library's metadata."""
    found = {}
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
        example = example or phonenumbers.example_number(region)
        assert example is not None
        found[region] = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    return found


async def test_a_number_of_every_country_is_of_this_country(db: ClickHouse) -> None:
    examples = numbers()
    assert len(examples) > 230
    await db.insert(TIMELINES, [call(n, to_number=number) for n, number in enumerate(examples.values())])
    shown = dict(await ask(db, "SELECT other_number, country FROM v_other_parties"))
    wrong = {
        region: shown[number] for region, number in examples.items() if shown[number] != COUNT_AS.get(region, region)
    }
    assert wrong == {}


async def test_the_masked_form_tells_the_same_country_or_none(db: ClickHouse) -> None:
    """To name one where hidden digits decide would tell a hidden digit, or be wrong."""
    examples = numbers()
    await db.insert(TIMELINES, [call(n, to_number=number) for n, number in enumerate(examples.values())])
    clear = dict(await ask(db, "SELECT timeline_id, country FROM v_other_parties"))
    rows = await ask(db, "SELECT timeline_id, country, is_ambiguous FROM masked_other_parties")
    assert [row for row in rows if row[1] != clear[row[0]] and not (row[1] == "" and row[2])] == []
    assert sum(row[1] != "" for row in rows) > 150
    assert {clear[row[0]] for row in rows if row[2]} >= {"JM", "US"}


MATCHES: Final = (
    Prefix(prefix="+86", name="China"), Prefix(prefix="+8613", name="Mobile", kind="mobile"),
    Prefix(prefix="+861310000", name="One operator", kind="mobile"), Prefix(prefix="+1876", name="Jamaica of ours", kind="dear"),
)  # fmt: skip
CALLS: Final[dict[str, tuple[dict[str, Any], tuple[str, str, str], tuple[str, str]]]] = {
    "the longest decides": ({"to_number": "+8613100001234"}, ("+861310000", "One operator", "CN"), ("+8613", "CN")),
    "a shorter one": ({"to_number": "+8613200001234"}, ("+8613", "Mobile", "CN"), ("+8613", "CN")),
    "the shortest": ({"to_number": "+862100001234"}, ("+86", "China", "CN"), ("+86", "CN")),
    "the calling code, where none is loaded": ({"to_number": "+447700900123"}, ("+44", "United Kingdom", "GB"), ("+44", "GB")),
    "one that takes the place of a calling code": ({"to_number": "+18765550100"}, ("+1876", "Jamaica of ours", "JM"), ("+1", "")),
    "the caller of an inbound call": (
        {"direction": Direction.INBOUND, "from_number": "+447700900123", "to_number": "+8613100001234"}, ("+44", "United Kingdom", "GB"),
        ("+44", "GB"),
    ),
    "a number that is no E.164": ({"to_number": "10086"}, ("", "", ""), ("", "")),
    "no number": ({}, ("", "", ""), ("", "")),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "clear", "hidden"), CALLS.values(), ids=CALLS)
async def test_the_longest_prefix_decides(
    loaded: ClickHouse, fields: dict[str, Any], clear: tuple[str, str, str], hidden: tuple[str, str]
) -> None:
    await load(loaded.settings, MATCHES)
    await loaded.insert(TIMELINES, [call(1, **{"direction": Direction.OUTBOUND, **fields})])
    assert await ask(loaded, "SELECT prefix, prefix_name, country FROM v_other_parties") == [clear]
    assert await ask(loaded, "SELECT prefix, country FROM masked_other_parties") == [hidden]


@pytest.mark.parametrize(
    ("number", "country"),
    [
        pytest.param("+8613100001234", "CN", id="what is shown is enough"),
        pytest.param("+18765550100", "", id="it is not"),
    ],
)
async def test_a_number_that_is_kept_no_longer_is_matched_by_its_masked_form(
    db: ClickHouse, number: str, country: str
) -> None:
    await db.insert(TIMELINES, [call(1, to_number=number)])
    await db.command(
        f"ALTER TABLE {db.database}.timelines_by_slot UPDATE to_number = NULL WHERE 1 SETTINGS mutations_sync = 1"
    )
    assert await ask(db, "SELECT other_number, other_masked, country, is_ambiguous FROM v_other_parties") == [
        (None, masked(number), country, country == "")
    ]


@pytest.mark.parametrize("view", ["v_other_parties", "masked_other_parties"])
async def test_a_client_that_joins_with_nulls_sees_the_same(db: ClickHouse, view: str) -> None:
    """Some tools set join_use_nulls for all of their queries."""
    await db.insert(TIMELINES, [call(1, to_number="8001"), call(2, to_number="+8613900000001")])
    plain = await ask(db, f"SELECT * FROM {view} ORDER BY timeline_id")
    assert len(plain) == 2
    assert await ask(db, f"SELECT * FROM {view} ORDER BY timeline_id SETTINGS join_use_nulls = 1") == plain


async def test_a_file_takes_the_place_of_the_one_before(loaded: ClickHouse) -> None:
    shown = "SELECT prefix, name, country, kind FROM v_prefixes WHERE is_loaded ORDER BY prefix"
    first = [
        Prefix(prefix="+8613", name="Mobile"),
        Prefix(prefix="+8615", name="Another"),
        Prefix(prefix="+1", name="All of it"),
    ]
    ((codes,),) = await ask(loaded, "SELECT count() FROM v_prefixes")

    assert await load(loaded.settings, first) == Loaded(prefixes=3, new=3, changed=0, removed=0)
    assert await ask(loaded, "SELECT count() FROM v_prefixes") == [(codes + 2,)]  # +1 is one of the codes
    assert await load(loaded.settings, reversed(first)) == Loaded(prefixes=3, new=0, changed=0, removed=0)
    second = [
        Prefix(prefix="+8613", name="Mobile of China", kind="mobile"),
        Prefix(prefix="+1", name="All of it"),
        Prefix(prefix="+7", name="x"),
    ]
    assert await load(loaded.settings, second) == Loaded(prefixes=3, new=1, changed=1, removed=1)
    wanted = [("+1", "All of it", "US", ""), ("+7", "x", "RU", ""), ("+8613", "Mobile of China", "CN", "mobile")]
    assert await ask(loaded, shown) == wanted
    assert await load(loaded.settings, first) == Loaded(prefixes=3, new=1, changed=1, removed=1)
    assert await load(loaded.settings, second) == Loaded(prefixes=3, new=1, changed=1, removed=1)
    await loaded.command(f"OPTIMIZE TABLE {loaded.database}.prefixes FINAL")
    assert await ask(loaded, shown) == wanted


async def test_the_command_loads_a_file_and_refuses_a_wrong_one_as_a_whole(
    loaded: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = loaded.settings
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "URL": ours.url,
        "USER": ours.user,
        "PASSWORD": ours.password.value,
        "DATABASE": ours.database,
    }.items():
        monkeypatch.setenv(f"CALLWEAVE_CLICKHOUSE__{name}", value)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("prefix,name,kind\n8613,Mobile,mobile\n")
    bad.write_text("prefix,name\n8615,Another\nx,y\n")
    checked = await asyncio.to_thread(CliRunner().invoke, main, ["prefixes", "load", "--check", str(good)])
    assert (checked.exit_code, checked.output) == (0, "1 prefixes, and nothing wrong with them\n")
    assert await ask(loaded, "SELECT count() FROM prefixes") == [(0,)]
    done = await asyncio.to_thread(CliRunner().invoke, main, ["prefixes", "load", str(good)])
    assert (done.exit_code, done.output) == (0, "1 prefixes: 1 new, 0 changed, 0 as before; 0 removed\n")
    refused = await asyncio.to_thread(CliRunner().invoke, main, ["prefixes", "load", str(bad)])
    assert refused.exit_code == 1
    assert "line 3: 'x' is no prefix" in refused.output
    assert await ask(loaded, "SELECT prefix, country FROM v_prefixes WHERE is_loaded") == [("+8613", "CN")]
