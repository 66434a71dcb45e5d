"""The store on disk, and who may do what in it when.

    <store>/<SHA-1 of a package's control member>/   root/ manifest scripts
    <store>/<digest of an environment>/              root/ packages
    <store>/.new-*                                   what is being made; of a killed process until the next one comes
    <store>.lock                                     shared by who adds, whole for who removes

An entry with its name is whole: it was renamed into place. Who uses an environment holds a lock on its `packages`,
and with that on all that it lies upon. Only the user can enter the store, since setuid programs lie in it.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.errors import PackageFormatError
from melpy.files import is_locked, output_error
from melpy.rootfs.model import FILES, PACKAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORE = "store-3"
"""The store's directory in the cache; another number when another way of extracting makes its entries anew."""

NEW = ".new-"
_SHA1_SIZE = 20


def layer_path(store: Path, checksum: str) -> Path:
    """Return where the files of a package lie.

    Raises:
        PackageFormatError: the checksum is not one.
    """
    try:
        digest = base64.b64decode(checksum.removeprefix("Q1"), validate=True)
    except binascii.Error:
        digest = b""
    if not checksum.startswith("Q1") or len(digest) != _SHA1_SIZE:
        raise PackageFormatError(f"not the checksum of a package: {checksum!r}")
    return store / digest.hex() / FILES


class Held(Noun, frozen=True):
    """An environment that nobody prunes until it is closed.

    Attributes:
        layer: its topmost layer.
        descriptor: its lock.
    """

    layer: Path
    descriptor: int

    def close(self) -> None:
        """Let it go."""
        os.close(self.descriptor)


def hold_entry(store: Path, name: str) -> Held | None:
    """Hold an environment and note that it is used now; None when the store has none of this name."""
    path = store / name / PACKAGES
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    with suppress(OSError):
        os.utime(descriptor)
    return Held(store / name / FILES, descriptor)


def is_held(entry: Path) -> bool:
    """Tell whether a running build uses an environment; the store must be locked whole."""
    return is_locked(entry / PACKAGES)


@contextmanager
def share_store(store: Path) -> Iterator[None]:
    """Make the store if there is none, and keep it from being pruned while something is added or looked up.

    Raises:
        OutputError: it cannot be written.
    """
    with _lock_file(store) as descriptor:
        try:
            _prepare(store)
            if any(name.startswith(NEW) for name in os.listdir(store)):  # noqa: PTH208  # done for every build
                _sweep(store, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError as error:
            raise output_error(store, error) from None
        yield


@contextmanager
def lock_store(store: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Have the store for oneself.

    Args:
        store: the store.
        waiting: called when somebody is adding to it, before waiting for the end of that.

    Raises:
        OutputError: it cannot be written.
    """
    with _lock_file(store) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        remove_leftovers(store)
        yield


@contextmanager
def _lock_file(store: Path) -> Iterator[int]:
    path = store.with_name(f"{store.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise output_error(path, error) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _prepare(store: Path) -> None:
    store.mkdir(mode=0o700, exist_ok=True)
    info = store.stat()
    if stat.S_IMODE(info.st_mode) & 0o077 and info.st_uid == os.geteuid():
        store.chmod(0o700)


def _sweep(store: Path, descriptor: int) -> None:
    """Remove what killed processes left, if nobody else is adding something just now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    remove_leftovers(store)


def remove_leftovers(store: Path) -> None:
    """Remove what killed processes left; the store must be locked whole."""
    for path in store.glob(f"{NEW}*"):
        remove_entry_tree(path)


def remove_entry_tree(path: Path) -> None:
    """Remove a directory of the store, whatever modes its directories have.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        shutil.rmtree(path)
    except OSError:
        for directory, names, _ in os.walk(path):
            for name in names:
                inner = Path(directory, name)
                if not inner.is_symlink():
                    inner.chmod(0o700)
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise output_error(path, error) from None


@contextmanager
def new_entry(store: Path) -> Iterator[Path]:
    """Make an empty directory for an entry; it is removed again unless it was renamed into place.

    Raises:
        OutputError: the store cannot be written.
    """
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=store, prefix=NEW))
    except OSError as error:
        raise output_error(store, error) from None
    try:
        temporary.chmod(0o755)
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def settle_entry(temporary: Path, final: Path) -> None:
    """Put an entry into its place; another process may have been quicker, with the same content."""
    try:
        os.rename(temporary, final)  # noqa: PTH104  # Path.rename would do; os says that it never replaces a full one
    except OSError:
        if not final.is_dir():
            raise
