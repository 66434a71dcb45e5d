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


def handle_interrupts(*numbers: int) -> None:
    """Have signals raise KeyboardInterrupt, as soon as no module is being imported."""
    signal.signal(signal.SIGALRM, _interrupt)
    for number in numbers:
        signal.signal(number, _interrupt)


def ignore_interrupts() -> None:
    """Have no interrupt change how a program ends that has done all it had to, nor one that still waits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    inner = frame
    while inner is not None:
        if inner.f_code.co_filename == _IMPORTER:
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
            return
        inner = inner.f_back
    signal.default_int_handler(number, frame)
