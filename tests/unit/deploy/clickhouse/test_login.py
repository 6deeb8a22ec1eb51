"""The answers to the engine when it asks for a password to be checked."""

import base64
import http.client
from pathlib import Path

import pytest

from deploy.clickhouse import passwords
from deploy.clickhouse.accounts import BUILT_IN, GUARD, OWNER, READER
from deploy.clickhouse.login import READ_ONLY, Logins, LoginServer

YES = b"{}"
COLONS = "with:colons:"
UNICODE = "пароль-密码-ü"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    passwords.write(tmp_path, {OWNER: ("new", "old", UNICODE), READER: (COLONS,), "empty": ("",), "none": ()})
    asked = Logins(tmp_path, owner=OWNER, also={GUARD: "by lot"})
    assert asked.answer(basic(BUILT_IN, "")) == YES  # the engine's own
    return asked


DECISIONS = [
    pytest.param(basic(OWNER, "new"), YES, id="right"),
    pytest.param(basic(OWNER, "old"), YES, id="the one before"),
    pytest.param(basic(OWNER, UNICODE), YES, id="letters of other scripts"),
    pytest.param(basic(OWNER, "wrong"), None, id="wrong"),
    pytest.param(basic(OWNER, "new "), None, id="right and a space"),
    pytest.param(basic(OWNER, "NEW"), None, id="in capitals"),
    pytest.param(basic(OWNER, ""), None, id="empty"),
    pytest.param(basic(READER, COLONS), YES, id="colons"),
    pytest.param(basic(READER, "with"), None, id="up to a colon"),
    pytest.param(basic(READER, "new"), None, id="somebody else's"),
    pytest.param(basic(GUARD, "by lot"), YES, id="a name that stands in no file"),
    pytest.param(basic(GUARD, "new"), None, id="a name that stands in no file, wrong"),
    pytest.param(basic(BUILT_IN, "new"), READ_ONLY, id="the engine's name with the owner's password"),
    pytest.param(basic(BUILT_IN, "old"), READ_ONLY, id="the engine's name with the owner's old one"),
    pytest.param(basic(BUILT_IN, COLONS), None, id="the engine's name with the reader's"),
    pytest.param(basic(BUILT_IN, ""), None, id="the engine's name without, a second time"),
    pytest.param(basic("nobody", "new"), None, id="an unknown name"),
    pytest.param(basic("empty", ""), None, id="a kept password that is empty"),
    pytest.param(basic("none", ""), None, id="a name without a password"),
    pytest.param(basic("", ""), None, id="no name"),
    pytest.param("", None, id="no header"),
    pytest.param("Basic", None, id="a scheme alone"),
    pytest.param("Basic %%%", None, id="no base64"),
    pytest.param("Basic " + base64.b64encode(b"\xff:\xff").decode(), None, id="no text"),
    pytest.param("Basic " + base64.b64encode(b"callweave").decode(), None, id="no colon"),
    pytest.param("Basic ü", None, id="a header of other letters"),
    pytest.param(basic(OWNER, "new").replace("Basic", "bASIC"), YES, id="a scheme in other letters"),
    pytest.param(basic(OWNER, "new").replace("Basic", "Bearer"), None, id="another scheme"),
]


@pytest.mark.parametrize(("header", "expected"), DECISIONS)
def test_who_is_let_in(logins: Logins, header: str, expected: bytes | None) -> None:
    assert logins.answer(header) == expected


def test_the_engines_own_login_is_allowed_once(tmp_path: Path) -> None:
    logins = Logins(tmp_path, owner=OWNER, also={})

    assert [logins.answer(basic(BUILT_IN, "")) for _ in range(3)] == [YES, None, None]


def test_a_changed_file_is_read_again(tmp_path: Path, logins: Logins) -> None:
    assert logins.answer(basic(OWNER, "new")) == YES
    passwords.change(tmp_path, OWNER, "newest", keep_old=False)

    assert [logins.answer(basic(OWNER, one)) for one in ("newest", "new")] == [YES, None]


def test_the_last_passwords_stay_where_the_file_cannot_be_read(
    tmp_path: Path, logins: Logins, caplog: pytest.LogCaptureFixture
) -> None:
    assert logins.answer(basic(OWNER, "new")) == YES
    (tmp_path / passwords.FILE).write_text('{"secret": ')
    damaged = logins.answer(basic(OWNER, "new"))
    (tmp_path / passwords.FILE).unlink()
    gone = logins.answer(basic(OWNER, "new"))

    assert (damaged, gone) == (YES, YES)
    assert "secret" not in caplog.text


def test_the_engine_asks_over_http(logins: Logins) -> None:
    server = LoginServer(logins.answer)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    answers = []
    for header in (basic(OWNER, "new"), basic(OWNER, "wrong"), basic(BUILT_IN, "new"), ""):
        connection.request("GET", server.path, headers={"Authorization": header} if header else {})
        response = connection.getresponse()
        answers.append((response.status, response.read()))
    elsewhere = []
    for path in ("/", f"{server.path}x", "/login"):
        connection.request("GET", path, headers={"Authorization": basic(OWNER, "new")})
        response = connection.getresponse()
        elsewhere.append((response.status, response.read()))
    connection.close()
    server.close()

    assert answers == [(200, YES), (403, b""), (200, READ_ONLY), (403, b"")]
    assert elsewhere == [(403, b"")] * 3, "only who knows the path is answered"
