"""A field added to a type becomes the next version of its schema, which reads and is read by all versions."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from deploy.admin.publish_schemas import FOLDER, TYPES, next_version, publish
from schemas.codec import PUBLISHED, schema_text
from schemas.enums import Disposition
from schemas.facts import EPOCH, Fact, Leg
from schemas.timeline import Timeline
from tests.contract.schema_rules import breaks


class WiderFact(Fact, frozen=True, kw_only=True):
    added_field: int | None = None
    labels: tuple[str, ...] = ()
    first_outcome: Disposition = Disposition.UNKNOWN
    notes: dict[str, str] = msgspec.field(default_factory=dict)


class WiderTimeline(Timeline, frozen=True, kw_only=True):
    added_field: int | None = None


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_published(name: str) -> None:
    """After a new field: `python -m deploy.admin.publish_schemas`."""
    assert next_version(name, TYPES[name]) is None


def test_a_new_field_is_a_new_version_that_all_versions_read(tmp_path: Path) -> None:
    files = publish(tmp_path, {**TYPES, "fact": WiderFact, "timeline": WiderTimeline})
    older = [schema_text(one) for one in PUBLISHED if one.name == "fact"]
    text = (tmp_path / files[0]).read_text("utf-8")

    assert files == [f"fact.v{len(older) + 1}.avsc", f"timeline.v{len(older) + 1}.avsc"]
    assert breaks([*older, text]) == []
    assert json.loads(text)["fields"][-4:] == [
        {"name": "added_field", "type": ["null", "long"], "default": None},
        {"name": "labels", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "first_outcome", "type": "string", "default": "unknown"},
        {"name": "notes", "type": {"type": "map", "values": "string"}, "default": {}},
    ]


def test_published_versions_stay_as_they_are(tmp_path: Path) -> None:
    publish(tmp_path, {"fact": WiderFact, "timeline": WiderTimeline})
    lines = json.loads((tmp_path / "published.json").read_text("utf-8"))

    assert lines[: len(PUBLISHED)] == json.loads((FOLDER / "published.json").read_text("utf-8"))
    assert len({line["schema_id"] for line in lines}) == len(PUBLISHED) + 2


def test_a_field_without_a_default_is_refused() -> None:
    class Strict(Fact, frozen=True, kw_only=True):
        added_field: int

    with pytest.raises(ValueError, match="needs a default: added_field"):
        next_version("fact", Strict)


def test_an_instants_default_is_in_microseconds() -> None:
    class Later(Fact, frozen=True, kw_only=True):
        seen_at: datetime = EPOCH + timedelta(seconds=1)

    found = next_version("fact", Later)

    assert found is not None
    assert json.loads(found[1])["fields"][-1]["default"] == 1_000_000


def test_a_nested_type_is_left_to_its_author() -> None:
    class Nested(Fact, frozen=True, kw_only=True):
        first_leg: Leg | None = None

    with pytest.raises(ValueError, match="by hand"):
        next_version("fact", Nested)
