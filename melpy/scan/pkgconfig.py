"""pkg-config files: the modules that a package offers to compilers, and those they need in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.scan.claim import Claim, Doubt, depends, provides, vendored
from melpy.scan.module import parse_module
from melpy.scan.place import is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.build.model import Entry
    from melpy.scan.view import View

_DIRECTORIES = tuple(
    f"usr/{directory}/pkgconfig" for directory in ("local/lib", "local/share", "lib", "lib64", "share")
)
_LIMIT = 128 << 10


def scan_pkgconfig(view: View) -> Iterator[Claim | Doubt]:
    """Scan `*.pc`: `pc:` provides and dependencies; outside the usual directories only what is vendored."""
    for entry in view.files:
        if entry.name.endswith(".pc"):
            yield from _scan_module(view, entry)


def _scan_module(view: View, entry: Entry) -> Iterator[Claim | Doubt]:
    if entry.size > _LIMIT:
        yield Doubt(entry.path, f"too large for a pkg-config file: {entry.size} bytes")
        return
    data = view.read(entry)
    if isinstance(data, Doubt):
        yield data
        return
    try:
        requires = parse_module(data.decode(errors="surrogateescape"))
    except ValueError as error:
        yield Doubt(entry.path, f"malformed pkg-config file: {error}")
        return
    is_offered = is_in_directory(entry.path, _DIRECTORIES)
    # The version is the package's, not the module's own, so that `pc:` means the same as `so-ver:`.
    claim = provides if is_offered else vendored
    yield claim(f"pc:{entry.name.removesuffix('.pc')}", entry.path, view.version)
    if is_offered:
        yield from (depends(f"pc:{name}", entry.path) for name in requires)
