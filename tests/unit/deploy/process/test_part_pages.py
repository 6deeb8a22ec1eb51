"""The pages of worker, sink and poller: on the loopback interface, unless `metrics.host` says otherwise."""

import aiohttp
import pytest

from deploy.doctor.work import parts_by_port
from deploy.local.stack import part_specs
from deploy.process.ports import free_port
from deploy.runtime import metrics_page
from schemas.config.pages import MetricsSettings
from schemas.config.settings import EmbeddedSettings, PollSettings, ProcessSettings, Settings, SinkSettings
from schemas.errors import SetupError
from schemas.metrics import Registry

HOME, OTHER = "127.0.0.1", "127.0.0.2"


async def reached(host: str, port: int) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://{host}:{port}/metrics") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectorError:
        return False


@pytest.mark.parametrize(
    ("host", "at"),
    [
        pytest.param(Settings().metrics.host, (True, False), id="as it is without a setting: here alone"),
        pytest.param(OTHER, (False, True), id="one address"),
        pytest.param("0.0.0.0", (True, True), id="every address"),
    ],
)
async def test_the_pages_are_where_the_setting_says(host: str, at: tuple[bool, bool]) -> None:
    port = free_port()
    async with metrics_page(Registry(), port, "sink", host):
        assert (await reached(HOME, port), await reached(OTHER, port)) == at


@pytest.mark.parametrize(("host", "said"), [("127.0.0.1", 0), ("0.0.0.0", 1)], ids=["this machine", "every address"])
async def test_a_part_says_that_others_reach_its_pages(host: str, said: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "callweave")
    async with metrics_page(Registry(), free_port(), "sink", host):
        pass

    assert len([one for one in caplog.records if "other machines reach /metrics" in one.message]) == said


async def test_an_address_of_another_machine_is_reported_with_its_setting() -> None:
    port = free_port()
    with pytest.raises(SetupError, match=f"The metrics page cannot listen on 192.0.2.1:{port}") as error:
        async with metrics_page(Registry(), port, "sink", "192.0.2.1"):
            pass

    assert "metrics.host" in str(error.value)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        pytest.param("127.0.0.1", "http://127.0.0.1", id="the loopback interface"),
        pytest.param("0.0.0.0", "http://127.0.0.1", id="every address"),
        pytest.param("192.0.2.1", "http://192.0.2.1", id="one address"),
        pytest.param("::", "http://[::1]", id="every address of IPv6"),
    ],
)
def test_up_and_the_doctor_ask_the_pages_where_they_are(host: str, address: str) -> None:
    settings = Settings(
        metrics=MetricsSettings(host=host),
        embedded=EmbeddedSettings(metrics_base_port=9640),
        process=ProcessSettings(metrics_port=9651),
        sink=SinkSettings(metrics_port=9652),
        poll=PollSettings(metrics_port=0),
    )
    specs, pages = part_specs(settings)

    assert {spec.name for spec in specs} == set(pages)
    assert (pages["sink"], pages["process-1"]) == (f"{address}:9640/metrics", f"{address}:9642/metrics")
    assert {part.name: part.metrics for part in parts_by_port(settings)} == {
        "process": f"{address}:9651/metrics",
        "sink": f"{address}:9652/metrics",
    }
