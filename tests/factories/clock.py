"""What work costs, whatever else the machine does meanwhile."""

from __future__ import annotations

import os


def cpu_seconds() -> float:
    """Return the seconds of processors that this process and the children that it waited for have used."""
    return sum(os.times()[:4])
