"""The only door to pools of processes: they end with the process that opened them, however that ends.

Python's own wait for work for ever once their parent was killed: each holds the pipe open that would tell it.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING, Literal

from melpy.interrupt import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ProcessPoolExecutor  # noqa: TID251  # this is the door

Method = Literal["fork", "forkserver", "spawn"]
"""How processes are started: forked with all modules, which may block where there are threads; by a server; anew."""


def open_pool(workers: int, method: Method, initializer: Callable[[], object] | None = None) -> ProcessPoolExecutor:
    """Return a pool of processes, to be closed with `with`.

    Args:
        workers: number of processes.
        method: how they are started.
        initializer: is called first in each of them; a function of a module, unless they are forked.
    """
    # Importing these takes 6 ms, and most commands need no pool.
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415, TID251  # this is the door
    from multiprocessing import get_context  # noqa: PLC0415  # as above

    context = get_context(method)
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(os.getpid(), initializer))


def _begin(parent: int, initializer: Callable[[], object] | None) -> None:
    """Have this process end when another one has, which need not be its parent: a server may have forked it."""
    try:
        handle = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(1)
    start_thread(threading.Thread(target=_end_after, args=(handle,), daemon=True))
    if initializer:
        initializer()


def _end_after(handle: int) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLIN)  # source: pidfd_open(2)
    poll.poll()
    os._exit(1)
