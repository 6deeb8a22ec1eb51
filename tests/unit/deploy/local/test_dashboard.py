"""The message of `callweave up` when it is ready: lines that work when copied, with one password in them."""

import io
import re
import shlex
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from deploy.admin.clickhouse_accounts import Login
from deploy.local.dashboard import line, ready_message, rendered
from deploy.local.stack import Stack
from deploy.local.stats import StackStats
from deploy.output.printable import printable
from schemas.config.secret import Secret
from schemas.config.settings import ClickHouseSettings, EmbeddedSettings, KafkaSettings, Settings

WRITERS = "of-the-parts"
MIGRATORS = "of-migrate"


def stack(reader: Login | None, **clickhouse: Any) -> Stack:
    settings = Settings(
        kafka=KafkaSettings(bootstrap="127.0.0.1:9092"),
        clickhouse=ClickHouseSettings(
            **{
                "url": "http://127.0.0.1:18123",
                "user": "callweave",
                "password": Secret(WRITERS),
                "migrator": "callweave_migrator",
                "migrator_password": Secret(MIGRATORS),
                **clickhouse,
            }
        ),
        embedded=EmbeddedSettings(clickhouse_port=18123),
    )
    return Stack(settings=settings, parts=(), servers=(), metrics={}, reader=reader)


def curl_of(text: str) -> list[str]:
    """Returns the words of the line that queries, as a shell splits them."""
    (found,) = re.findall(r"^ +(curl -u .*?) \\$", text, re.MULTILINE)
    return shlex.split(found)


@pytest.mark.parametrize("password", ["-kbSoVOz", "it's", 'a"b', "a b", "a:b", "p&q=r%s#t?", "пароль"])
def test_the_reader_s_password_is_in_every_line_that_logs_in(password: str) -> None:
    text = ready_message(stack(Login(name="callweave_reader", password=Secret(password))), 1.0)
    words = curl_of(text)
    (jdbc,) = re.findall(r"jdbc:(\S+)", text)
    (native,) = re.findall(r"^ +(clickhouse-client .*)$", text, re.MULTILINE)

    assert words[:3] == ["curl", "-u", f"callweave_reader:{password}"]
    assert words[3].startswith("http://127.0.0.1:18123/?database=calls&")
    assert parse_qs(urlsplit(jdbc).query) == {"user": ["callweave_reader"], "password": [password]}
    assert urlsplit(jdbc).netloc == "127.0.0.1:18123"
    assert {"--user", "callweave_reader", f"--password={password}", "19000"} <= set(shlex.split(native))
    assert f"as callweave_reader with the password {password}\n" in text
    assert not [other for other in (WRITERS, MIGRATORS) if other in text]


@pytest.mark.parametrize(
    ("password", "user"),
    [
        pytest.param("secret", "parts", id="curl asks for it"),
        pytest.param("", "parts:", id="there is none, and curl does not ask"),
    ],
)
def test_at_an_external_clickhouse_no_password_is_printed(password: str, user: str) -> None:
    text = ready_message(stack(None, url="http://db.example:8123", user="parts", password=Secret(password)), 1.0)

    assert curl_of(text)[:3] == ["curl", "-u", user]
    assert "jdbc:" not in text
    assert not [one for one in (password, MIGRATORS) if one and one in text]


@pytest.mark.parametrize("foreign", ["\x1b[2J\x1b]0;title\x07", "\u202etxet", "[red]forged[/red]", "\x9b31m"])
def test_what_is_not_ours_controls_no_terminal(foreign: str) -> None:
    now = StackStats(
        by_vendor={foreign: (1, 2, 3, 4)}, phases={foreign: 1}, dispositions={foreign: 1}, rows={foreign: 1},
        lag={foreign: 1}, parts=((foreign, 1, 1, 1),), warnings=(foreign,),
    )  # fmt: skip
    screen = Console(width=200, record=True, force_terminal=True, file=io.StringIO(), no_color=True)
    screen.print(rendered(now, now, 1.0))
    shown = screen.export_text()

    for text in (line(now), shown):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert printable(foreign) in text


def test_a_stack_s_own_words_hide_the_password() -> None:
    assert "of-people" not in repr(stack(Login(name="callweave_reader", password=Secret("of-people"))))
