"""The doctor's verdict on a ClickHouse that answers."""

import pytest

from deploy.doctor.clickhouse import verdict
from schemas.config.settings import ClickHouseSettings

URL = "https://ch.example:8443"


@pytest.mark.parametrize(
    ("cluster", "lacking", "is_cloud", "state", "said"),
    [
        pytest.param("", (), False, "ok", "all tables and views are there", id="one server"),
        pytest.param("main", (), False, "ok", "all tables and views are there", id="a cluster"),
        pytest.param("", (), True, "ok", "all tables and views are there", id="Cloud"),
        pytest.param("", ("014_charges",), True, "note", "without 014_charges", id="a migration is missing"),
        pytest.param("main", (), True, "bad", "clickhouse.cluster is set", id="Cloud with a cluster"),
    ],
)
def test_a_server_that_answers(cluster: str, lacking: tuple[str, ...], is_cloud: bool, state: str, said: str) -> None:  # noqa: FBT001 - a case of the table
    found = verdict(ClickHouseSettings(url=URL, cluster=cluster), URL, lacking, is_cloud=is_cloud)

    assert (found.state, said in found.detail, URL in found.detail) == (state, True, True)
    assert bool(found.advice) == (state != "ok")
