"""One process at a time changes a seed."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from melpy.files import output_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.bootstrap.model import SeedSpec


@contextmanager
def lock_seed(spec: SeedSpec) -> Iterator[None]:
    """Wait for other processes that change the seed of this suite, and keep them waiting.

    Raises:
        OutputError: the seed's directory cannot be written.
    """
    path = spec.home / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise output_error(path, error) from None
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
