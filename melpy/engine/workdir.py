"""The directories that builds work in: `<cache>/work/<name>-<arch>-<random>/`.

Whoever works in one holds a lock on its file `lock`, so that what a killed melpy left can be told from what is in use.
A directory with a file `kept` is for the user to look into, and holds in it why; one of a recipe and an architecture
is kept, the last. All others are swept away by whoever comes next.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.build.workspace import remove_tree
from melpy.codec import Noun
from melpy.errors import EmulationError, MelpyError, OutputError, SandboxError, ToolMissingError, reason_of
from melpy.files import is_locked, make_directory, output_error
from melpy.sandbox.identity import find_id_range
from melpy.sandbox.runner import reclaim

if TYPE_CHECKING:
    from collections.abc import Iterator

WORK = "work"
"""Directory of the cache in which builds work."""
_KEPT = "kept"
_LOCK = "lock"
_ASKED = "kept by --keep"


class WorkDirectory(Noun, frozen=True):
    """A directory that a build worked in, or works in.

    Attributes:
        path: where it is.
        used: whether a build works in it now.
        kept: why it was kept; empty when it was not.
        changed: when it was last worked in, seconds since 1970.
    """

    path: Path
    used: bool
    kept: str
    changed: float


@contextmanager
def work_directory(cache: Path, name: str, *, keep: bool) -> Iterator[Path]:
    """Make a directory to work in; it is removed at the end, but kept when a step failed.

    Args:
        cache: melpy's cache.
        name: of recipe and architecture, `hello-x86_64`.
        keep: keep it when all ended well, too.

    Raises:
        OutputError: it cannot be made.
    """
    base = cache / WORK
    make_directory(base)
    sweep(base)
    with ExitStack() as stack:
        with _alone(base):
            try:
                directory = Path(tempfile.mkdtemp(dir=base, prefix=f"{name}-"))
            except OSError as error:
                raise output_error(base, error) from None
            _drop_default_acl(directory)
            stack.enter_context(_locked(directory))
        yield from _work(directory, name, keep=keep)


def _drop_default_acl(directory: Path) -> None:
    """Remove the default ACL that a directory inherited: it would decide modes of files that steps make."""
    with suppress(OSError):  # it has none
        os.removexattr(directory, "system.posix_acl_default")


@contextmanager
def reuse_directory(directory: Path, name: str, *, keep: bool) -> Iterator[Path]:
    """Work in a directory that was kept, on what is there; it stays kept unless all ends well.

    Raises:
        OutputError: a build works in it now, or it is gone.
    """
    with reuse_kept(directory):
        yield from _work(directory, name, keep=keep)


@contextmanager
def reuse_kept(directory: Path) -> Iterator[None]:
    """Have a directory that was kept to oneself, and leave it kept, whatever happens.

    Raises:
        OutputError: a build works in it now, or it is gone.
    """
    with ExitStack() as stack:
        with _alone(directory.parent):  # who looks whether it is locked locks it for a moment
            stack.enter_context(_locked(directory))
        yield


def _work(directory: Path, name: str, *, keep: bool) -> Iterator[Path]:
    try:
        yield directory
    except BaseException as error:
        # What this machine cannot run at all is nothing to look into.
        is_of_machine = isinstance(error, SandboxError | EmulationError | ToolMissingError)
        if isinstance(error, MelpyError) and (keep or not is_of_machine):
            _keep(directory, name, str(error))
        elif not (directory / _KEPT).exists():
            remove_work(directory)
        raise
    if keep:
        _keep(directory, name, _ASKED)
    else:
        remove_work(directory)
        # A failure that is mended is nothing to look into.
        for other in find_work(directory.parent, name):
            if other.kept and other.kept != _ASKED:
                remove_left(other.path)


def _keep(directory: Path, name: str, why: str) -> None:
    for other in find_work(directory.parent, name):
        if other.path != directory and other.kept:
            remove_left(other.path)
    with suppress(OSError):  # where the disk is full, what filled it is more useful than this
        (directory / _KEPT).write_text(f"{why}\n", encoding="utf-8", errors="surrogateescape")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    where = str(directory)
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise OutputError(f"cannot be worked in: {reason_of(error)}", where=where) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError("a build works in it", where=where, hint="wait until it has ended") from None
        os.utime(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Keep others from looking for what killed builds left, as long as a new directory is not locked."""
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def find_work(base: Path, name: str = "") -> tuple[WorkDirectory, ...]:
    """Return the directories below `<cache>/work`, the last one first.

    Args:
        base: that directory.
        name: of recipe and architecture; of all without one.
    """
    if not base.is_dir():
        return ()
    found = []
    with _alone(base):
        for path in base.iterdir():
            # The random part has no dash.
            if path.is_dir() and not path.is_symlink() and (not name or path.name.rpartition("-")[0] == name):
                with suppress(OSError):  # it was removed meanwhile
                    found.append(_describe(path))
    return tuple(sorted(found, key=lambda work: -work.changed))


def _describe(path: Path) -> WorkDirectory:
    lock, kept = path / _LOCK, path / _KEPT
    text = kept.read_text(encoding="utf-8", errors="surrogateescape").strip() if kept.is_file() else ""
    return WorkDirectory(path, is_locked(lock), text, (lock if lock.exists() else path).stat().st_mtime)


def sweep(base: Path) -> None:
    """Remove what killed builds left. What cannot be removed is no hindrance to a build; `melpy clean` tells of it."""
    for work in find_work(base):
        if not work.used and not work.kept:
            with suppress(OutputError):
                remove_left(work.path)


def remove_left(directory: Path) -> bool:
    """Remove a directory unless somebody works in it, or was quicker to remove it; tell whether it was removed.

    Raises:
        OutputError: it cannot be removed.
    """
    with ExitStack() as stack:
        with _alone(directory.parent):
            if not directory.is_dir() or is_locked(directory / _LOCK):
                return False
            with suppress(OutputError):  # another user's, most likely
                stack.enter_context(_locked(directory))
        return remove_work(directory)


def remove_work(directory: Path) -> bool:
    """Remove a directory that steps wrote to, and what belongs to others in it; tell whether it was there.

    Raises:
        OutputError: it cannot be removed.
    """
    if not directory.exists():
        return False
    remove_tree(directory)
    ids = find_id_range()
    if directory.exists() and ids:
        # A build that was killed left files of the ids that its sandbox had.
        with suppress(SandboxError, OSError):
            reclaim(ids, (directory,), Path(tempfile.mkdtemp(dir=directory)))
        remove_tree(directory)
    if directory.exists():
        raise OutputError("cannot be removed", where=str(directory), hint="remove it as its owner")
    return True
