"""Writing a tree below an open directory, as GNU tar writes it, and never outside of it.

One directory is open at a time, and the next one is reached from it, step by step: what a member costs grows with the
length of its path, and not with what came before. No symlink is followed but those that stay inside.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from melpy.archive.model import show_path
from melpy.errors import ExtractError
from melpy.inside import DIRECTORY_FLAGS, create_file, remove_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MOST_LINKS = 40  # that one path may lead through, as for Linux itself
_OPEN = 0o700


class OutsideError(Exception):
    """A name leads out of the directory that is written below; whoever knows the archive explains it to the user."""


class _Node:
    """A directory that was entered.

    Attributes:
        entries: what was written into it: directories, and None for everything else.
        mode: mode that it gets at the end, if any.
        mtime: time that it gets at the end, in nanoseconds, if any.
        identity: device and inode, since it was entered last.
    """

    __slots__ = ("entries", "identity", "mode", "mtime")

    def __init__(self) -> None:
        self.entries: dict[bytes, _Node | None] = {}
        self.mode: int | None = None
        self.mtime: int | None = None
        self.identity: tuple[int, int] | None = None


class TreeWriter:
    """Writes below a directory; `finish` gives directories their modes and times, and closes it.

    Args:
        root_fd: descriptor of the directory; it stays open.
        on_made: is called for every directory that no member names.
    """

    def __init__(self, root_fd: int, on_made: Callable[[], None] = lambda: None) -> None:
        self._fd = os.dup(root_fd)
        self._on_made = on_made
        self._root = _Node()  # its mode and time are not an archive's to say
        self._note(self._fd, self._root, is_known=False)
        self._way: list[tuple[bytes, _Node]] = []  # to the directory that is open
        self.replaced: dict[bytes, None] = {}
        """Paths that were written more than once; directories are merged, and do not count."""

    def close(self) -> None:
        """Close the directory that is open."""
        os.close(self._fd)

    def write_directory(self, parts: Sequence[bytes], mode: int, mtime: int) -> None:
        """Make a directory, in place of a file or symlink of its name, or take the one that is there."""
        self._go(parts[:-1], mtime)
        name = parts[-1]
        try:
            os.mkdir(name, _OPEN, dir_fd=self._fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=self._fd).st_mode):
                self._clear(parts)
                os.mkdir(name, _OPEN, dir_fd=self._fd)
        self._enter(name, None)
        node = self._node
        node.mode, node.mtime = mode, mtime

    def create_file(self, parts: Sequence[bytes], mtime: int) -> IO[bytes]:
        """Open a new file, in place of whatever has its name."""
        self._go(parts[:-1], mtime)
        self._clear(parts)
        return create_file(self._fd, parts[-1])

    def write_symlink(self, parts: Sequence[bytes], target: bytes, mtime: int) -> None:
        """Make a symlink, in place of whatever has its name."""
        self._go(parts[:-1], mtime)
        self._clear(parts)
        os.symlink(target, parts[-1], dir_fd=self._fd)
        os.utime(parts[-1], ns=(mtime, mtime), dir_fd=self._fd, follow_symlinks=False)

    def write_hard_link(self, parts: Sequence[bytes], target: Sequence[bytes], mtime: int) -> None:
        """Give a file another name, in place of whatever has that name."""
        self._go(target[:-1], None)
        source_fd = os.dup(self._fd)
        try:
            source = os.lstat(target[-1], dir_fd=source_fd)
            self._go(parts[:-1], mtime)
            with suppress(FileNotFoundError):
                if _identity(os.lstat(parts[-1], dir_fd=self._fd)) == _identity(source):
                    return
            self._clear(parts)
            os.link(target[-1], parts[-1], src_dir_fd=source_fd, dst_dir_fd=self._fd, follow_symlinks=False)
        finally:
            os.close(source_fd)

    def rewrite_file(self, parts: Sequence[bytes]) -> IO[bytes]:
        """Open a file that was written before, empty it, and keep its other names."""
        self._go(parts[:-1], None)
        if self._node.entries.get(parts[-1], self._root) is not None:
            raise ExtractError(f"{show_path(b'/'.join(parts))} is no file of the archive")
        handle = os.open(parts[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            info = os.fstat(handle)
            if stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid():
                # It may be closed to its owner already; whoever writes it gives it its mode anew.
                os.chmod(f"/proc/self/fd/{handle}", stat.S_IMODE(info.st_mode) | stat.S_IWUSR)  # noqa: PTH101  # see _open
        finally:
            os.close(handle)
        flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.fdopen(os.open(parts[-1], flags, dir_fd=self._fd), "wb")

    def finish(self) -> None:
        """Give directories their modes and times, which writing into them would have changed or forbidden."""
        while self._way:
            self._leave()
        pending: list[Iterator[tuple[bytes, _Node | None]]] = [iter(self._root.entries.items())]
        while pending:
            name, node = next(pending[-1], (b"", None))
            if node is not None:
                self._enter(name, None)
                pending.append(iter(node.entries.items()))
            elif not name:
                pending.pop()
                if self._way:
                    self._leave(is_finished=True)
        if self._root.mode is not None:
            os.fchmod(self._fd, self._root.mode)

    @property
    def _node(self) -> _Node:
        return self._way[-1][1] if self._way else self._root

    def _go(self, parts: Sequence[bytes], mtime: int | None) -> None:
        """Open a directory, through symlinks that stay inside; with a time, make what is missing, and give it that."""
        same = 0
        for part, (name, _) in zip(parts, self._way, strict=False):
            if part != name:
                break
            same += 1
        while len(self._way) > same:
            self._leave()
        pending = [(part, mtime) for part in reversed(parts[same:])]
        links = 0
        outside: Exception = OutsideError(show_path(b"/".join(parts)))
        while pending:
            part, made = pending.pop()
            if part == b"..":
                if not self._way:
                    raise outside
                self._leave()
            elif target := self._enter(part, made):
                links += 1
                outside = self._outside(part, target)
                if target.startswith(b"/"):
                    raise outside
                if links > _MOST_LINKS:
                    raise ExtractError(f"{show_path(b'/'.join(parts))} leads through too many symlinks")
                pending += [(step, None) for step in reversed(target.split(b"/")) if step not in {b"", b"."}]

    def _outside(self, name: bytes, target: bytes) -> Exception:
        """Return the error for a symlink that leads out: an earlier step may have left it, and not the archive."""
        if name in self._node.entries:
            return OutsideError(f"through {show_path(name)}, a symlink to {show_path(target)}")
        text = f"{show_path(name)}, which was there before, is a symlink to {show_path(target)}, outside"
        return ExtractError(text, hint="a source is not unpacked through a symlink that leads out of its directory")

    def _enter(self, name: bytes, mtime: int | None) -> bytes | None:
        """Open a directory of the one that is open; return the target of a symlink instead."""
        made = False
        try:
            descriptor = self._open(name)
        except FileNotFoundError:
            if mtime is None:
                raise
            os.mkdir(name, _OPEN, dir_fd=self._fd)
            made = True
            descriptor = self._open(name)
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            with suppress(OSError):
                return os.readlink(name, dir_fd=self._fd)
            path = b"/".join([*(step for step, _ in self._way), name])
            raise ExtractError(f"{show_path(path)} is a file, and would have to be a directory") from None
        known = self._node.entries.get(name)
        node = known or _Node()
        self._node.entries[name] = node
        self._way.append((name, node))
        above, self._fd = self._fd, descriptor
        os.close(above)
        self._note(descriptor, node, is_known=made or known is not None)
        if made:
            node.mode, node.mtime = 0o755, mtime
            self._on_made()
        return None

    @staticmethod
    def _note(descriptor: int, node: _Node, *, is_known: bool) -> None:
        """Note which directory was opened; one that was there, closed to its own user, is closed again at the end."""
        info = os.fstat(descriptor)
        node.identity = _identity(info)
        if not is_known and info.st_mode & _OPEN != _OPEN and info.st_uid == os.geteuid():
            node.mode = stat.S_IMODE(info.st_mode)
            os.fchmod(descriptor, node.mode | _OPEN)

    def _open(self, name: bytes) -> int:
        try:
            return os.open(name, DIRECTORY_FLAGS, dir_fd=self._fd)
        except PermissionError:
            handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            try:
                info = os.fstat(handle)
                if info.st_uid != os.geteuid():
                    raise
                place = f"/proc/self/fd/{handle}"  # what was opened so cannot be changed by its descriptor
                os.chmod(place, stat.S_IMODE(info.st_mode) | _OPEN)  # noqa: PTH101  # a descriptor, not a path
                try:
                    descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=self._fd)
                finally:
                    os.chmod(place, stat.S_IMODE(info.st_mode))  # noqa: PTH101  # likewise
            finally:
                os.close(handle)
            return descriptor

    def _leave(self, *, is_finished: bool = False) -> None:
        """Open the directory above the one that is open."""
        name, node = self._way[-1]
        above = os.open("..", DIRECTORY_FLAGS, dir_fd=self._fd)
        expected = self._way[-2][1] if len(self._way) > 1 else self._root
        if _identity(os.fstat(above)) != expected.identity:
            os.close(above)
            raise ExtractError(f"{show_path(name)} was moved while it was written")
        self._way.pop()
        below, self._fd = self._fd, above
        try:
            # From above, since nobody comes out of a directory that its mode closes.
            if is_finished and node.mode is not None:
                os.fchmod(below, node.mode)
            if is_finished and node.mtime is not None:
                os.utime(below, ns=(node.mtime, node.mtime))
        finally:
            os.close(below)

    def _clear(self, parts: Sequence[bytes]) -> None:
        """Remove what has the name of an entry that is to be made; a directory only when it is empty."""
        name, entries = parts[-1], self._node.entries
        if name in entries:
            self.replaced[b"/".join(parts)] = None
        try:
            remove_entry(self._fd, name)
        except IsADirectoryError:
            try:
                os.rmdir(name, dir_fd=self._fd)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                path = show_path(b"/".join(parts))
                raise ExtractError(f"{path} is a directory with something in it, and would have to be a file") from None
        entries[name] = None


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
