"""The table of how a changed setting takes effect has every setting, and says of each difference what becomes of it."""

import typing
from collections.abc import Iterator

import msgspec
import pytest

from schemas.config.settings import Settings
from schemas.config.taking_effect import Effect, Plan, Reader, effect, in_parts, plan


def paths(section: type[msgspec.Struct], above: str = "") -> Iterator[str]:
    """Yields the path of every setting; entries of lists are without a number."""
    hints = typing.get_type_hints(section)
    for field in msgspec.structs.fields(section):
        path = f"{above}.{field.name}" if above else field.name
        kinds = [kind for kind in (hints[field.name], *typing.get_args(hints[field.name])) if isinstance(kind, type)]
        below = next((kind for kind in kinds if issubclass(kind, msgspec.Struct)), None)
        if below is None:
            yield path
        else:
            yield from paths(below, path)


ALL = sorted(paths(Settings))


def test_there_are_settings() -> None:
    assert {"kafka.bootstrap", "accounts.secret", "poll.accounts.url", "log.level"} <= set(ALL)


@pytest.mark.parametrize("path", ALL)
def test_every_setting_is_in_the_table(path: str) -> None:
    assert in_parts(path), f"say in schemas/config/taking_effect.py how a changed {path} takes effect in each part"


CASES: dict[str, tuple[Reader, str, Effect]] = {
    "an account in an ingress of one worker": ("ingress", "accounts[3].secret", Effect.AT_ONCE),
    "an account in an ingress of several": ("ingress workers", "accounts[3].secret", Effect.RENEWED),
    "an account in the worker": ("process", "accounts[0].external_ids", Effect.AT_ONCE),
    "an account in the sink": ("sink", "accounts[0].secret", Effect.UNUSED),
    "one more account in the sink": ("sink", "accounts", Effect.RENEWED),
    "the zone of an account in the sink": ("sink", "accounts[0].time_zone", Effect.RENEWED),
    "the zone of an account in the ingress": ("ingress", "accounts[0].time_zone", Effect.UNUSED),
    "the zone of a polled account in the sink": ("sink", "poll.accounts[0].time_zone", Effect.RENEWED),
    "the interval of a polled account in the sink": ("sink", "poll.accounts[0].interval_s", Effect.UNUSED),
    "the interval of a polled account in the poller": ("poll", "poll.accounts[0].interval_s", Effect.RENEWED),
    "the zone of other accounts": ("sink", "figures.time_zone", Effect.RENEWED),
    "a longer path before a shorter one": ("ingress", "kafka.bootstrap", Effect.RESTART),
    "a section": ("ingress", "kafka.linger_ms", Effect.RENEWED),
    "the address of the pages": ("sink", "metrics.host", Effect.RENEWED),
    "the address of the pages, under `callweave up`": ("up", "metrics.host", Effect.RESTART),
    "the port": ("ingress workers", "ingress.port", Effect.RESTART),
    "a password in the sink": ("sink", "clickhouse.password", Effect.RENEWED),
    "the key of tokens in the sink": ("sink", "privacy.key", Effect.RENEWED),
    "the key of tokens under up": ("up", "privacy.key", Effect.UNUSED),
    "days that the start of up sets": ("up", "privacy.clear_number_days", Effect.RESTART),
    "days in the sink": ("sink", "privacy.clear_number_days", Effect.UNUSED),
    "one that nobody put into the table": ("sink", "ingress.new_one", Effect.RESTART),
}


@pytest.mark.parametrize(("reader", "path", "expected"), CASES.values(), ids=CASES)
def test_the_effect(reader: Reader, path: str, expected: Effect) -> None:
    assert effect(path, reader) is expected


def test_one_line_says_what_becomes_of_all() -> None:
    found = plan(("log.level", "kafka.linger_ms", "sink.max_rows", "ingress.port"), "ingress")

    assert found == Plan(applied=("log.level",), renewed=("kafka.linger_ms",), restart=("ingress.port",))
    assert found.sentence() == (
        "the settings were read again: applied: log.level; applied by a new process or connection, when the old one has "
        "finished what it holds: kafka.linger_ms; needs a restart: ingress.port"
    )
    assert plan(("sink.max_rows",), "ingress").sentence() == "the settings were read again: nothing differs here"
