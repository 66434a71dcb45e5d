"""pkg-config files: the modules that a package offers to compilers, and those they need in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.build.model import Entry, Kind
from melpy.plan.model import WORKSPACE
from melpy.scan.claim import Claim, Doubt, depends, provides, vendored
from melpy.scan.link import find_entry
from melpy.scan.module import parse_module
from melpy.scan.place import is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_DIRECTORIES = tuple(
    f"usr/{directory}/pkgconfig" for directory in ("local/lib", "local/share", "lib", "lib64", "share")
)
_LIMIT = 128 << 10


def scan_pkgconfig(view: View) -> Iterator[Claim | Doubt]:
    """Scan `*.pc`: `pc:` provides and dependencies; outside the usual directories only what is vendored.

    In the usual directories a link to a module of the package is one too (`tinfo.pc -> tinfow.pc`); melange passes over
    it. It has a version, as links to commands have not: apk 3.0.6 selects no package for a name without one, and here
    generated dependencies (`pc:tinfo` of readline-dev) are the only ones to ask for the package.
    """
    for entry in view.tree:
        if not entry.name.endswith(".pc"):
            continue
        if entry.kind is Kind.FILE:
            yield from _scan_module(view, entry, entry)
        elif entry.kind is Kind.SYMLINK and is_in_directory(entry.path, _DIRECTORIES):
            file = find_entry(view.tree, entry.path)
            if file and file.kind is Kind.FILE:
                yield from _scan_module(view, entry, file)


def _scan_module(view: View, entry: Entry, file: Entry) -> Iterator[Claim | Doubt]:
    if file.size > _LIMIT:
        yield Doubt(entry.path, f"too large for a pkg-config file: {file.size} bytes")
        return
    data = view.read(file)
    if isinstance(data, Doubt):
        yield data
        return
    try:
        requires = parse_module(data.decode(errors="surrogateescape"))
    except ValueError as error:
        yield Doubt(entry.path, f"malformed pkg-config file: {error}")
        return
    if f"{WORKSPACE}/".encode() in data and entry is file:
        yield Doubt(entry.path, f"names files below {WORKSPACE}, which are nowhere but in the build")
    is_offered = is_in_directory(entry.path, _DIRECTORIES)
    # The version is the package's, not the module's own, so that `pc:` means the same as `so-ver:`.
    claim = provides if is_offered else vendored
    yield claim(f"pc:{entry.name.removesuffix('.pc')}", entry.path, view.version)
    if is_offered:
        yield from (depends(f"pc:{name}", entry.path) for name in requires)
