"""Facts about this machine that limit how many builds run at the same time: processors, memory, free disk.

Memory and processors are those of the control group where it has less than the machine, as in containers. Sources:
https://docs.kernel.org/admin-guide/cgroup-v2.html, proc_meminfo(5).
"""

from __future__ import annotations

import math
import os
import shutil
from contextlib import suppress
from pathlib import Path

from melpy.engine.admission import Capacity
from melpy.engine.share import find_processors

_RESERVE = 512 << 20  # bytes that melpy and the rest of the machine keep
_MEMINFO = Path("/proc/meminfo")
_OWN = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def find_capacity(work: Path, builds: int = 0) -> Capacity:
    """Return the part of this machine that a run may use now.

    Args:
        work: a directory on the file system where builds write; it need not exist yet.
        builds: number of builds that may run at the same time; 0 for one for each processor.
    """
    return Capacity(builds or count_processors(), find_memory(), find_disk(work))


def count_processors(own: Path = _OWN, mount: Path = _MOUNT) -> int:
    """Return the number of processors that this process may use, those of its control group's quota at most."""
    found = len(find_processors())
    for group in _find_groups(own, mount):
        with suppress(OSError, ValueError):
            quota, period = (group / "cpu.max").read_text().split()
            if quota != "max":
                found = min(found, max(1, math.ceil(int(quota) / int(period))))
    return found


def find_memory(meminfo: Path = _MEMINFO, own: Path = _OWN, mount: Path = _MOUNT) -> int:
    """Return the bytes of memory that builds may use; 0 where this is not known."""
    free = []
    with suppress(OSError, ValueError, IndexError):
        lines = meminfo.read_text().splitlines()
        free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    for group in _find_groups(own, mount):
        with suppress(OSError, ValueError, StopIteration):
            limit = int((group / "memory.max").read_text())  # "max" is no number
            used = int((group / "memory.current").read_text())
            # Cached files count, and give way.
            lines = (group / "memory.stat").read_text().splitlines()
            cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
            free.append(limit - used + cached)
    return max(1, min(free) - _RESERVE) if free else 0


def find_disk(work: Path) -> int:
    """Return the bytes that are free on the file system of a directory; 0 where this is not known."""
    for directory in (work, *work.parents):
        with suppress(OSError):
            return max(1, shutil.disk_usage(directory).free)
    return 0


def _find_groups(own: Path, mount: Path) -> list[Path]:
    """Return the control group of this process and those above it."""
    try:
        path = next(line[4:] for line in own.read_text().splitlines() if line.startswith("0::/"))
    except (OSError, StopIteration):
        return []
    group = mount / path.strip("/")
    if os.pardir in group.parts:  # the group lies above the root that this process sees
        return [mount]
    return [group, *(parent for parent in group.parents if parent.is_relative_to(mount))]
