"""File capabilities of a recipe's `setcap`, as the extended attribute that the kernel reads.

`security.capability`, revision 3: six little-endian 32-bit words: revision and effective bit, permitted,
inheritable, two high halves, root id. Source: linux/capability.h, `struct vfs_ns_cap_data`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from melpy.recipe.package import FILE_CAPABILITIES

if TYPE_CHECKING:
    from melpy.plan.model import PackagePlan, SetCapability

_REVISION = 0x03000000


def capability_xattrs(package: PackagePlan) -> dict[str, dict[str, bytes]]:
    """Return the attributes of every path that has capabilities; entries for one path add up."""
    masks: dict[str, tuple[int, int, int]] = {}
    for entry in package.setcap:
        old = masks.get(entry.path, (0, 0, 0))
        new = _masks(entry)
        masks[entry.path] = (old[0] | new[0], old[1] | new[1], old[2] | new[2])
    return {path: {"security.capability": _pack(*mask)} for path, mask in masks.items()}


def _masks(entry: SetCapability) -> tuple[int, int, int]:
    effective = permitted = inheritable = 0
    for names, flags in entry.add:
        for name in names.split(","):
            bit = 1 << FILE_CAPABILITIES[name.strip()]
            effective |= bit if "e" in flags else 0
            permitted |= bit if "p" in flags else 0
            inheritable |= bit if "i" in flags else 0
    return effective, permitted, inheritable


def _pack(effective: int, permitted: int, inheritable: int) -> bytes:
    return struct.pack("<6I", _REVISION | (1 if effective else 0), permitted, inheritable, 0, 0, 0)
