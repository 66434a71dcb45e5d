"""What steps may keep from one build to the next: `<cache>/build-cache/<arch>/<recipe-NAME or shared>/`.

Whoever builds shares a lock on the directory of all caches, and whoever removes some has it alone. Steps see their own
cache only, at /var/cache/melange, so they cannot reach the lock.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from melpy.errors import OutputError
from melpy.files import make_directory, output_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CACHES = "build-cache"
"""Directory of melpy's cache with the caches of builds."""


@contextmanager
def hold_cache(directory: Path) -> Iterator[Path]:
    """Make a build's cache, `<cache>/build-cache/<arch>/<name>`, if there is none, and keep it from being removed.

    Raises:
        OutputError: it cannot be made.
    """
    base = directory.parent.parent
    make_directory(base)
    with _locked(base, fcntl.LOCK_SH):
        make_directory(directory)
        yield directory


@contextmanager
def take_caches(cache: Path) -> Iterator[tuple[Path, ...]]:
    """Give the caches of all builds below melpy's cache, and keep builds from using them meanwhile.

    Raises:
        OutputError: a build uses one now.
    """
    base = cache / CACHES
    if not base.is_dir():
        yield ()
        return
    try:
        with _locked(base, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield tuple(sorted(path for path in base.glob("*/*") if path.is_dir() and not path.is_symlink()))
    except BlockingIOError:
        raise OutputError("a build uses it", where=str(base), hint="wait until it has ended") from None


@contextmanager
def _locked(base: Path, operation: int) -> Iterator[None]:
    try:
        descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise output_error(base, error) from None
    try:
        # Steps may leave setuid programs, which would be this user's for everybody on the machine.
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o700)
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)
