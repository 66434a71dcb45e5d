"""Further attempts at builds whose failures may pass: a server that does not answer, a worker that died.

`melpy.net` and git try for some seconds. A build for which that was not enough is begun anew after a pause, while
others go on. A step is never tried again for that: it may have an effect that is no accident.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.result import make_error
from melpy.errors import MelpyError, ProcessError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.engine.node import Node
    from melpy.engine.post import Post
    from melpy.engine.result import Result

_PAUSES = (5.0, 20.0)
"""Seconds before a build is begun anew whose server did not answer."""
_LONGEST_PAUSE = 300.0  # that a server may ask for
_LOST_PAUSE = 1.0  # seconds before a build is begun anew whose worker has died, which happens once


class Attempts:
    """The builds that wait to be begun anew.

    Args:
        several: whether the run has several builds; a person who waits for a single one can begin it anew.
        post: wakes the main thread.
        monitor: is told of pauses.
        begin: begins a build anew.
    """

    def __init__(self, *, several: bool, post: Post, monitor: events.Monitor, begin: Callable[[Node], None]) -> None:
        self._several, self._post, self._monitor, self._begin = several, post, monitor, begin
        self._made: dict[Node, int] = {}  # further attempts
        self._waiting: set[Node] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, node: Node, job: str, found: Result | MelpyError, *, runs: bool) -> bool:
        """Have a build begun anew after a pause, where what it came to may pass; tell whether it is.

        Args:
            node: the build.
            job: its name.
            found: its result, or the error in the place of one.
            runs: whether it had come to a worker.
        """
        if isinstance(found, MelpyError):
            return self.wait(node, job, found, died=runs)
        return found.failure is not None and found.failure.passing and self.wait(node, job, make_error(found.failure))

    def wait(self, node: Node, job: str, failure: MelpyError, *, died: bool = False) -> bool:
        """Have a build begun anew after a pause, where its failure may pass; tell whether it is.

        Args:
            node: the build.
            job: its name.
            failure: its failure.
            died: whether the failure is that its worker died.
        """
        made = self._made.get(node, 0)
        if died and isinstance(failure, ProcessError) and not made:
            pause = _LOST_PAUSE
        elif self._several and failure.passing and made < len(_PAUSES):
            pause = max(_PAUSES[made], min(failure.pause, _LONGEST_PAUSE))
        else:
            return False
        self._made[node] = made + 1
        self._waiting.add(node)
        text = f"{failure}; it is begun anew in {pause:g} s (attempt {made + 2})"
        self._monitor.emit(events.Warning(job, text))
        self._post.call(lambda: time.sleep(pause), lambda _: self._go_on(node), starts_programs=False)
        return True

    def _go_on(self, node: Node) -> None:
        if node in self._waiting:  # else it was dropped meanwhile
            self._waiting.discard(node)
            self._begin(node)

    def drop(self) -> Iterator[Node]:
        """Give up all that wait, and yield them."""
        waiting, self._waiting = self._waiting, set()
        yield from sorted(waiting)
