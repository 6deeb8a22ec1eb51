"""The command line's answers to wrong or odd requests: a sentence with the fault and what to do; no traceback."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from deploy.cli.main import main
from deploy.process.ports import free_port
from deploy.simulator.main import chosen_vendors


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the settings of the user who runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALLWEAVE_EMBEDDED__DATA_DIR", str(tmp_path / "data"))


def run(*arguments: str, **settings: object) -> Result:
    environment = {f"CALLWEAVE_{name.upper()}": str(value) for name, value in settings.items()}
    return CliRunner().invoke(main, arguments, env=environment)


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "simulate: an unknown vendor": (("simulate", "--vendors", "acme"), 1, "no simulated vendor acme: there are nxcloud"),
    "simulate: a pulled vendor that nobody can pull": (
        ("simulate", "--vendors", "tencent"), 1, "tencent is pulled from: give --getcdr-port",
    ),
    "simulate: nobody there": (
        ("simulate", "--url", f"http://127.0.0.1:{free_port()}"), 1, "nobody answers at http://127.0.0.1:",
    ),
    "simulate: no address": (("simulate", "--url", "localhost:8080"), 1, "nobody answers at localhost:8080"),
    "simulate: a ledger in no directory": (("simulate", "--ledger", "none/x"), 1, "--ledger: there is no directory"),
    "simulate: fewer than no calls": (("simulate", "--calls", "-1"), 2, "--calls"),
    "simulate: a negative rate": (("simulate", "--rate", "-1"), 2, "--rate"),
    "up: a rate of nothing": (("up", "--rate", "0"), 2, "--rate"),
    "replay: an unknown vendor": (("replay", "--since", "2026-01-31", "--vendor", "acme"), 2, "'acme' is not one of 'huawei'"),
    "replay: no stretch": (("replay", "--since", "2026-01-31", "--until", "2026-01-30"), 2, "is not before 2026-01-30"),
    "replay: no time": (("replay", "--since", "yesterday"), 2, "does not match the formats '%Y-%m-%dT%H:%M:%S'"),
    "dead: an unknown code": (("dead", "list", "--code", "jsno"), 2, "'json'"),
    "dead: an unknown stage": (("dead", "list", "--stage", "ingest"), 2, "'normalise'"),
    "dead: no id": (("dead", "show", "17"), 1, "'17' is no dead letter's id: it looks like calls.raw/3/1234"),
    "audit: an unknown event": (("audit", "list", "--event", "erasing"), 2, "'erased'"),
    "reconcile: an unknown kind": (
        ("reconcile", "pyproject.toml", "--vendor", "ytx", "--account", "main", "--kind", "cdr"), 2, "'callback_cdr'",
    ),
    "spool: nowhere to export to": (("spool", "export", "none/x.jsonl"), 1, "none/x.jsonl cannot be written: No such file"),
    "poll: an unknown account": (("poll", "--resume", "nobody"), 78, "no account 'nobody' is polled"),
    "a settings file that is not there": (("--config", "none.toml", "topics"), 78, "cannot read none.toml"),
}  # fmt: skip


def choices(group: click.Group, name: str = "callweave") -> Iterator[tuple[str, click.Choice[Any]]]:
    """Yields every option that takes one of several words."""
    for command in group.commands.values():
        known = f"{name} {command.name}"
        if isinstance(command, click.Group):
            yield from choices(command, known)
        else:
            found = ((param.name, param.type) for param in command.params)
            yield from ((f"{known} {option}", kind) for option, kind in found if isinstance(kind, click.Choice))


CHOICES = dict(choices(main))


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_an_option_takes_words_as_they_are_stored(choice: click.Choice[Any]) -> None:
    """The names of an enumeration's members, which click would take, are seen nowhere else."""
    assert [type(word) for word in choice.choices] == [str] * len(choice.choices)


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_answered_in_a_sentence(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*arguments)

    assert (done.exit_code, message in done.output) == (code, True), done.output
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


def test_the_simulator_leaves_out_who_is_pulled_unless_it_serves_the_pull_api() -> None:
    assert chosen_vendors("", pulled=False) == ("nxcloud", "ytx", "huawei")
    assert chosen_vendors("", pulled=True) == ("nxcloud", "ytx", "huawei", "tencent")
    assert chosen_vendors(" ytx, tencent ", pulled=True) == ("ytx", "tencent")


def test_the_simulator_sends_to_the_ingress_of_the_settings() -> None:
    port = free_port()

    assert f"nobody answers at http://127.0.0.1:{port} " in run("simulate", ingress__port=port).output


def test_an_export_is_for_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / "bodies.jsonl"
    target.write_text("what stood here before")
    target.chmod(0o644)

    assert run("spool", "export", str(target)).output == f"0 bodies written to {target}\n"
    assert (target.stat().st_mode & 0o777, target.read_text()) == (0o600, "")


def test_wrong_settings_leave_an_export_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "bodies.jsonl"
    target.write_text("what stood here before")

    assert run("spool", "export", str(target), kafka__partitions="many").exit_code == 78
    assert target.read_text() == "what stood here before"


def test_a_spool_that_never_was_is_reported_with_its_place(tmp_path: Path) -> None:
    assert run("spool", "status").output == f"no ingress ever had a spool in {tmp_path}/data/spool\n"


@pytest.mark.parametrize("command", [(name,) for name in main.commands], ids=list(main.commands))
def test_every_command_has_a_help(command: tuple[str, ...]) -> None:
    done = run(*command, "--help")

    assert done.exit_code == 0
    assert len(done.output.splitlines()[2].strip()) > 20


def test_check_config_is_json_in_which_no_secret_shows() -> None:
    accounts = '[{"vendor":"ytx","name":"main","secret":"k3vq9xw2mz7rt5hb"}]'
    done = run("--check-config", accounts=accounts)

    assert json.loads(done.output)["accounts"][0]["secret"] == "***"


def test_check_config_tells_all_that_is_unsafe_and_no_secret() -> None:
    accounts = '[{"vendor":"ytx","name":"main","secret":"abcdefgh12345678"},{"vendor":"huawei","name":"open"}]'
    done = run("--check-config", accounts=accounts, ingress__host="0.0.0.0", ingress__require_account="false")

    assert done.exit_code == 78
    assert [
        place
        for place in ("$.ingress.require_account", "$.accounts[0].secret", "$.accounts[1].secret")
        if place not in done.output
    ] == []
    assert "abcdefgh" not in done.output


@pytest.mark.parametrize("command", [("ingress",), ("up", "--no-simulator"), ("--check-config",)])
@pytest.mark.parametrize("require", ["auto", "false"])
def test_nothing_starts_open_by_mistake(command: tuple[str, ...], require: str) -> None:
    done = run(*command, ingress__host="0.0.0.0", ingress__require_account=require)

    assert done.exit_code == 78
    assert "start with --open where anybody may push" in done.output


@pytest.mark.parametrize("command", [("ingress", "--open"), ("up", "--open")])
def test_open_contradicts_accounts_that_are_required(command: tuple[str, ...]) -> None:
    done = run(*command, ingress__host="0.0.0.0", ingress__require_account="true")

    assert (done.exit_code, "it contradicts --open" in done.output) == (78, True), done.output


def test_the_simulator_says_that_it_speaks_plain_http_alone() -> None:
    done = run("up", ingress__tls_certificate_file="tls.crt", ingress__require_account="true")

    assert (done.exit_code, "Start with --no-simulator" in done.output) == (1, True), done.output


def test_a_command_that_does_not_listen_takes_the_settings_of_an_open_ingress() -> None:
    assert run("spool", "status", ingress__host="0.0.0.0", ingress__require_account="false").exit_code == 0


def test_an_account_of_a_vendor_that_is_only_pulled_needs_no_secret() -> None:
    done = run("--check-config", accounts='[{"vendor":"tencent","name":"main","external_ids":["1400000000"]}]')

    assert done.exit_code == 0


def test_a_taken_metrics_port_is_reported_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("poll", poll__metrics_port=port)

    assert done.exit_code == 1
    assert f"The metrics page needs port {port}" in done.output
