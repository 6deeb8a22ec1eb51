"""The needs of a rate of events: worked out by hand for round costs, never less for more, and as the page says."""

from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.admin.capacity import COSTS, FILE, RATES, Cost, Machines, Plan, document, plan
from schemas.config.keep import KeepSettings
from schemas.config.settings import JoinSettings, Settings

ROUND = MappingProxyType(
    {name: Cost(100 if one.unit == "us" else 1000, one.unit, one.meaning, one.command) for name, one in COSTS.items()}
)
"""Every part takes 100 us of an event, and everything that is stored of it 1,000 bytes."""
FULL = Machines(busy=1, disk_full=1, replication=1, clickhouse_replicas=1)
"""Machines that may be full to the brim, so that a sum by hand has no factor in it."""


@pytest.mark.parametrize(
    ("wanted", "field", "value"),
    [
        pytest.param(10_000, "ingress", 1, id="ten thousand events of 100 us fill one core"),
        pytest.param(10_001, "workers", 2, id="one event more takes a second worker"),
        pytest.param(1, "sinks", 1, id="there is one of each for any rate"),
        pytest.param(1, "partitions", 24, id="few workers leave the partitions at their default"),
        pytest.param(130_000, "partitions", 48, id="thirteen workers take two partitions each, in steps of the default"),
        pytest.param(80_001, "brokers_by_cpu", 2, id="a broker has eight cores"),
        pytest.param(160_001, "shards_by_cpu", 2, id="a ClickHouse server has sixteen cores"),
        pytest.param(250_000, "brokers_by_network", 1, id="1.25 GB a second of five topics fit a network of 10 Gbit/s"),
        pytest.param(250_001, "brokers_by_network", 2, id="and no byte more"),
        pytest.param(1_000, "clickhouse_tb", 31.536, id="a million bytes a second are 31.5 TB a year"),
        pytest.param(1_000, "remembered_gb", 604.8, id="a thousand calls a second are remembered for a week"),
        pytest.param(1_000, "from_vendors_gbit", 0.008, id="a byte has eight bits"),
        pytest.param(1_000, "kafka_tb", 86_400 * (14 + 14 + 30 + 365 + 7) / 1e6, id="each topic is kept for its own time"),
    ],
)  # fmt: skip
def test_a_sum_by_hand(wanted: int, field: str, value: float) -> None:
    assert getattr(plan(wanted, machines=FULL, costs=ROUND), field) == pytest.approx(value)


@pytest.mark.parametrize(
    ("settings", "field", "share"),
    [
        pytest.param(Settings(join=JoinSettings(horizon_s=86_400)), "remembered_gb", 1 / 7, id="a shorter memory"),
        pytest.param(
            Settings(keep=KeepSettings(cdr_days=73, timelines_days=73)), "clickhouse_tb", 73 / 365, id="rows of 73 days"
        ),
        pytest.param(Settings(keep=KeepSettings(cdr_days=73)), "clickhouse_tb", 1, id="calls that are kept for ever"),
    ],
)
def test_settings_count(settings: Settings, field: str, share: float) -> None:
    assert getattr(plan(1000, settings), field) == pytest.approx(share * getattr(plan(1000), field))


@pytest.mark.parametrize("field", ["kafka_tb", "into_brokers_gbit"])
def test_every_replica_is_written(field: str) -> None:
    three, one = (plan(1000, machines=Machines(replication=number)) for number in (3, 1))

    assert getattr(three, field) == pytest.approx(3 * getattr(one, field))


@given(rate=st.floats(1, 1e7), more=st.floats(1, 10))
def test_more_events_never_take_less(rate: float, more: float) -> None:
    less, greater = numbers(plan(rate)), numbers(plan(rate * more))

    assert all(greater[name] >= value for name, value in less.items())


@given(rate=st.floats(1, 1e7))
def test_nothing_is_fuller_than_is_allowed(rate: float) -> None:
    found, machines = plan(rate), Machines()

    assert rate * COSTS["worker"].value / 1e6 / found.workers <= machines.busy * 1.000001
    assert found.partitions >= 2 * found.workers
    assert found.partitions % Settings().kafka.partitions == 0
    assert found.brokers >= machines.replication
    assert found.kafka_tb / found.brokers <= machines.broker_disk_tb * machines.disk_full * 1.000001
    assert found.clickhouse_tb / found.shards <= machines.clickhouse_disk_tb * machines.disk_full * 1.000001


@pytest.mark.parametrize("name", COSTS)
def test_every_cost_counts(name: str) -> None:
    dearer = {**COSTS, name: msgspec.structs.replace(COSTS[name], value=COSTS[name].value * 10)}

    assert plan(RATES[-1], costs=dearer) != plan(RATES[-1])


def test_the_page_is_that_of_the_costs() -> None:
    """After a change of a cost or a setting: `python -m deploy.admin.capacity`."""
    assert FILE.read_text(encoding="utf-8") == document()


def numbers(found: Plan) -> dict[str, Any]:
    return msgspec.structs.asdict(found)
