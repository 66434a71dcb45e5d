"""The files of recipes' own directories, as a run sees them first.

A run takes minutes or days, in which files are edited. What was found at the first look is what its keys follow from,
or newer: a file that changes after it counts for the next run.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from melpy.engine.inputs import read_recipe_files
from melpy.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.engine.inputs import RecipeFile


class RecipeDirectories:
    """What changes when a file of a recipe's directory does, looked for once in a run."""

    def __init__(self) -> None:
        self._found: dict[str, list[list[object]]] = {}

    def list_files(self, directory: str) -> Sequence[Sequence[object]]:
        """Return path, mode, size, times and inode of each file of a directory, and path and mode of directories in it.

        Args:
            directory: the directory; empty where a recipe has none.
        """
        if directory not in self._found:
            self._found[directory] = _list_files(directory) if directory else []
        return self._found[directory]


def check_unchanged(directory: Path | None, files: Sequence[RecipeFile]) -> None:
    """Check, when a build begins, that the files of its recipe are those that its key follows from.

    It may have waited for its sources, packages and processors.

    Raises:
        RecipeError: one has changed meanwhile; another attempt takes the files as they are now.
    """
    try:
        is_same = read_recipe_files(directory) == tuple(files)
    except OSError:  # one has gone
        is_same = False
    if not is_same:
        hint = "run the same command again"
        error = RecipeError("its files have changed since this build was prepared", where=str(directory), hint=hint)
        error.passing = True
        raise error


def _list_files(base: str) -> list[list[object]]:
    found: list[list[object]] = []
    for directory, names, files in os.walk(base):
        for name in (*names, *files):  # a symlink to a directory is among the names of directories
            path = os.path.join(directory, name)  # noqa: PTH118  # a third of the time where there are thousands
            info = os.lstat(path)
            stamp = [info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]
            found.append([os.path.relpath(path, base), *(stamp[:1] if stat.S_ISDIR(info.st_mode) else stamp)])
    return sorted(found, key=lambda item: str(item[0]))
