"""Whose a path is that two packages have. The rules are apk-tools' own.

Source: apk-tools 3, apk_pkg_replaces_file and apk_pkg_replaces_dir in package.c.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.errors import PackageFormatError

if TYPE_CHECKING:
    from melpy.rootfs.model import Manifest


class Verdict(Enum):
    """What becomes of a file that a package brings where another's lies."""

    KEEP = "keep"
    OVERWRITE = "overwrite"
    CONFLICT = "conflict"


def judge_file(old: Manifest, new: Manifest) -> Verdict:
    """Return what becomes of a file of `old` that `new` brings, too."""
    kept = old.replaces_priority if _replaces(old, new) else -1
    taken = new.replaces_priority if _replaces(new, old) else -1
    if kept > taken:
        return Verdict.KEEP
    if taken >= 0 or _is_kin(old, new):
        return Verdict.OVERWRITE
    return Verdict.CONFLICT


def judge_directory(old: Manifest, new: Manifest) -> bool:
    """Tell whether a directory of both gets its mode and owner from `new`."""
    if old.replaces_priority != new.replaces_priority:
        return old.replaces_priority < new.replaces_priority
    if _is_kin(old, new):
        if old.origin == old.name:
            return False
        if new.origin == new.name:
            return True
    return old.name > new.name


def _is_kin(one: Manifest, other: Manifest) -> bool:
    return bool(one.origin) and one.origin == other.origin


def _replaces(one: Manifest, other: Manifest) -> bool:
    for text in one.replaces:
        try:
            atom = parse_dependency(text)
            if atom.name != other.name:
                found = atom.conflict
            elif atom.operator == "><":
                found = atom.version == other.checksum
            else:
                found = atom.is_met_by(other.version) != atom.conflict
        except PackageFormatError:
            continue  # apk reads no replaces in it either
        if found:
            return True
    return False
