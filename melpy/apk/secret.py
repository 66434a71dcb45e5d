"""Secrets, from where they are kept: a file, an environment variable or an open file descriptor.

A place is written as openssl-passphrase-options(1) has it, `env:VARIABLE` or `fd:NUMBER`; all else is a file's path.
"""

from __future__ import annotations

import os
import posix
import re
from contextlib import suppress
from pathlib import Path

from melpy.codec import Noun
from melpy.errors import KeyFileError, SettingsError, reason_of

SIZE_LIMIT = 1 << 20
"""Bytes that a secret may have; no key comes near."""


class SecretPlace(Noun, frozen=True):
    """Where a secret is kept: one of these.

    Attributes:
        path: a file.
        variable: an environment variable.
        descriptor: an open file descriptor; -1 for none.
    """

    path: Path | None = None
    variable: str = ""
    descriptor: int = -1

    def __str__(self) -> str:
        return str(self.path) if self.path else f"env:{self.variable}" if self.variable else f"fd:{self.descriptor}"


def parse_secret(text: str) -> SecretPlace:
    """Read where a secret is kept: `env:VARIABLE`, `fd:NUMBER` or a path.

    Raises:
        SettingsError: it is no place. The error does not repeat the text, which may be the secret itself.
    """
    if text.startswith("env:"):
        name = text.removeprefix("env:")
        if not name or "=" in name:
            raise SettingsError("not the name of a variable", hint="write env:SIGNING_KEY, for example")
        return SecretPlace(variable=name)
    if text.startswith("fd:"):
        if not re.fullmatch("[0-9]{1,9}", text.removeprefix("fd:")):
            raise SettingsError("not the number of a file descriptor", hint="write fd:3, for example")
        return SecretPlace(descriptor=int(text.removeprefix("fd:")))
    return SecretPlace(path=Path(text))


def read_secret(place: SecretPlace, what: str, *, where: str = "", hint: str | None = None) -> bytes:
    """Return what a place holds.

    A variable is taken out of the environment, so that no program that is started later sees it, and a descriptor is
    closed: each can be read once.

    Args:
        place: where it is kept.
        what: what is read, for messages: `signing key`.
        where: what messages name instead of the place; whoever takes it for the secret itself must not find it in logs.
        hint: what helps where there is none.

    Raises:
        KeyFileError: there is nothing, or it cannot be read.
    """
    where = where or str(place)
    if place.variable:
        value = os.environb.pop(os.fsencode(place.variable), b"")
        if not value:
            raise KeyFileError(f"no {what}: the variable is not set", where=where)
        return value
    try:
        with place.path.open("rb") if place.path else os.fdopen(place.descriptor, "rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise KeyFileError(f"no such {what}", where=where, hint=hint) from None
    except OSError as error:
        reason = reason_of(error)
        raise KeyFileError(f"cannot read the {what}: {reason}", where=where) from None
    if len(data) > SIZE_LIMIT:
        raise KeyFileError(f"too large to be a {what}", where=where)
    return data


def forget_secret(place: SecretPlace) -> None:
    """Give up all that this process could learn a secret from: a forked process calls it that is not to know it.

    A variable is also overwritten where the process got it from its caller, which /proc/PID/environ shows.
    """
    if place.variable:
        import ctypes  # noqa: PLC0415  # 2 ms that settings are read without

        name = os.fsencode(place.variable)
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_void_p
        address, value = libc.getenv(name), os.environb.pop(name, b"")
        if address:
            ctypes.memset(address, 0, len(value))
        posix.environ.pop(name, None)
    elif place.descriptor >= 0:
        with suppress(OSError):
            os.close(place.descriptor)


def stat_secret(place: SecretPlace) -> os.stat_result | None:
    """Return what the system knows of the file that a place names; None where it is none, or there is none."""
    try:
        return place.path.stat() if place.path else os.fstat(place.descriptor) if place.descriptor >= 0 else None
    except (OSError, ValueError, OverflowError):
        return None  # reading it says why
