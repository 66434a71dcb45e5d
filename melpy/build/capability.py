"""File capabilities of a recipe's `setcap`, as the extended attribute that the kernel reads.

`security.capability`, revision 3: six little-endian 32-bit words: revision and effective bit, permitted,
inheritable, two high halves, root id. Source: linux/capability.h, `struct vfs_ns_cap_data`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from melpy.errors import WrongTypeError, hint_near

if TYPE_CHECKING:
    from melpy.plan.model import PackagePlan, SetCapability

_BITS = {
    "cap_net_bind_service": 10,
    "cap_net_admin": 12,
    "cap_net_raw": 13,
    "cap_ipc_lock": 14,
    "cap_sys_admin": 21,
}
_REVISION = 0x03000000


def capability_xattrs(package: PackagePlan) -> dict[str, dict[str, bytes]]:
    """Return the attributes of every path that has capabilities; entries for one path add up.

    Raises:
        WrongTypeError: a capability is not one that packages may have.
    """
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
            bit = 1 << _bit(name.strip(), entry.path)
            effective |= bit if "e" in flags else 0
            permitted |= bit if "p" in flags else 0
            inheritable |= bit if "i" in flags else 0
    return effective, permitted, inheritable


def _bit(name: str, path: str) -> int:
    bit = _BITS.get(name.lower())
    if bit is None:
        hint = hint_near(name, _BITS, f"allowed are {', '.join(_BITS)}")
        raise WrongTypeError(f"setcap: {name!r} is not allowed", where=path, hint=hint)
    return bit


def _pack(effective: int, permitted: int, inheritable: int) -> bytes:
    return struct.pack("<6I", _REVISION | (1 if effective else 0), permitted, inheritable, 0, 0, 0)
