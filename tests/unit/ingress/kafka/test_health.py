import pytest

from ingress.kafka.health import KafkaHealth


def health_after(*news: str) -> KafkaHealth:
    health = KafkaHealth("broker:9092")
    for item in news:
        match item:
            case "answered":
                health.answered(())
            case "topic missing":
                health.answered(("calls.raw",))
            case "silent":
                health.silent()
            case _:
                health.acknowledged(float(item.removeprefix("acknowledged at ")))
    return health


@pytest.mark.parametrize(
    ("news", "now", "oldest", "expected"),
    [
        pytest.param((), 100.0, None, "not reached", id="nothing known yet is not ready"),
        pytest.param(("answered",), 100.0, None, "", id="an answer is ready"),
        pytest.param(("topic missing",), 100.0, None, "no topic calls.raw", id="a missing topic is named"),
        pytest.param(("answered", "silent"), 100.0, None, "does not answer", id="silence after an answer is not ready"),
        pytest.param(("silent", "answered"), 100.0, None, "", id="an answer after silence is ready"),
        pytest.param(
            ("silent", "acknowledged at 99.5"), 100.0, None, "", id="a fresh acknowledgement outweighs a late probe"
        ),
        pytest.param(("silent", "acknowledged at 98"), 100.0, None, "does not answer", id="an old one does not"),
        pytest.param(("answered",), 100.0, 99.0, "", id="a record may wait a second"),
        pytest.param(
            ("answered",), 100.0, 97.0, "acknowledges nothing", id="waiting without any acknowledgement is a stall"
        ),
        pytest.param(("answered", "acknowledged at 99"), 100.0, 90.0, "", id="one slow partition is not a stall"),
        pytest.param(("answered", "acknowledged at 50"), 100.0, 99.5, "", id="quiet before this record does not count"),
    ],
)
def test_health_is_what_was_last_seen(news: tuple[str, ...], now: float, oldest: float | None, expected: str) -> None:
    trouble = health_after(*news).trouble(now, oldest)
    assert expected in trouble
    assert bool(expected) == bool(trouble)
