"""Interrupts that wait for imports: what is raised while a module is made can come out as anything.

Python turns a KeyboardInterrupt within `__set_name__` into a RuntimeError, and ends by a signal where one came within
`exec`. It imports next to nothing, since it is needed before all else.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_PAUSE = 0.01  # seconds
_IMPORTER = "<frozen importlib._bootstrap>"


def handle_interrupts(*numbers: int, once: bool = False) -> None:
    """Have signals raise KeyboardInterrupt, as soon as no module is being imported.

    Args:
        numbers: the signals.
        once: only the first signal counts, so that cleaning up after it is not interrupted.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if once and not _is_importing(frame):
            for other in numbers:
                signal.signal(other, lambda *_: None)
        _interrupt(number, frame)

    signal.signal(signal.SIGALRM, interrupt)
    for number in numbers:
        signal.signal(number, interrupt)


def ignore_interrupts() -> None:
    """Have no interrupt change how a program ends that has done all it had to, nor one that still waits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        signal.setitimer(signal.ITIMER_REAL, _PAUSE)
        return
    signal.default_int_handler(number, frame)


def _is_importing(frame: FrameType | None) -> bool:
    inner = frame
    while inner is not None:
        if inner.f_code.co_filename == _IMPORTER:
            return True
        inner = inner.f_back
    return False
