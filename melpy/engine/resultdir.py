"""The directories that builds leave their unsigned packages in: `<cache>/results/run-<random>/<identity>/`.

A run has one of its own, since two runs may build the same at the same time, and locks it. It is gone with the run;
those of runs that were killed are swept away by the next. What could not be published is kept: `unpublished-<random>`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.errors import OutputError
from melpy.files import is_locked, remove_scratch, scratch_directory

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

RESULTS = "results"
"""Directory of melpy's cache with the unsigned packages of builds."""
_RUN = "run-"
_KEPT = "unpublished-"


class LeftResults(Noun, frozen=True):
    """A directory of results that no run uses, and whether it was kept since its packages could not be published."""

    path: Path
    kept: bool


def open_results(cache: Path) -> AbstractContextManager[Path]:
    """Make a run's directory of results, which is gone at the end; remove those that killed runs left.

    Raises:
        OutputError: it cannot be made.
    """
    return scratch_directory(cache / RESULTS, _RUN)


def keep_results(directory: Path) -> Path:
    """Keep a run's directory of results beyond the run, and return where it is then.

    Raises:
        OSError: it cannot be renamed.
    """
    return directory.rename(directory.with_name(_KEPT + directory.name.removeprefix(_RUN)))


def find_left(cache: Path) -> tuple[LeftResults, ...]:
    """Return the directories of results that no run uses."""
    base = cache / RESULTS
    paths = sorted(base.iterdir()) if base.is_dir() else []
    return tuple(
        LeftResults(path, path.name.startswith(_KEPT))
        for path in paths
        if path.name.startswith((_RUN, _KEPT)) and path.is_dir() and not path.is_symlink() and not is_locked(path)
    )


def remove_results(directory: Path) -> bool:
    """Remove a directory of results unless a run uses it; tell whether it was removed.

    Raises:
        OutputError: it cannot be removed.
    """
    if not directory.is_dir() or not remove_scratch(directory):
        return False
    if directory.exists():
        raise OutputError("cannot be removed", where=str(directory), hint="remove it as its owner")
    return True
