"""Run a program under what containers withhold, each made for real: a seccomp filter, a /proc in parts, a low limit.

python -m tests.factories.restrict [--refuse CALL]... -- PROGRAM ARGUMENT...
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def refuse(calls: list[str]) -> None:
    """Load a filter that answers EPERM to system calls, as the filters of containers do, for this process and on."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    ]
    context = library.seccomp_init(_ALLOW)
    for name in calls:
        number = library.seccomp_syscall_resolve_name(name.encode())
        assert library.seccomp_rule_add_array(context, _ERRNO | errno.EPERM, number, 0, None) == 0
    assert library.seccomp_load(context) == 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--refuse", action="append", default=[])
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    refuse(options.refuse)
    os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main()
