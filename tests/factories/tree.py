"""Output trees, made on disk from a mapping of paths to contents."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.build.tree import load_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from melpy.build.model import OutputTree


@dataclass(frozen=True)
class File:
    """A regular file with a mode; plain bytes or text stand for one of mode 0644."""

    content: bytes | str = b""
    mode: int = 0o644

    def write(self, path: Path) -> None:
        path.write_bytes(self.content.encode() if isinstance(self.content, str) else self.content)
        path.chmod(self.mode)


@dataclass(frozen=True)
class Link:
    """A symlink."""

    target: str

    def write(self, path: Path) -> None:
        path.symlink_to(self.target)


@dataclass(frozen=True)
class Directory:
    """A directory; those above a file need not be named."""

    mode: int = 0o755

    def write(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        path.chmod(self.mode)


@dataclass(frozen=True)
class Fifo:
    """A named pipe, which blocks whoever opens it."""

    def write(self, path: Path) -> None:
        os.mkfifo(path)


Content = bytes | str | File | Link | Directory | Fifo


def program(content: bytes | str = "#!/bin/sh\n") -> File:
    """Return a file that everybody may run."""
    return File(content, 0o755)


def tree(root: Path, files: Mapping[str, Content], package: str = "hello") -> OutputTree:
    """Make a directory and return it as the tree of a package."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (File(content) if isinstance(content, bytes | str) else content).write(path)
    return load_tree(package, root)
