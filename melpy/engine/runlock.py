"""A run over several builds has its repository to itself: it holds `logs/run.lock` there, which names its process.

Builds of one recipe each may go on at the same time, as they see one another's packages as published.
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

RUN_FILE = "logs/run.lock"


@contextmanager
def hold_run(out_dir: Path, *, alone: bool) -> Iterator[None]:
    """Keep other runs from writing a repository.

    Args:
        out_dir: the repository.
        alone: whether runs over one build are kept out, too.

    Raises:
        OutputError: another run writes it; the error names its process.
    """
    path = out_dir / RUN_FILE
    make_directory(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise output_error(path, error) from None
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            number = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise OutputError(
                f"another run writes this repository: process {number}",
                where=str(out_dir),
                hint="wait until it has ended, or name another --out-dir",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
