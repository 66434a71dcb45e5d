"""The processors of a machine, shared by the builds that run on it.

The rule is a pure function from running builds to sets of processors. `Shares` applies it: it writes the share of each
build into a file of the build's own, which a step reads when it starts (`melpy.build.step`). A step that runs keeps the
processors that it began with, so that `make -j$(nproc)` uses as many as it counted.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from melpy.errors import OutputError
from melpy.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Portion(NamedTuple):
    """The part of the processors that a running build is to have.

    Attributes:
        weight: expected work, or the processors that the recipe asks for, at least 1; builds share in proportion.
        most: number of processors that it may use; 0 for all.
    """

    weight: float = 1.0
    most: int = 0


def share_processors(
    portions: Mapping[str, Portion], processors: Sequence[int], before: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return the processors of each running build.

    Each has at least one. None is idle while a build may use it, and none has two builds unless there are more builds
    than processors. A build keeps those that it had before, as far as it still has as many.

    Args:
        portions: the running builds.
        processors: numbers of the processors.
        before: the processors that builds had.
    """
    counts = _count(portions, len(processors))
    uses = dict.fromkeys(processors, 0)
    shares: dict[str, list[int]] = {}
    for build, count in counts.items():
        kept = [number for number in before.get(build, ()) if uses.get(number) == 0][:count]
        shares[build] = kept
        for number in kept:
            uses[number] += 1
    for build, count in counts.items():
        own = shares[build]
        while len(own) < count:
            number = min((number for number in processors if number not in own), key=lambda number: uses[number])
            own.append(number)
            uses[number] += 1
    return {build: tuple(sorted(own)) for build, own in shares.items()}


def _count(portions: Mapping[str, Portion], total: int) -> dict[str, int]:
    """Return how many processors each build has: one at first, each further one where it is needed most."""
    counts = dict.fromkeys(portions, 1)
    for _ in range(total - len(portions)):
        open_ = [build for build, portion in portions.items() if counts[build] < min(portion.most or total, total)]
        if not open_:
            break
        # The divisor method of Webster: the next one goes where count and weight differ most.
        build = max(open_, key=lambda build: max(1.0, portions[build].weight) / (counts[build] + 0.5))
        counts[build] += 1
    return counts


class Shares:
    """The shares of the builds that this process has running; several threads may add builds.

    Args:
        processors: numbers of the processors.
    """

    def __init__(self, processors: Sequence[int]) -> None:
        self._processors = tuple(processors)
        self._lock = threading.Lock()
        self._portions: dict[str, Portion] = {}
        self._files: dict[str, Path] = {}
        self._shares: dict[str, tuple[int, ...]] = {}

    @contextmanager
    def hold(self, build: str, portion: Portion, file: Path) -> Iterator[tuple[int, ...]]:
        """Give a build its share while it runs, and all others theirs beside it.

        Args:
            build: name of the build, unique among those that run.
            portion: the part that it is to have.
            file: file that has its share until the end of the block.
        """
        with self._lock:
            self._portions[build], self._files[build] = portion, file
            self._renew()
            share = self._shares[build]
        try:
            yield share
        finally:
            with self._lock:
                for known in (self._portions, self._files, self._shares):
                    known.pop(build, None)
                with suppress(OSError):
                    file.unlink()
                self._renew()

    def _renew(self) -> None:
        before = self._shares
        self._shares = share_processors(self._portions, self._processors, before)
        for build, share in self._shares.items():
            # A build that cannot be told goes on with the share that it began with.
            with suppress(OutputError):
                if share != before.get(build):
                    write_share(self._files[build], share)


def write_share(file: Path, share: Sequence[int]) -> None:
    """Write the numbers of processors into a file.

    Raises:
        OutputError: it cannot be written.
    """
    with replace_file(file, 0o600, durable=False) as stream:
        stream.write(" ".join(map(str, share)).encode())


def find_processors() -> tuple[int, ...]:
    """Return the processors that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))
