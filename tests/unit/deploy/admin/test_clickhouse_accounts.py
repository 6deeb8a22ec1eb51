"""`callweave clickhouse`: passwords shown and changed in the data directory, and refused passwords."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli.main import main
from deploy.clickhouse import passwords

NAMES = {"callweave": "of-the-parts", "callweave_migrator": "of-migrate", "callweave_reader": "of-people"}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the engine's data directory before its first start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALLWEAVE_EMBEDDED__DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "clickhouse"


@pytest.fixture
def started(directory: Path) -> Path:
    """Returns the same directory after a start."""
    directory.mkdir(parents=True)
    passwords.write(directory, {name: (password,) for name, password in NAMES.items()})
    return directory


def run(*arguments: str, stdin: str | bytes = "", **settings: str) -> Result:
    environment = {f"CALLWEAVE_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, ("clickhouse", *arguments), input=stdin, env=environment)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        pytest.param((), "of-people", id="without a name the one for people"),
        pytest.param(("reader",), "of-people", id="by what it is for"),
        pytest.param(("writer",), "of-the-parts", id="the parts'"),
        pytest.param(("migrator",), "of-migrate", id="migrate's"),
        pytest.param(("callweave_migrator",), "of-migrate", id="by name"),
    ],
)
def test_a_password_is_shown_alone(started: Path, arguments: tuple[str, ...], shown: str) -> None:
    done = run("password", *arguments)

    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{shown}\n", "")


def test_an_account_that_is_called_like_a_role_is_meant_by_its_name(started: Path) -> None:
    passwords.write(started, {**{name: (one,) for name, one in NAMES.items()}, "migrator": ("of-the-parts",)})

    assert run("password", "migrator", clickhouse__user="migrator").stdout == "of-the-parts\n"


def test_a_password_of_the_settings_is_shown_as_they_say_it(started: Path) -> None:
    assert run("password", "writer", clickhouse__password="[message]").stdout == "[message]\n"


@pytest.mark.parametrize(
    ("arguments", "name", "kept"),
    [
        pytest.param(("--set",), "callweave_reader", ("other",), id="the reader's old one ends"),
        pytest.param(("writer", "--set"), "callweave", ("other", "of-the-parts"), id="the writer's is still taken"),
        pytest.param(("migrator", "--set"), "callweave_migrator", ("other", "of-migrate"), id="the migrator's too"),
        pytest.param(("writer", "--set", "--at-once"), "callweave", ("other",), id="unless it is to end at once"),
    ],
)
def test_a_change_is_kept_and_touches_no_other_account(
    started: Path, arguments: tuple[str, ...], name: str, kept: tuple[str, ...]
) -> None:
    done = run("password", *arguments, stdin="other\n")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "other" not in done.stderr
    assert passwords.read(started) == {**{one: (password,) for one, password in NAMES.items()}, name: kept}


def test_the_password_that_running_parts_have_is_taken_through_every_change(started: Path) -> None:
    for password in ("second", "third"):
        run("password", "writer", "--set", stdin=password)

    assert passwords.read(started)["callweave"] == ("third", "second", "of-the-parts")


def test_the_next_start_takes_the_new_password_and_ends_those_before(started: Path) -> None:
    run("password", "writer", "--set", stdin="other")

    assert passwords.ready(started, dict.fromkeys(NAMES, ""))["callweave"] == "other"
    assert passwords.read(started)["callweave"] == ("other",)


def test_a_password_by_lot_is_shown_once_alone(started: Path) -> None:
    done = run("password", "--new")
    shown = done.stdout.removesuffix("\n")

    assert done.exit_code == 0
    assert len(shown) >= 24
    assert shown not in done.stderr
    assert passwords.read(started)["callweave_reader"] == (shown,)
    assert run("password", "--new").stdout != done.stdout


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("a:b", id="a colon"),
        pytest.param(" spaces ", id="spaces around"),
        pytest.param("пароль", id="letters of another script"),
        pytest.param("'\"\\$`%&<>", id="signs of shells, addresses and XML"),
        pytest.param("x" * 200, id="long"),
    ],
)
def test_a_password_is_taken_as_it_is(started: Path, password: str) -> None:
    assert run("password", "--set", stdin=password).exit_code == 0
    assert run("password").stdout == f"{password}\n"


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        pytest.param("", "an empty password", id="nothing"),
        pytest.param("\n", "an empty password", id="only the end of a line"),
        pytest.param("two\nlines\n", "control character", id="two lines"),
        pytest.param("a\x00b", "control character", id="a zero"),
        pytest.param("tab\there", "control character", id="a tabulator"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="no text"),
        pytest.param("x" * 201, "200 characters", id="too long"),
    ],
)
def test_what_is_no_password_changes_nothing(started: Path, stdin: str | bytes, message: str) -> None:
    done = run("password", "--set", stdin=stdin)

    assert (done.exit_code, message in done.stderr, done.stdout) == (1, True, "")
    assert passwords.read(started)["callweave_reader"] == ("of-people",)


REFUSED: dict[str, tuple[tuple[str, ...], dict[str, str], int, str]] = {
    "an unknown name": (("password", "nobody"), {}, 1, "there are callweave (writer), callweave_migrator (migrator)"),
    "the engine's own": (("password", "default"), {}, 1, "no account 'default' has a password of its own"),
    "a ClickHouse of one's own": (
        ("password",), {"clickhouse__url": "http://db.example:8123"}, 1, "the accounts of db.example are its own",
    ),
    "its accounts": (("accounts",), {"clickhouse__url": "http://db.example:8123"}, 1, "clickhouse.url is set"),
    "a change of the settings' word": (
        ("password", "writer", "--new"), {"clickhouse__password": "message"}, 1, "stands in the settings, as clickhouse.password",
    ),
    "the same of the migrator": (
        ("password", "migrator", "--set"), {"clickhouse__migrator_password": "message"}, 1, "as clickhouse.migrator_password",
    ),
    "a name that the engine was not started with": (
        ("password", "writer"), {"clickhouse__user": "other"}, 1, "there is no password of other",
    ),
    "a name that none can have": (("accounts",), {"clickhouse__user": "a b"}, 1, "cannot be the name of the parts"),
    "both ways to change": (("password", "--set", "--new"), {}, 2, "say one of them"),
    "an end without a change": (("password", "--at-once"), {}, 2, "--at-once goes with"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "settings", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_an_impossible_request_is_refused_in_a_sentence(
    started: Path, arguments: tuple[str, ...], settings: dict[str, str], code: int, message: str
) -> None:
    before = passwords.read(started)
    done = run(*arguments, stdin="other", **settings)

    assert (done.exit_code, message in " ".join(done.stderr.split()), done.stdout) == (code, True, ""), done.stderr
    assert passwords.read(started) == before


@pytest.mark.parametrize("change", [(), ("--new",), ("--set",)], ids=["shown", "by lot", "given"])
def test_before_the_first_start_there_are_no_passwords(directory: Path, change: tuple[str, ...]) -> None:
    done = run("password", *change, stdin="other")

    assert (done.exit_code, done.stdout) == (1, "")
    assert f"no passwords in {directory} yet" in done.stderr
    assert "callweave up" in done.stderr
    assert not directory.exists()


def test_a_file_that_is_no_list_of_passwords_is_named(started: Path) -> None:
    (started / passwords.FILE).write_text("{")
    done = run("password")

    assert (done.exit_code, str(started / passwords.FILE) in done.stderr) == (1, True)
    assert "Traceback" not in done.output


def test_at_a_terminal_it_is_asked_twice_and_not_shown(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.cli.clickhouse_commands.is_terminal", lambda: True)

    done = run("password", "--set", stdin="w8zk\nq3vx\nm5tj\nm5tj\n")

    assert (done.exit_code, "do not match" in done.stderr) == (0, True)
    assert not [word for word in ("w8zk", "q3vx", "m5tj") if word in done.output]
    assert passwords.read(started)["callweave_reader"] == ("m5tj",)


def test_the_accounts_are_listed_with_addresses_and_without_passwords(started: Path) -> None:
    done = run("accounts", clickhouse__user="parts", embedded__clickhouse_port="18123", clickhouse__database="mine")

    assert done.exit_code == 0
    for part in (
        "http://127.0.0.1:18123",
        "127.0.0.1:19000",
        "callweave_reader",
        "callweave_migrator",
        "views v_* of mine",
    ):
        assert part in done.stdout
    assert "parts  " in done.stdout
    assert not [password for password in NAMES.values() if password in done.stdout]


def test_the_passwords_stay_closed_whatever_the_umask(started: Path) -> None:
    before = os.umask(0)
    try:
        run("password", "--new")
    finally:
        os.umask(before)

    assert (started / passwords.FILE).stat().st_mode & 0o777 == 0o600
