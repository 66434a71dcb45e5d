"""What steps changed in the build root, outside of the workspace and of places for temporary files.

The upper layer of the root holds it all. A recipe that installs into its own environment is no fault, but whoever
wonders why a build passes here and not there wants to know.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EXPECTED = ("dev", "home", "proc", "root", "run", "sys", "tmp", "var/tmp", "var/cache", "etc/resolv.conf")
"""Where steps may leave what they like, and what melpy itself writes for those that see the network."""

_CACHES = re.compile(
    r".*/__pycache__/[^/]+\.pyc|etc/ld\.so\.cache|.*/(?:mime|mimeinfo|icon-theme|giomodule)\.cache"
    r"|usr/share/info/dir|usr/share/glib-2\.0/schemas/gschemas\.compiled|.*/fonts\.(?:dir|scale)|.*/gtk-[0-9.]+/[^/]*\.cache"
)
"""What programs write for their own speed out of what is there; it says nothing of what a step installs."""

Snapshot = dict[str, tuple[int, int, int]]
"""What tells a file of the upper layer from another: inode, size, time of change; by path."""


def look_at(upper: Path) -> Snapshot:
    """Return what there is in the upper layer of a root; directories are passed over."""
    found: Snapshot = {}
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(upper / below) as entries:
                for entry in entries:
                    path = f"{below}/{entry.name}" if below else entry.name
                    if path in _EXPECTED or _CACHES.fullmatch(path):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
                        continue
                    info = entry.stat(follow_symlinks=False)
                    found[path] = (info.st_ino, info.st_size, info.st_ctime_ns)
        except OSError:
            # Closed to us: whatever is in it was put there by the step that closed it.
            info = (upper / below).lstat()
            found[below] = (info.st_ino, info.st_size, info.st_ctime_ns)
    return found


def find_changes(before: Mapping[str, tuple[int, int, int]], after: Snapshot) -> tuple[str, ...]:
    """Return the paths, from the root on, that a step wrote or removed."""
    written = {path for path, facts in after.items() if before.get(path) != facts}
    return tuple(sorted(f"/{path}" for path in written | (before.keys() - after.keys())))
