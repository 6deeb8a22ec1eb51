"""A field of a call is declared once, and every other place is checked against it and named when it lacks the field."""

import msgspec

from schemas.facts import Fact
from schemas.timeline import Timeline
from sinks.migrate import Migration, migrations
from tests.support.payloads.field_places import filled, missing_places, names


class WiderFact(Fact, frozen=True, kw_only=True):
    added_field: int | None = None


class WiderTimeline(Timeline, frozen=True, kw_only=True):
    added_field: int | None = None


COLUMN = """-- each: table=cdr_by_slot table=timelines_by_slot
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    ADD COLUMN IF NOT EXISTS added_field Nullable(UInt32);
"""


def test_no_place_lacks_a_field() -> None:
    """After a new field this names every place that is still to be changed."""
    assert missing_places() == []


def test_a_new_field_is_named_at_every_place_that_lacks_it() -> None:
    assert missing_places(WiderFact, WiderTimeline) == [
        "schemas/call_fields.py: CallFields lacks added_field, which fact and timeline share",
        "schemas/call_fields.py: POLICIES lacks added_field",
        "schemas/avro: the newest fact schema lacks added_field",
        "schemas/avro: the newest timeline schema lacks added_field",
        "sinks/rows.py: cdr_by_slot lacks added_field",
        "sinks/migrations: no migration gives cdr_by_slot a column added_field",
        "sinks/rows.py: timelines_by_slot lacks added_field",
        "sinks/migrations: no migration gives timelines_by_slot a column added_field",
        "processors/store/state_codec.py: a stored state lacks added_field",
    ]


def test_a_new_column_without_its_views_is_named() -> None:
    """A view with `*` shows the columns that its table had when it was created."""
    released = (*migrations(), Migration(name="999_added_field", template=COLUMN))

    assert [place for place in missing_places(WiderFact, WiderTimeline, released) if "migrations" in place] == [
        "sinks/migrations: cdr is not created anew after the last column of cdr_by_slot",
        "sinks/migrations: v_cdr is not created anew after the last column of cdr_by_slot",
        "sinks/migrations: timelines is not created anew after the last column of timelines_by_slot",
        "sinks/migrations: v_timelines is not created anew after the last column of timelines_by_slot",
    ]


def test_the_files_to_change_for_a_field_are_four_at_most() -> None:
    """`schemas/avro` is written by a command; the two lines of `schemas/call_fields.py` are in one file."""
    files = {place.split(":")[0] for place in missing_places(WiderFact, WiderTimeline)} - {"schemas/avro"}

    assert files == {
        "schemas/call_fields.py",
        "sinks/rows.py",
        "sinks/migrations",
        "processors/store/state_codec.py",
    }


def test_a_filled_fact_has_a_default_in_no_field() -> None:
    """Otherwise a lost field of a stored state would not be noticed."""
    fact = filled(Fact)
    defaults = {field.name: field.default for field in msgspec.structs.fields(Fact)}

    assert {name for name in names(Fact) if getattr(fact, name) in (defaults[name], {}, ())} == set()
