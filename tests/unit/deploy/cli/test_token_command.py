"""`callweave token`: the token that the sink writes beside the number, from an argument or from stdin."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli.main import main
from deploy.process import token_key
from schemas.privacy.tokens import NumberTokens

KEY = "3f6c1a0b9d8e7f5a4c2b1d0e9f8a7b6c"
TOKENS = NumberTokens(KEY)
NUMBER = "+8613000001234"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs commands in an empty directory, without settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, stdin: str = "", **settings: str) -> Result:
    environment = {f"CALLWEAVE_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, ("token", *arguments), input=stdin, env=environment)


CASES = {
    "a number of an account": ((NUMBER, "--account", "main"), "", ("main", NUMBER)),
    "a number without an account": ((NUMBER,), "", ("", NUMBER)),
    "a number as people write it": (("+86 (130) 0000-1234",), "", ("", NUMBER)),
    "digits as they were sent": (("10086",), "", ("", "10086")),
    "a number on stdin": (("-", "--account", "main"), f"{NUMBER}\n", ("main", NUMBER)),
}


@pytest.mark.parametrize(("arguments", "stdin", "of"), CASES.values(), ids=CASES)
def test_the_token_stands_alone_on_stdout(arguments: tuple[str, ...], stdin: str, of: tuple[str, str]) -> None:
    done = run(*arguments, stdin=stdin, privacy__key=KEY)

    assert (done.exit_code, done.stdout) == (0, f"{TOKENS.of(*of)}\n")


def test_several_numbers_on_stdin_are_answered_in_their_order() -> None:
    done = run("-", stdin=f"{NUMBER}\n\n+12025550123\n", privacy__key=KEY)

    assert done.stdout.split() == [TOKENS.of("", NUMBER), TOKENS.of("", "+12025550123")]


NOTES = {
    "an account that nobody set": ((NUMBER, "--account", "mian"), "no account of the settings is called 'mian'"),
    "no E.164 number": (("13000001234",), "no E.164 number"),
}


@pytest.mark.parametrize(("arguments", "note"), NOTES.values(), ids=NOTES)
def test_what_may_be_a_slip_is_said_on_stderr(arguments: tuple[str, ...], note: str) -> None:
    done = run(*arguments, privacy__key=KEY)

    assert done.exit_code == 0
    assert note in done.stderr
    assert len(done.stdout.strip()) == 32


def test_an_account_of_the_settings_is_no_slip() -> None:
    accounts = '[{"vendor":"ytx","name":"main","allow":["10.0.0.0/8"]}]'

    assert run(NUMBER, "--account", "main", privacy__key=KEY, accounts=accounts).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((NUMBER,), {}, "there is no key of them"),
        (("-",), {"privacy__key": KEY}, "a phone number is wanted"),
        ((" - ",), {"privacy__key": KEY}, "a phone number is wanted"),
    ],
    ids=["no key", "nothing on stdin", "nothing but a dash"],
)
def test_what_cannot_be_answered_is_one_sentence(
    arguments: tuple[str, ...], settings: dict[str, str], message: str
) -> None:
    done = run(*arguments, **settings)

    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stdout == ""


def test_the_key_that_a_local_stack_made_is_used(tmp_path: Path) -> None:
    token_key.make(tmp_path)
    made = token_key.kept(tmp_path).value
    done = run(NUMBER, embedded__data_dir=str(tmp_path))

    assert done.stdout.strip() == NumberTokens(made).of("", NUMBER)
    assert made not in done.output
