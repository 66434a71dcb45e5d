"""File capabilities of a recipe's `setcap`, as the extended attribute that the kernel reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.build.attribute import CAPABILITY, pack_capability
from melpy.recipe.capability import FILE_CAPABILITIES

if TYPE_CHECKING:
    from melpy.plan.model import PackagePlan, SetCapability


def capability_xattrs(package: PackagePlan) -> dict[str, dict[str, bytes]]:
    """Return the attributes of every path that has capabilities; entries for one path add up."""
    masks: dict[str, tuple[int, int, int]] = {}
    for entry in package.setcap:
        old = masks.get(entry.path, (0, 0, 0))
        new = _masks(entry)
        masks[entry.path] = (old[0] | new[0], old[1] | new[1], old[2] | new[2])
    return {
        path: {CAPABILITY: pack_capability(permitted, inheritable, effective=bool(effective))}
        for path, (effective, permitted, inheritable) in masks.items()
    }


def _masks(entry: SetCapability) -> tuple[int, int, int]:
    effective = permitted = inheritable = 0
    for names, flags in entry.add:
        for name in names.split(","):
            bit = 1 << FILE_CAPABILITIES[name.strip()]
            effective |= bit if "e" in flags else 0
            permitted |= bit if "p" in flags else 0
            inheritable |= bit if "i" in flags else 0
    return effective, permitted, inheritable
