"""The audit trail is kept as long as its setting says, and never shorter because there is much of it."""

import pytest

from schemas.config.settings import KafkaSettings
from schemas.topics import AUDIT, TOPICS

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        pytest.param(None, 365 * DAY_MS, id="without a setting"),
        pytest.param(30, 30 * DAY_MS, id="days"),
        pytest.param(36_500, 36_500 * DAY_MS, id="the most days"),
        pytest.param(0, -1, id="for ever"),
    ],
)
def test_the_trail_is_kept_for_the_days_of_its_setting(days: int | None, kept: int) -> None:
    told = AUDIT.settings(days)

    assert told["retention.ms"] == str(kept)
    assert (told["cleanup.policy"], told["retention.bytes"]) == ("delete", "-1")


def test_a_setting_that_a_topic_names_is_one_with_the_same_default() -> None:
    named = [topic for topic in TOPICS if topic.retention_setting]

    assert AUDIT in named
    for topic in named:
        assert getattr(KafkaSettings(), topic.retention_setting) == topic.retention_days
