"""Secrets, from where they are kept: a file, an environment variable or an open file descriptor.

A place is written as openssl-passphrase-options(1) has it, `env:VARIABLE` or `fd:NUMBER`; all else is a file's path.
"""

from __future__ import annotations

import ctypes
import os
import posix
import re
from contextlib import suppress
from pathlib import Path

from melpy.errors import KeyFileError, reason_of

MARKS = ("env:", "fd:")
"""What places begin with that are no files."""

SIZE_LIMIT = 1 << 20
"""Bytes that a secret may have; no key comes near."""


def read_secret(place: str, what: str, *, where: str = "", hint: str | None = None) -> bytes:
    """Return what a place holds.

    A variable is taken out of the environment, so that no program that is started later sees it, and a descriptor is
    closed: each can be read once.

    Args:
        place: `env:VARIABLE`, `fd:NUMBER` or a path.
        what: what is read, for messages: `signing key`.
        where: what messages name instead of the place; whoever takes it for the secret itself must not find it in logs.
        hint: what helps where there is none.

    Raises:
        KeyFileError: there is nothing, or it cannot be read.
    """
    where = where or place
    if place.startswith("env:"):
        value = os.environb.pop(os.fsencode(place.removeprefix("env:")), b"")
        if not value:
            raise KeyFileError(f"no {what}: the variable is not set", where=where)
        return value
    number = place.removeprefix("fd:") if place.startswith("fd:") else None
    if number is not None and not re.fullmatch("[0-9]{1,9}", number):
        raise KeyFileError("not the number of a file descriptor", where=where, hint="write fd:3, for example")
    try:
        with Path(place).open("rb") if number is None else os.fdopen(int(number), "rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise KeyFileError(f"no such {what}", where=where, hint=hint) from None
    except OSError as error:
        reason = reason_of(error)
        raise KeyFileError(f"cannot read the {what}: {reason}", where=where) from None
    if len(data) > SIZE_LIMIT:
        raise KeyFileError(f"too large to be a {what}", where=where)
    return data


def forget_secret(place: str) -> None:
    """Give up all that this process could learn a secret from: a forked process calls it that is not to know it.

    A variable is also overwritten where the process got it from its caller, which /proc/PID/environ shows.
    """
    if place.startswith("env:"):
        name = os.fsencode(place.removeprefix("env:"))
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_void_p
        address, value = libc.getenv(name), os.environb.pop(name, b"")
        if address:
            ctypes.memset(address, 0, len(value))
        posix.environ.pop(name, None)
    elif re.fullmatch("fd:[0-9]{1,9}", place):
        with suppress(OSError):
            os.close(int(place.removeprefix("fd:")))


def stat_secret(place: str) -> os.stat_result | None:
    """Return what the system knows of the file that a place names; None where it is none, or there is none."""
    number = place.removeprefix("fd:") if place.startswith("fd:") else ""
    if not place or place.startswith("env:") or (number and not number.isascii()):
        return None
    try:
        return os.fstat(int(number)) if number else Path(place).stat()
    except (OSError, ValueError, OverflowError):
        return None  # reading it says why
