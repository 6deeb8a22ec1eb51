"""Published schemas stay readable: all versions are FULL_TRANSITIVE, and no version ever changes."""

import hashlib
import io
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import fastavro
import pytest

from schemas.codec import PUBLISHED, PublishedSchema, schema_text
from tests.contract.schema_rules import breaks

NAMES = sorted({published.name for published in PUBLISHED})
FROZEN = {
    "fact.v1.avsc": "3f167faad0f9746a39ed3a786a27bade21e8decacafa52d108a33def8a8cc46f",
    "timeline.v1.avsc": "547854a04999ebf7fb0e079871e4acdb2eb29e53a492d7bc0576eb07688e220a",
    "dead_letter.v1.avsc": "d825bff6b46f94876f97291d0ce507e61d11261df6bbcd9c82c5fd7c846048ed",
    "fact.v2.avsc": "6635ac866ed62efdd90bcb27a1076b250ed89673c5b1d731b82855a998e7d232",
    "timeline.v2.avsc": "c1d2aea825f6184a72c316c9981b51cee1ae62104dcbcab4c1ecb59df434b47c",
    "dead_letter.v2.avsc": "aaed8128b1804ae8dffa205d1c58b6f659b4b2a48c45b5524e80180edd9ee15c",
}
"""The SHA-256 of the versions of the first releases; that of a later one is in `schemas/avro/published.json`."""


def versions(name: str) -> list[PublishedSchema]:
    return sorted((one for one in PUBLISHED if one.name == name), key=lambda one: one.version)


@pytest.mark.parametrize("name", NAMES)
def test_all_versions_read_each_other(name: str) -> None:
    assert breaks([schema_text(one) for one in versions(name)]) == []


@pytest.mark.parametrize("name", NAMES)
def test_versions_count_from_one_and_have_ids_of_their_own(name: str) -> None:
    assert [one.version for one in versions(name)] == list(range(1, len(versions(name)) + 1))
    assert len({one.schema_id for one in PUBLISHED}) == len(PUBLISHED)


def test_what_was_published_is_as_it_was() -> None:
    """No file is there that nothing publishes, either."""
    folder = resources.files("schemas").joinpath("avro")
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}

    hashes = {name: digest for name, digest in there.items() if name.endswith(".avsc")}
    assert hashes == {one.file: one.sha256 for one in PUBLISHED}
    assert hashes | FROZEN == hashes


BASE: dict[str, Any] = {
    "type": "record",
    "name": "Call",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "ring_ms", "type": ["null", "long"], "default": None},
        {"name": "cost", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}},
        {
            "name": "legs",
            "type": {
                "type": "array",
                "items": {"type": "record", "name": "Leg", "fields": [{"name": "role", "type": "string"}]},
            },
            "default": [],
        },
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["UP", "DOWN"]}},
    ],
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(json.dumps(BASE))
    change(schema)
    return schema


def add(schema: dict[str, Any], **field: Any) -> None:
    schema["fields"].append({"name": "more", **field})


ALLOWED: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing changed": lambda _: None,
    "a field with a default added": lambda s: add(s, type="string", default=""),
    "a nullable field with a default added": lambda s: add(s, type=["null", "string"], default=None),
    "a field with a default removed": lambda s: s["fields"].pop(1),
    "fields in another order": lambda s: s["fields"].reverse(),
    "documentation": lambda s: s.update(doc="A call."),
    "a field with a default added to a leg": lambda s: s["fields"][3]["type"]["items"]["fields"].append(
        {"name": "sip", "type": "int", "default": 0}
    ),
}
REFUSED: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field without default removed": lambda s: s["fields"].pop(0),
    "a field without default added": lambda s: add(s, type="string"),
    "a type changed": lambda s: s["fields"][0].update(type="long"),
    "a type widened, which has no way back": lambda s: s["fields"][1].update(type=["null", "double"]),
    "a branch removed": lambda s: s["fields"][1].update(type="long", default=0),
    "a branch added": lambda s: s["fields"][1].update(type=["null", "long", "string"]),
    "another scale of money": lambda s: s["fields"][2]["type"].update(scale=4),
    "a logical type taken away": lambda s: s["fields"][2]["type"].pop("logicalType"),
    "a field renamed": lambda s: s["fields"][0].update(name="call_id"),
    "a leg's field without default added": lambda s: s["fields"][3]["type"]["items"]["fields"].append(
        {"name": "sip", "type": "int"}
    ),
    "a symbol removed": lambda s: s["fields"][4]["type"]["symbols"].pop(),
    "a symbol added": lambda s: s["fields"][4]["type"]["symbols"].append("LOST"),
    "a record renamed": lambda s: s["fields"][3]["type"]["items"].update(name="Side"),
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_the_check_lets_a_compatible_change_pass(change: Callable[[dict[str, Any]], object]) -> None:
    assert breaks([json.dumps(BASE), json.dumps(changed(change))]) == []


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_the_check_refuses_a_breaking_change(change: Callable[[dict[str, Any]], object]) -> None:
    assert breaks([json.dumps(BASE), json.dumps(changed(change))]) != []


def test_the_check_is_transitive() -> None:
    """Each version reads its neighbours, yet the first and the third do not read each other."""
    plain = {"type": "record", "name": "Call", "fields": [{"name": "id", "type": "string"}]}
    first = {**plain, "fields": [*plain["fields"], {"name": "x", "type": "string", "default": ""}]}
    third = {**plain, "fields": [*plain["fields"], {"name": "x", "type": "long", "default": 0}]}
    texts = [json.dumps(one) for one in (first, plain, third)]

    assert breaks(texts[:2]) == breaks(texts[1:]) == []
    assert [reason.split(":")[0] for reason in breaks(texts)] == [
        "version 1 cannot read version 3",
        "version 3 cannot read version 1",
    ]


CALL = {"id": "1", "ring_ms": 5, "cost": b"\x01", "legs": [{"role": "A"}], "state": "UP"}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_what_the_check_lets_pass_a_foreign_reader_reads(change: Callable[[dict[str, Any]], object]) -> None:
    """Fastavro resolves the two schemas, so that our check does not only agree with itself."""
    old = {**BASE, "fields": [dict(f, type="bytes") if f["name"] == "cost" else f for f in BASE["fields"]]}
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(old), CALL)
    written.seek(0)

    new = changed(change)
    for field in new["fields"]:
        if field["name"] == "cost":
            field["type"] = "bytes"
    read: Any = fastavro.schemaless_reader(written, fastavro.parse_schema(old), fastavro.parse_schema(new))

    assert (read["id"], read["state"]) == ("1", "UP")
