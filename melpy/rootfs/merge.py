"""Layers become one tree of plain files: what an overlay of them would show, for machines that refuse overlays.

Files are cloned where the file system can share their blocks, and copied otherwise. They are never linked: a build
may write to them, and the store must not change. Source: Documentation/filesystems/overlayfs.rst of the kernel.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.files import output_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FICLONE = 0x40049409  # ioctl number, the same on all architectures but ppc and mips, which then copy
_OPAQUE = ("user.overlay.opaque", "trusted.overlay.opaque")


def merge_layers(layers: Sequence[Path], directory: Path) -> None:
    """Make the tree that an overlay of layers shows.

    Whiteouts hide what is below them, and opaque directories hide the directories below them. Modes and times are
    kept, and what is one file with several names in a layer stays one. Layers must not change meanwhile.

    Args:
        layers: directories, topmost last.
        directory: an empty directory on any file system.

    Raises:
        OutputError: something cannot be read or written.
    """
    try:
        _Merger().merge([os.fspath(layer) for layer in reversed(layers)], os.fspath(directory))
    except OSError as error:
        raise output_error(directory, error) from None


class _Merger:
    """Merges directories, and remembers which files have several names, and whether files can be cloned."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], str] = {}
        self._can_clone = True

    def merge(self, sources: Sequence[str], target: str) -> None:
        """Merge directories, topmost first, into one that is empty."""
        for name, found in _list_entries(sources).items():
            place = f"{target}/{name}"
            top = os.lstat(found[0])
            if stat.S_ISDIR(top.st_mode):
                Path(place).mkdir(0o700)
                self.merge(found, place)
            else:
                self._put(found[0], top, place)
        if sources:
            info = os.lstat(sources[0])
            Path(target).chmod(stat.S_IMODE(info.st_mode))
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _put(self, source: str, info: os.stat_result, place: str) -> None:
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(source)  # noqa: PTH115  # a Path would tidy it up
            os.symlink(target, place)  # noqa: PTH211  # likewise
        elif stat.S_ISFIFO(info.st_mode):
            os.mkfifo(place)
        elif stat.S_ISREG(info.st_mode):
            identity = (info.st_dev, info.st_ino)
            known = self._names.get(identity) if info.st_nlink > 1 else None
            if known:
                os.link(known, place)
                return
            self._names[identity] = place
            self._copy(source, info, place)
        else:
            return  # devices and sockets: an ordinary user cannot make them, and nothing needs them
        os.utime(place, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)

    def _copy(self, source: str, info: os.stat_result, place: str) -> None:
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            os.fdopen(os.open(source, os.O_RDONLY | flags), "rb", buffering=0) as old,
            os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600), "wb", buffering=0) as new,
        ):
            if not self._clone(old.fileno(), new.fileno()):
                shutil.copyfileobj(old, new, 1 << 20)
            os.fchmod(new.fileno(), stat.S_IMODE(info.st_mode))  # after writing, which takes setuid away

    def _clone(self, old: int, new: int) -> bool:
        if not self._can_clone:
            return False
        try:
            fcntl.ioctl(new, _FICLONE, old)
        except OSError as error:
            # EXDEV may hold for one layer and not for another; the others for the whole file system.
            self._can_clone = error.errno == errno.EXDEV
            return False
        return True


def _list_entries(sources: Iterable[str]) -> dict[str, list[str]]:
    """Return what directories, topmost first, show: of each name the paths that are merged, topmost first."""
    shown: dict[str, list[str]] = {}
    closed: set[str] = set()  # names below which nothing shows any more
    for source in sources:
        with os.scandir(source) as entries:
            for entry in entries:
                if entry.name in closed:
                    continue
                is_directory = entry.is_dir(follow_symlinks=False)
                if is_directory:
                    shown.setdefault(entry.name, []).append(entry.path)
                elif entry.name not in shown and not _is_whiteout(entry):
                    shown[entry.name] = [entry.path]
                if not is_directory or _is_opaque(entry.path):
                    closed.add(entry.name)
    return shown


def _is_whiteout(entry: os.DirEntry[str]) -> bool:
    if entry.is_file(follow_symlinks=False) or entry.is_symlink():
        return False
    info = entry.stat(follow_symlinks=False)
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def _is_opaque(path: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue  # no such attribute, or none at all on this file system
    return False
