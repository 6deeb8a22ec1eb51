"""Landlock: the engine's threads reach the store and a few files of the system, and no other file and no other port.

SQL rights cannot close everything: the scalar function `file()` and `INSERT ... FROM INFILE` read any file that the
process can read. The kernel can, from 5.13 on, without root, and irrevocably. A restriction holds for the thread that
asks for it and for all threads that it starts later: the thread that starts the engine restricts itself first, and the
other threads stay free.

Source of structures and numbers: linux/landlock.h, and Documentation/userspace-api/landlock.rst of the kernel.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# The numbers of the three system calls are the same on every architecture.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_NO_NEW_PRIVILEGES: Final = 38
_BENEATH: Final = 1
_PORT: Final = 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE: Final = 1 << 14
_IOCTL: Final = 1 << 15
_FILE_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The rights that a version of Landlock can forbid; a version that is not listed has those of the one before it."""
_OF_A_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
"""The rights that can be allowed for a path that is no directory."""
_BIND, _CONNECT = 1, 2
PORTS_SINCE: Final = 4


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


class _OnPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """Returns the version of Landlock's ABI in this kernel; 0 where it is absent or switched off."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError:
        return 0


def restrict(
    *,
    writable: Iterable[Path],
    readable: Iterable[Path],
    listable: Iterable[Path] = (),
    bind: Iterable[int],
    connect: Iterable[int],
) -> None:
    """Restricts this thread and all that it starts to these paths and TCP ports; raises OSError on refusal.

    A path that does not exist, or that this process cannot reach, is left out. In `listable` directories only names can
    be read. Ports are restricted from version 4 (kernel 6.7) on; `connect` allows a port of any host. No version up to
    7 restricts UDP; the engine can resolve names only at a server on this machine, since it cannot read
    /etc/resolv.conf.
    """
    known = version()
    files = next(rights for since, rights in reversed(_FILE_RIGHTS.items()) if known >= since)
    has_ports = known >= PORTS_SINCE
    ruleset = _Ruleset(files, _BIND | _CONNECT if has_ports else 0)
    size = ctypes.sizeof(_Ruleset) if has_ports else ctypes.sizeof(ctypes.c_uint64)
    descriptor = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in writable:
            _allow_beneath(descriptor, path, files & ~_EXECUTE)
        for path in readable:
            _allow_beneath(descriptor, path, _READ_FILE | _READ_DIR)
        for path in listable:
            _allow_beneath(descriptor, path, _READ_DIR)
        if has_ports:
            for ports, right in ((bind, _BIND), (connect, _CONNECT)):
                for port in ports:
                    _add(descriptor, _PORT, _OnPort(right, port))
        if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs is refused")
        _call(_RESTRICT_SELF, ctypes.c_int(descriptor), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _allow_beneath(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(os.path.realpath(path), os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        allowed = rights if path.is_dir() else rights & _OF_A_FILE
        _add(ruleset, _BENEATH, _Beneath(allowed, descriptor))
    finally:
        os.close(descriptor)


def _add(ruleset: int, kind: int, rule: ctypes.Structure) -> None:
    _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(kind), ctypes.byref(rule), ctypes.c_uint32(0))


_libc: Final = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    done: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done
