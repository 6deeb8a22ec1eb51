"""Superset's environment: which Python makes it, when it is whole, and where uv asks."""

import asyncio
import contextlib
import sys
import time
from pathlib import Path

import pytest

from deploy.bi import environment
from deploy.bi.environment import PYTHONS, index_url, interpreter, is_made
from schemas.errors import SetupError


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [
        ("", ""),
        ("global.index-url='https://packages.invalid/simple'", "https://packages.invalid/simple"),
        ("global.index-url='https://a.invalid/'\ninstall.index-url='https://b.invalid/'", "https://b.invalid/"),
        (":env:.index-url='https://c.invalid/?x=y'\nglobal.index-url='https://a.invalid/'", "https://c.invalid/?x=y"),
        (":env:.cert='/etc/ssl/ours.pem'\nglobal.timeout='5'", ""),
    ],
)
def test_uv_asks_where_pip_is_told_to_ask(listed: str, wanted: str) -> None:
    assert index_url(listed) == wanted


def test_another_python_is_taken_where_superset_has_no_wheels_for_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "PYTHONS", ((3, 1), (3, 2)))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SetupError, match=r"needs Python 3\.1 or 3\.2, and this is"):
        interpreter()
    (tmp_path / "python3.1").symlink_to(sys.executable)
    assert interpreter() == str(tmp_path / "python3.1")
    monkeypatch.setattr(environment, "PYTHONS", (*PYTHONS, sys.version_info[:2]))
    assert interpreter() == sys.executable


def test_an_environment_whose_interpreter_is_gone_is_made_again(tmp_path: Path) -> None:
    python = environment.python_of(tmp_path)
    python.parent.mkdir(parents=True)
    (tmp_path / "env" / "requirements").write_text(environment._digest(), "utf-8")
    python.symlink_to(sys.executable)
    assert is_made(tmp_path)

    python.unlink()
    python.symlink_to(tmp_path / "uninstalled")

    assert not is_made(tmp_path)


async def test_a_step_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "install.log"
    command = (sys.executable, "-c", "print('\\n'.join(f'line {n}' for n in range(9))); raise SystemExit(3)")

    with pytest.raises(SetupError, match=r"ended with 3:\n  line 4\n") as failed:
        await environment._run(command, log)

    assert str(log) in str(failed.value)


async def test_a_step_that_is_broken_off_does_not_go_on(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    script = f"import time\nwhile True:\n    open({str(beats)!r}, 'a').write('.'); time.sleep(0.02)"
    running = asyncio.ensure_future(environment._run((sys.executable, "-c", script), tmp_path / "install.log"))
    limit = time.monotonic() + 60
    while not beats.exists():
        assert time.monotonic() < limit
        await asyncio.sleep(0.02)

    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running

    size = beats.stat().st_size
    await asyncio.sleep(0.3)
    assert beats.stat().st_size == size
