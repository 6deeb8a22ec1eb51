"""The files and ports that a restricted thread can reach, and the requests to kernels with an older Landlock."""

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.clickhouse import sandbox
from deploy.process.ports import free_port

ROOT = Path(__file__).parents[4]
# One thread restricts itself and tries; the process's own thread tries the same afterwards.
_TRIES = """\
import json, os, socket, sys, threading
from pathlib import Path
from deploy.clickhouse import sandbox

place, bind, connect, other, listening = Path(sys.argv[1]), *map(int, sys.argv[2:6])

def tried(what):
    try:
        what()
        return "done"
    except OSError as exc:
        return exc.errno

def run(path):
    if os.fork() == 0:
        try:
            os.execv(path, (path,))
        except OSError as exc:
            os._exit(exc.errno)
    return os.waitstatus_to_exitcode(os.wait()[1])

def bound(port):
    with socket.socket() as one:
        one.bind(("127.0.0.1", port))

def connected(port):
    with socket.socket() as one:  # `create_connection` would load a module first
        one.connect(("127.0.0.1", port))

def all_tries(name):
    mine = place / "mine" / name
    return {
        "write mine": tried(lambda: mine.write_text("x")),
        "read mine": tried(mine.read_text),
        "truncate mine": tried(lambda: os.truncate(mine, 0)),
        "rename mine": tried(lambda: mine.rename(f"{mine}-2")),
        "list mine": tried(lambda: os.listdir(place / "mine")),
        "remove mine": tried(lambda: os.unlink(f"{mine}-2")),
        "make a pipe in mine": tried(lambda: os.mkfifo(f"{mine}-3")),
        "read a named file": tried((place / "named").read_text),
        "write a named file": tried(lambda: (place / "named").write_text("x")),
        "truncate a named file": tried(lambda: os.truncate(place / "named", 0)),
        "read beside": tried((place / "beside").read_text),
        "read beside through a link": tried((place / "mine" / "link").read_text),
        "write beside": tried(lambda: (place / f"new-{name}").write_text("x")),
        "move out": tried(lambda: os.rename(place / "mine" / "stays", place / f"moved-{name}")),
        "list above": tried(lambda: os.listdir(place)),
        "read /etc/passwd": tried(Path("/etc/passwd").read_text),
        "read the environment": tried(Path("/proc/self/environ").read_bytes),
        "bind the port": tried(lambda: bound(bind)),
        "bind another port": tried(lambda: bound(other)),
        "connect to the port": tried(lambda: connected(connect)),
        "connect to another port": tried(lambda: connected(listening)),
    }

found = {"before": run("/bin/true")}

def restricted():
    sandbox.restrict(
        writable=(place / "mine", place / "not there"), readable=(place / "named",), bind=(bind,), connect=(connect,)
    )
    found["inside"] = all_tries("inside")
    child = threading.Thread(target=lambda: found.__setitem__("child", all_tries("child")))
    child.start()
    child.join()
    found["program"] = run("/bin/true")

thread = threading.Thread(target=restricted)
thread.start()
thread.join()
found["outside"] = all_tries("outside")
print(json.dumps(found))
"""
REFUSED = errno.EACCES
MAY = {
    **dict.fromkeys(("write mine", "read mine", "truncate mine", "rename mine", "list mine", "remove mine"), "done"),
    **dict.fromkeys(("make a pipe in mine", "read a named file", "bind the port", "connect to the port"), "done"),
    **dict.fromkeys(("write a named file", "truncate a named file", "read beside", "write beside"), REFUSED),
    **dict.fromkeys(("read beside through a link", "list above", "read /etc/passwd"), REFUSED),
    **dict.fromkeys(("read the environment", "bind another port", "connect to another port"), REFUSED),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if sandbox.version() < 4:
        pytest.skip("this kernel cannot restrict files and ports")
    place = tmp_path_factory.mktemp("sandbox")
    (place / "mine").mkdir()
    for name in ("named", "beside", "mine/stays"):
        (place / name).write_text("x")
    (place / "mine" / "link").symlink_to(place / "beside")
    with listener() as one, listener() as two:
        ports = (free_port(), one.getsockname()[1], free_port(), two.getsockname()[1])
        command = (sys.executable, "-c", _TRIES, str(place), *map(str, ports))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def listener() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", free_port()))
    one.listen()
    return one


@pytest.mark.parametrize("name", MAY)
@pytest.mark.parametrize("thread", ["inside", "child"])
def test_a_restricted_thread_and_what_it_starts_reach_what_was_named(
    found: dict[str, Any], thread: str, name: str
) -> None:
    assert found[thread][name] == MAY[name]


@pytest.mark.parametrize("thread", ["inside", "child"])
def test_a_file_cannot_be_moved_out(found: dict[str, Any], thread: str) -> None:
    assert found[thread]["move out"] in {errno.EACCES, errno.EXDEV}


def test_no_program_can_be_started(found: dict[str, Any]) -> None:
    assert (found["before"], found["program"]) == (0, REFUSED)


def test_the_other_threads_stay_free(found: dict[str, Any]) -> None:
    """Our own threads write the passwords and read the free space of the disk."""
    assert set(found["outside"].values()) == {"done"}


# Names of structures and rights in linux/landlock.h, by the version of its ABI.
VERSIONS = [
    (1, 0x1FFF, 0, 8),
    (2, 0x3FFF, 0, 8),
    (3, 0x7FFF, 0, 8),
    (4, 0x7FFF, 3, 16),
    (5, 0xFFFF, 3, 16),
    (6, 0xFFFF, 3, 16),
    (99, 0xFFFF, 3, 16),
]


@pytest.mark.parametrize(("version", "files", "ports", "size"), VERSIONS, ids=[f"version {one[0]}" for one in VERSIONS])
def test_a_kernel_is_asked_for_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, files: int, ports: int, size: int
) -> None:
    asked: list[tuple[int, int, int]] = []
    named = tmp_path / "file"
    named.write_text("x")

    def call(number: int, *arguments: Any) -> int:
        if number == 444:
            ruleset = arguments[0]._obj
            asked.append((number, ruleset.files, ruleset.ports))
            assert arguments[1].value == size
            return os.open(os.devnull, os.O_RDONLY)
        if number == 445:
            rule = arguments[2]._obj
            asked.append((number, arguments[1].value, rule.allowed))
        return 0

    monkeypatch.setattr(sandbox, "version", lambda: version)
    monkeypatch.setattr(sandbox, "_call", call)
    monkeypatch.setattr(sandbox, "_libc", Libc())
    sandbox.restrict(writable=(tmp_path, named), readable=(named, tmp_path / "none"), bind=(80,), connect=(81,))

    of_a_file = 0b1111 & ~0b1001 | files & 0xC000
    expected = [
        (444, files, ports),
        (445, 1, files & ~1),  # beneath a directory: all but to execute
        (445, 1, of_a_file),
        (445, 1, 0b0100),  # to read a file; a directory's right would be refused for it
        *([(445, 2, 1), (445, 2, 2)] if ports else []),
    ]
    assert asked == expected


class Libc:
    """A kernel that accepts every request and notes it."""

    def prctl(self, *_: int) -> int:
        return 0


SIZES = {"_Ruleset": 16, "_Beneath": 12, "_OnPort": 16}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_structures_are_laid_out_as_the_kernel_has_them(name: str, size: int) -> None:
    assert ctypes.sizeof(getattr(sandbox, name)) == size


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert sandbox.version() == 0


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_a_kernel_without_it_or_that_forbids_it_has_none(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def call(*_: Any) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(sandbox, "_call", call)

    assert sandbox.version() == 0


def test_a_thread_that_cannot_be_restricted_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(Libc):
        def prctl(self, *_: int) -> int:
            return -1

    monkeypatch.setattr(sandbox, "_libc", Refuses())
    monkeypatch.setattr(sandbox, "version", lambda: 5)
    monkeypatch.setattr(sandbox, "_call", lambda *_: os.open(os.devnull, os.O_RDONLY))
    with pytest.raises(OSError, match="no_new_privs"):
        sandbox.restrict(writable=(), readable=(), bind=(), connect=())
