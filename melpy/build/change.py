"""What steps changed in the build root, outside of the workspace and of places for temporary files.

The upper layer of the root holds it all. A recipe that installs into its own environment is no fault, but whoever
wonders why a build passes here and not there wants to know. Caches that programs write on their own, of what is there
anyway, are no changes: python alone writes hundreds of files when it runs.
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

_CACHE = re.compile(
    r"(?:.*/)?__pycache__/[^/]+\.pyc(?:\.[0-9]+)?"  # python reads it only beside the module that it was made of
    r"|etc/ld\.so\.cache~?"
    r"|usr/(?:share|lib)/(?:.*/)?(?:icon-theme|mimeinfo|mime|loaders|giomodule|immodules)\.cache"
    r"|usr/share/(?:fonts|X11/fonts)/(?:.*/)?(?:\.uuid|fonts\.cache-[0-9]+)"
    r"|usr/share/glib-2\.0/schemas/gschemas\.compiled"
    r"|usr/share/info/dir"
)
"""Caches and indexes that programs make of other files of the root: of modules, libraries, icons, fonts, settings."""

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
                    if path in _EXPECTED:
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
    """Return the paths, from the root on, that a step wrote or removed, caches aside."""
    written = {path for path, facts in after.items() if before.get(path) != facts}
    changed = written | (before.keys() - after.keys())
    return tuple(sorted(f"/{path}" for path in changed if not _CACHE.fullmatch(path)))
