"""Bounds for all that comes from strangers: numbers, times, names, nesting, sizes of files.

One rule for every reader: what is larger, longer or deeper than anything honest is refused before it is used, with an
error that the reader turns into its own. Two bounds can be met by honest users and are settings: `unpack-limit` and
`source-limit`. Sources of the others: Linux's limits.h, POSIX.1-2001 (pax), RFC 3339.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONGEST_PATH: Final = 4095
"""Bytes of a path, or of what a symlink points to: PATH_MAX without its NUL."""
LONGEST_NAME: Final = 255
"""Bytes of one component of a path."""
MOST_LEVELS: Final = 256
"""Directories within directories; deep trees of node_modules have some 40. Each level costs an open."""
LARGEST_NUMBER: Final = 2**63 - 1
LARGEST_ID: Final = 2**32 - 2
"""The largest user or group id; the one after it means none."""
SMALLEST_TIME: Final = -62135596800
"""The first second of the year 1."""
LARGEST_TIME: Final = 253402300799
"""The last second of the year 9999; RFC 3339 has no later one."""
LARGEST_TEXT: Final = 16 << 20
"""Bytes of a file that people write, such as recipes, settings and lock files; a lock of all Wolfi has 10 MB."""

_SHOWN = 40  # characters of a foreign text that a message shows
_WHOLE = re.compile(r"[+-]?[0-9]{1,64}")
_SECONDS = re.compile(r"-?[0-9]{1,64}(?:\.[0-9]{0,64})?")


class BoundError(ValueError):
    """Something is larger, longer or deeper than it may be, or is no number."""


def shorten(value: object) -> str:
    """Return a foreign value as messages show it: in quotes, escaped, and cut off when it is long."""
    if isinstance(value, bytes):
        value = value[: _SHOWN + 1].decode(errors="backslashreplace")
    text = str(value)
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def parse_number(text: str, *, smallest: int = 0, largest: int = LARGEST_NUMBER) -> int:
    """Return a whole decimal number in ASCII digits.

    Raises:
        BoundError: it is none, or out of these bounds.
    """
    if not _WHOLE.fullmatch(text):
        raise BoundError(f"not a number: {shorten(text)}")
    number = int(text)
    if not smallest <= number <= largest:
        raise BoundError(f"not a number from {smallest} to {largest}: {shorten(text)}")
    return number


def parse_time(text: str) -> float:
    """Return seconds since 1970, with or without a fraction, brought into the years that dates have.

    Raises:
        BoundError: it is no time.
    """
    if not _SECONDS.fullmatch(text):
        raise BoundError(f"not a time: {shorten(text)}")
    return clamp_time(float(text))


def clamp_time(seconds: float) -> float:
    """Return the nearest time that file systems and dates have: from the year 1 to 9999."""
    return min(max(seconds, SMALLEST_TIME), LARGEST_TIME)


def check_path(path: str) -> tuple[str, ...]:
    """Return the components of a relative path of a stranger; a leading slash, `.` and doubled slashes do not count.

    Raises:
        BoundError: it leads up, or is longer or deeper than the system or melpy allows.
    """
    if len(path) > LONGEST_PATH or _size(path) > LONGEST_PATH:
        raise BoundError(f"has a path of more than {LONGEST_PATH} bytes: {shorten(path)}")
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if "\0" in path:
        raise BoundError(f"has a path with a NUL in it: {shorten(path)}")
    if ".." in parts:
        raise BoundError(f"has a path that leads up: {shorten(path)}")
    if len(parts) > MOST_LEVELS:
        raise BoundError(f"nests deeper than {MOST_LEVELS} directories: {shorten(path)}")
    for part in parts:
        if len(part) > LONGEST_NAME or _size(part) > LONGEST_NAME:
            raise BoundError(f"has a name of more than {LONGEST_NAME} bytes: {shorten(part)}")
    return parts


def _size(path: str) -> int:
    try:
        return len(os.fsencode(path))
    except UnicodeEncodeError:
        raise BoundError(f"has a path with what is no character: {shorten(path)}") from None


def parse_json(text: str | bytes) -> Any:  # whatever it holds
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON, nests too deep, or holds a number that is out of all bounds.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise BoundError("nests too deep") from None


def read_file(path: Path | str, limit: int = LARGEST_TEXT, *, piped: bool = False) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        limit: most bytes.
        piped: whether it may be a pipe, a terminal or /dev/null, since the user named it; otherwise only a regular file
            is read.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    with open_file(path, piped=piped) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"has more than {limit} bytes", str(path))
    return data


def open_file(path: Path | str, *, piped: bool = False) -> IO[bytes]:
    """Open a regular file for reading; a pipe or device is refused at once, and never waited for.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if piped else os.O_NONBLOCK)
    return regular_stream(lambda: os.open(path, flags), str(path), piped=piped)


def regular_stream(opener: Callable[[], int], name: str, *, piped: bool = False) -> IO[bytes]:
    """Return the stream of a descriptor that is opened here; it is closed when it is no regular file.

    Raises:
        OSError: it is something else.
    """

    def open_regular(_path: str, _flags: int) -> int:
        descriptor = opener()
        try:
            _check_kind(os.fstat(descriptor).st_mode, name, piped=piped)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    # The stream alone closes it from here on: closed twice, an interrupt would come out as a bad descriptor.
    return open(name, "rb", opener=open_regular)  # Path.open takes no opener


def _check_kind(mode: int, name: str, *, piped: bool) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode) and not (piped and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))):
        raise OSError(errno.EINVAL, "is no regular file", name)
