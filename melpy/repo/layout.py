"""Where things lie in a repository: `<root>/<arch>/<name>-<version>.apk` and `<root>/<arch>/APKINDEX.tar.gz`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.apk.model import INDEX_NAME
from melpy.errors import RepositoryError, reason_of

if TYPE_CHECKING:
    from pathlib import Path


def index_path(root: Path, arch: str) -> Path:
    """Return where the index of an architecture lies."""
    return root / arch / INDEX_NAME


def list_packages(directory: Path) -> list[str]:
    """Return the names of the package files in a directory, sorted.

    Raises:
        RepositoryError: it cannot be read.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208  # a third of the time where there are thousands
    except OSError as error:
        raise RepositoryError(f"cannot be read: {reason_of(error)}", where=str(directory)) from None
    return sorted(name for name in names if name.endswith(".apk"))


def find_arches(root: Path) -> dict[str, list[str]]:
    """Return the names of the package files of each architecture of a repository that has any, or an index of them."""
    found = {}
    for directory in sorted(root.iterdir()):
        packages = list_packages(directory) if directory.is_dir() else []
        if packages or (directory / INDEX_NAME).is_file():
            found[directory.name] = packages
    return found
