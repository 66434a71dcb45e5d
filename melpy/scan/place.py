"""Directories that mean something to a scan. Paths have no leading slash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.inside import RESERVED
from melpy.plan.model import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

LIB_DIRS = ("lib", "usr/lib", "lib64", "usr/lib64")
BIN_DIRS = ("bin", "sbin", "usr/bin", "usr/sbin")

_BELOW = "/..."
_BUILD_DIRS = (WORKSPACE, str(RESERVED))


def is_in_build(path: str) -> bool:
    """Tell whether an absolute path is one of a build's own directories, or below: it is nowhere else."""
    return any(path == directory or path.startswith(f"{directory}/") for directory in _BUILD_DIRS)


def is_in_directory(path: str, directories: Iterable[str]) -> bool:
    """Tell whether a file lies directly in one of the directories.

    A directory may end in a slash, which says nothing, or in `/...`, which stands for all that is below it.
    """
    parent = path.rpartition("/")[0]
    return any(_is_in(path, parent, directory) for directory in directories)


def _is_in(path: str, parent: str, directory: str) -> bool:
    if directory.endswith(_BELOW):
        return path.startswith(directory.removesuffix("..."))
    return parent == directory.rstrip("/")
