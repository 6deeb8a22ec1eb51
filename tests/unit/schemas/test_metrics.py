"""Metrics: Prometheus's text, and a reader for it."""

from deploy.process.scrape import parse, total
from schemas.metrics import METRICS, Registry


def test_every_metric_says_what_to_do() -> None:
    names = [metric.name for metric in METRICS]

    assert len(names) == len(set(names))
    assert all(metric.help and metric.act for metric in METRICS)


def test_what_is_written_is_read_back() -> None:
    """Labels with quotes and line breaks included."""
    metrics = Registry()
    metrics.add("callweave_normalise_dead_total", 'a"b\\c\nd', "json", by=3)
    metrics.add("callweave_normalise_dead_total", "x", "json")
    metrics.put("callweave_lag_records", "join", value=7)
    metrics.observe("callweave_sink_insert_seconds", "cdr", value=0.5)

    samples = parse(metrics.text())

    assert total(samples, "callweave_normalise_dead_total", code="json") == 4
    assert total(samples, "callweave_lag_records", stage="join") == 7
    assert total(samples, "callweave_sink_insert_seconds_count", table="cdr") == 1


def test_gauges_are_set_when_they_are_read() -> None:
    metrics = Registry()
    metrics.before_read(lambda: metrics.put("callweave_sink_waiting", value=1))

    assert total(parse(metrics.text()), "callweave_sink_waiting") == 1
