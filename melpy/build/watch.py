"""Looks whether a build keeps to its limits of time and disk, which the kernel does not watch for an ordinary user."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy.text import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from melpy.sandbox.model import Limits, Root

_LOOK_EVERY = 2.0  # seconds, and ten times as long as looking takes: a workspace may have 100,000 files


@dataclass
class Watch:
    """The limits of a build whose steps began at some time.

    Attributes:
        limits: what it may use.
        places: directories that fill while steps run, and the log.
        start: when the steps began, `time.monotonic`.
        already: bytes that were there before, and do not count.
    """

    limits: Limits
    places: tuple[Path, ...]
    start: float = field(default_factory=time.monotonic)
    already: int = 0
    _next: float = 0.0

    def add_root(self, root: Root) -> None:
        """Watch a build root, too; of one that was copied, only what is added from now on counts."""
        self.places = (*self.places, root.upper)
        if self.limits.disk and not root.layers:
            self.already += disk_usage((root.upper,))

    def look(self) -> str:
        """Say which limit is exceeded, or nothing."""
        now = time.monotonic()
        limits = self.limits
        if limits.seconds and now - self.start > limits.seconds:
            return f"took longer than the {limits.seconds:g} s that the build may take"
        if limits.disk and now >= self._next:
            used = disk_usage(self.places) - self.already
            self._next = now + max(_LOOK_EVERY, 10 * (time.monotonic() - now))
            if used > limits.disk:
                return f"filled {size_text(used)} of disk, and the build may fill {size_text(limits.disk)}"
        return ""


def disk_usage(places: Sequence[Path]) -> int:
    """Return how many bytes of disk files, and those below directories, take, as far as they can be seen."""
    total = sum(place.stat().st_blocks * 512 for place in places if place.is_file())
    pending = [os.fspath(place) for place in places if not place.is_file()]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    try:
                        info = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                    except OSError:
                        continue  # it is gone
                    total += info.st_blocks * 512
        except OSError:
            continue  # gone, or closed to us
    return total
