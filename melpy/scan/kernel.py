"""Linux kernels and their modules: `linux:6.17.7` ties a module to the kernel it was built for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends, provides
from melpy.scan.kernel_image import find_kernel_version, find_module_version
from melpy.scan.place import is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_MODULES = ("lib/modules/...", "usr/lib/modules/...")
_KERNELS = ("boot/...", *_MODULES)
_LIMIT = 128 << 20  # far above any kernel; what lies beyond it in a file is not looked at


def scan_kernels(view: View) -> Iterator[Claim | Doubt]:
    """Scan kernel images for `linux:` provides and modules for `linux:` dependencies; most files are neither."""
    for entry in view.files:
        if not is_in_directory(entry.path, _KERNELS):
            continue
        data = view.read(entry, _LIMIT)
        if isinstance(data, Doubt):
            yield data
            continue
        version = find_kernel_version(data)
        if version:
            yield provides(f"linux:{version}", entry.path)
        version = find_module_version(data) if is_in_directory(entry.path, _MODULES) else None
        if version:
            yield depends(f"linux:{version}", entry.path)
