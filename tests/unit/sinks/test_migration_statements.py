"""The comments of a table's columns are one statement: a new database is there in a quarter of the time."""

import pytest

from schemas.config.settings import ClickHouseSettings
from sinks.migrate import comments_together, migrations, statements

FIRST, SECOND = (f"ALTER TABLE calls.v_one \n    COMMENT COLUMN {name} 'of ALTER TABLE, or; two'" for name in "ab")
ON_CLUSTER = "ALTER TABLE calls.v_one ON CLUSTER main COMMENT COLUMN a 'here'"
OTHER = "ALTER TABLE calls.v_two COMMENT COLUMN a 'there'"
VIEW = "CREATE OR REPLACE VIEW calls.v_one AS SELECT 1 AS a"
ADDED = "ALTER TABLE calls.v_one ADD COLUMN b String COMMENT 'COMMENT COLUMN'"
BOTH = f"{FIRST},\n    COMMENT COLUMN b 'of ALTER TABLE, or; two'"

CASES: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], []),
    "one table's are one": ([FIRST, SECOND], [BOTH]),
    "another table's are another": ([FIRST, OTHER, SECOND], [FIRST, OTHER, SECOND]),
    "a cluster's are not a server's": ([FIRST, ON_CLUSTER], [FIRST, ON_CLUSTER]),
    "on a cluster they are one too": ([ON_CLUSTER, ON_CLUSTER], [f"{ON_CLUSTER},\n    COMMENT COLUMN a 'here'"]),
    "what comes between parts them": ([FIRST, VIEW, SECOND], [FIRST, VIEW, SECOND]),
    "a column that is added stays alone": ([ADDED, FIRST, SECOND, ADDED], [ADDED, BOTH, ADDED]),
}


@pytest.mark.parametrize(("given", "wanted"), CASES.values(), ids=CASES)
def test_comments_of_one_table_that_follow_each_other_are_one_statement(given: list[str], wanted: list[str]) -> None:
    assert comments_together(given) == wanted


FORMS = {
    "one server": ClickHouseSettings(),
    "a cluster": ClickHouseSettings(cluster="main"),
    "shards": ClickHouseSettings(cluster="main", sharded=True),
}


@pytest.mark.parametrize("where", FORMS.values(), ids=FORMS)
def test_no_comment_of_a_migration_is_lost(where: ClickHouseSettings) -> None:
    for migration in migrations():
        before = statements(migration.template, where)
        after = comments_together(before)
        assert "\n".join(after).count("COMMENT COLUMN ") == "\n".join(before).count("COMMENT COLUMN ")
