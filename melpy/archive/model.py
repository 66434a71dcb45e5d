"""Members of an archive, whatever its format."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from melpy.bound import LARGEST_TIME, SMALLEST_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK: Final = 1 << 16
"""Bytes of content that are held at a time."""

_NANOSECONDS = 10**9


class MemberKind(Enum):
    """What becomes of a member."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARD_LINK = "hard link"
    OTHER = "device, pipe or socket"


class ArchiveMember(Struct, frozen=True):
    """One member of an archive.

    Attributes:
        path: its name, as the bytes that stand in the archive.
        kind: what becomes of it.
        mode: permission bits, with setuid, setgid and sticky.
        mtime: nanoseconds since 1970, from `clamp_mtime`.
        blocks: read its content, before the next member is asked for.
        target: what a symlink points to, or the member that a hard link is another name of.
        size: bytes of content; a hard link may have some (cpio).
    """

    path: bytes
    kind: MemberKind
    mode: int
    mtime: int
    blocks: Callable[[], Iterator[bytes | memoryview]]
    target: bytes = b""
    size: int = 0

    @property
    def name(self) -> str:
        """The path as messages show it."""
        return show_path(self.path)


def show_path(path: bytes) -> str:
    """Return a path as messages show it: in quotes, and without what would drive a terminal."""
    shown = 200
    text = path[:shown].decode("utf-8", "backslashreplace")
    return f"{text!r}…" if len(path) > shown else repr(text)


def clamp_mtime(seconds: int, nanoseconds: int = 0) -> int:
    """Return the nearest time that file systems and dates have, in nanoseconds: from the year 1 to 9999."""
    if not SMALLEST_TIME <= seconds <= LARGEST_TIME:
        return min(max(seconds, SMALLEST_TIME), LARGEST_TIME) * _NANOSECONDS
    return seconds * _NANOSECONDS + min(max(nanoseconds, 0), _NANOSECONDS - 1)
