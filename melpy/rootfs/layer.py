"""A layer while it is written: the topmost one of an environment.

Paths are those of the tree that is assembled. Symlinks lead around in it only; on disk none is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.errors import FileConflictError
from melpy.inside import create_file, open_below, open_root, read_regular, remove_entry
from melpy.rootfs.extraction import q1
from melpy.rootfs.model import FILES, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.rootfs.tree import Tree

_READ_LIMIT = 16 << 20


@dataclass
class Layer:
    """The layer while it is written: paths are those of the tree, and symlinks of it lead around in it only."""

    root: int
    tree: Tree
    packages: Sequence[Path]
    made: dict[str, Entry] = field(default_factory=dict)

    def read(self, path: str) -> bytes | None:
        """Return the content of a regular file of the tree."""
        place = self.tree.holder(self.tree.resolve(path))
        if place is None:
            return None
        return read_regular(self.packages[place.package] / FILES, place.path, _READ_LIMIT)

    def has(self, path: str) -> bool:
        """Tell whether the tree or this layer has something at a path."""
        return path in self.made or self.tree.holder(path) is not None or self.tree.is_directory(path)

    def lift(self) -> None:
        """Have the packages' files here that their own layers would not show."""
        groups: dict[tuple[int, str, str], list[tuple[str, str]]] = {}
        for path, place in self.tree.lifted.items():
            origin, _, old = place.path.rpartition("/")
            target, _, new = path.rpartition("/")
            groups.setdefault((place.package, origin, target), []).append((old, new))
        for (number, origin, target), names in groups.items():
            self._check_directory(target)
            self._note(target)
            with (
                open_root(self.packages[number] / FILES) as root,
                open_below(root, _parts(origin)) as source,
                open_below(self.root, _parts(target), make=True) as parent,
            ):
                for old, new in names:
                    _link(source, old, parent, new)

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file; where a symlink of the tree has its name, what that points to."""
        place = self.tree.resolve(path)
        with self._parent(place) as (parent, name), create_file(parent, name) as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
        self.made[place] = Entry(place, "f", mode, checksum=q1(hashlib.sha1(data).digest()))

    def link(self, path: str, target: str) -> None:
        """Make a symlink."""
        place = self.tree.resolve(path, last=False)
        with self._parent(place) as (parent, name):
            remove_entry(parent, name)
            os.symlink(target, name, dir_fd=parent)
        self.made[place] = Entry(place, "l", 0o777, target=target)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        place = self.tree.resolve(path)
        self._check_directory(place)
        with open_below(self.root, _parts(place), make=True):
            self._note(place)

    def _parent(self, path: str) -> _Parent:
        directory, _, name = path.rpartition("/")
        self._check_directory(directory)
        self._note(directory)
        return _Parent(self.root, directory, name)

    def _note(self, directory: str) -> None:
        while directory and directory not in self.made:
            self.made[directory] = Entry(directory, "d", 0o755)
            directory = directory.rpartition("/")[0]

    def _check_directory(self, path: str) -> None:
        """Check that no package has a file where the layer needs a directory."""
        while path:
            place = self.tree.holder(path)
            if place is not None:
                name = self.tree.packages[place.package].manifest.full_name
                raise FileConflictError(f"is a file in {name}, and must be a directory", where=f"/{path}")
            if path in self.made:
                return
            path = path.rpartition("/")[0]

    def finish(self) -> None:
        """Give directories the modes that they have in the tree, since this layer's are the ones that show."""
        for path, entry in sorted(self.made.items(), reverse=True):
            mode = self.tree.directory_mode(path)[0] if entry.kind == "d" else entry.mode
            if mode != entry.mode:
                with open_below(self.root, path.split("/")) as descriptor:
                    os.fchmod(descriptor, mode | stat.S_IRWXU)
                self.made[path] = entry._replace(mode=mode)


def _parts(path: str) -> Sequence[str]:
    return path.split("/") if path else ()


def _link(source: int, old: str, parent: int, new: str) -> None:
    try:
        os.link(old, new, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EMLINK, errno.EPERM}:  # it has as many names as the file system allows
            raise
        shutil.copy2(f"/proc/self/fd/{source}/{old}", f"/proc/self/fd/{parent}/{new}", follow_symlinks=False)


class _Parent:
    """The open directory that holds a path, made if it is missing, and the path's last component."""

    def __init__(self, root: int, directory: str, name: str) -> None:
        self._context = open_below(root, _parts(directory), make=True)
        self._name = name

    def __enter__(self) -> tuple[int, str]:
        return self._context.__enter__(), self._name

    def __exit__(self, *arguments: object) -> None:
        self._context.__exit__(*arguments)  # type: ignore[arg-type]  # handed on as they come
