"""Settings that are read again: what can be is applied, what is wrong changes nothing, and one line says which."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from deploy.cli.part_commands import without_resume
from deploy.process.reloading import Reloader, Rereading
from deploy.runtime import require_good
from schemas.config.live import LiveSettings
from schemas.config.logs import LogSettings
from schemas.config.secret import Secret
from schemas.config.settings import Account, ClickHouseSettings, IngressSettings, Settings
from schemas.config.taking_effect import Reader
from schemas.errors import SettingsError

OLD = Settings(accounts=(Account(vendor="ytx", name="one", secret=Secret("Wo3iFai9eepoh2ahgh4u")),))
NEW_SECRET = "quoo6Shahv4Aes9ahweeJ0ei"
OTHER_ACCOUNT = (replace(OLD.accounts[0], secret=Secret(NEW_SECRET)),)


class Part:
    """A part that reads its settings again."""

    def __init__(self, reader: Reader, reread: Callable[[], Settings], *, begins_anew: bool) -> None:
        self.live = LiveSettings(OLD)
        self.seen: list[Settings] = []
        self.anew = 0
        self.live.follow(self.seen.append)
        how = Rereading(live=self.live, reader=reader, reread=reread, require_good=require_good)
        self.reloader = Reloader(how, self._renew if begins_anew else None)

    def _renew(self) -> None:
        self.anew += 1

    async def told(self, caplog: pytest.LogCaptureFixture) -> str:
        """Asks for the settings once, and returns the line that is logged."""
        caplog.set_level(logging.INFO)
        running = asyncio.create_task(self.reloader.run())
        self.reloader.ask()
        async with asyncio.timeout(10):
            while not (lines := [one.getMessage() for one in caplog.records if one.name == "callweave.settings"]):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return lines[0]


async def test_what_can_be_is_applied_and_the_rest_stays(caplog: pytest.LogCaptureFixture) -> None:
    new = replace(OLD, accounts=OTHER_ACCOUNT, ingress=IngressSettings(port=8081))
    part = Part("ingress", lambda: new, begins_anew=False)

    told = await part.told(caplog)

    assert told == "the settings were read again: applied: accounts[0].secret; needs a restart: ingress.port"
    assert part.seen == [replace(OLD, accounts=OTHER_ACCOUNT)]
    assert part.live.current == part.seen[0]


async def test_a_part_that_begins_anew_keeps_what_it_had_until_then(caplog: pytest.LogCaptureFixture) -> None:
    new = replace(OLD, clickhouse=ClickHouseSettings(password=Secret(NEW_SECRET)), log=LogSettings(level="debug"))
    part = Part("sink", lambda: new, begins_anew=True)

    told = await part.told(caplog)

    assert "applied: log.level; applied by a new process" in told
    assert part.live.current == replace(OLD, log=LogSettings(level="debug"))
    assert part.anew == 1


async def test_a_part_begins_anew_only_for_what_it_uses(caplog: pytest.LogCaptureFixture) -> None:
    part = Part("sink", lambda: replace(OLD, accounts=OTHER_ACCOUNT), begins_anew=True)

    assert await part.told(caplog) == "the settings were read again: nothing differs here"
    assert part.anew == 0


def wrong() -> Settings:
    raise SettingsError("Expected `int`, got `str` - at `$.ingress.port`")


def an_open_door() -> Settings:
    """Returns good settings: nobody else reaches this address."""
    return replace(OLD, ingress=IngressSettings(host="127.0.0.1", require_account=False))


async def test_wrong_settings_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    part = Part("ingress", wrong, begins_anew=False)

    assert await part.told(caplog) == ("the settings stay as they are: Expected `int`, got `str` - at `$.ingress.port`")
    assert part.seen == []
    assert part.live.current == OLD


async def test_good_settings_that_would_open_the_address_of_before_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    part = Part("ingress", an_open_door, begins_anew=False)
    part.live.current = replace(OLD, ingress=IngressSettings(host="0.0.0.0", require_account=True))

    assert "at `$.ingress.require_account`" in await part.told(caplog)
    assert part.live.current.ingress.require_account


async def test_a_part_that_stumbles_over_new_settings_reads_them_again(caplog: pytest.LogCaptureFixture) -> None:
    part = Part("ingress", lambda: replace(OLD, accounts=OTHER_ACCOUNT), begins_anew=False)
    stumbles = [True]

    def apply(_new: Settings) -> None:
        if stumbles:
            stumbles.clear()
            raise ValueError(NEW_SECRET)

    part.live.follow(apply)
    caplog.set_level(logging.INFO)
    running = asyncio.create_task(part.reloader.run())
    for count in (1, 2):
        part.reloader.ask()
        async with asyncio.timeout(10):
            while len(part.seen) < count:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert "the settings could not be applied" in caplog.messages


@pytest.mark.parametrize("reader", ["ingress", "process", "sink"])
async def test_no_value_is_in_the_line(caplog: pytest.LogCaptureFixture, reader: Reader) -> None:
    secret = ClickHouseSettings(password=Secret(NEW_SECRET), user="distinctive")
    part = Part(reader, lambda: replace(OLD, accounts=OTHER_ACCOUNT, clickhouse=secret), begins_anew=True)

    told = await part.told(caplog)

    assert NEW_SECRET not in told
    assert "distinctive" not in told


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (("-m", "deploy.cli.main", "poll"), ("-m", "deploy.cli.main", "poll")),
        (("poll", "--resume", "a", "--resume", "--resume"), ("poll",)),
        (("--config", "x.toml", "poll", "--resume=a"), ("--config", "x.toml", "poll")),
    ],
)
def test_a_new_process_resumes_no_account_again(arguments: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert without_resume(arguments) == kept
