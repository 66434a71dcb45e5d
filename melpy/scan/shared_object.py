"""ELF files: the loader and the libraries that they need, the libraries that they are.

Every regular file is looked at, whatever its mode and directory, and every symlink that ends at one.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from melpy.apk.version import is_version
from melpy.build.model import Entry, Kind
from melpy.scan.claim import Claim, Doubt, depends, provides, vendored
from melpy.scan.host_library import HOST_LIBRARIES
from melpy.scan.link import find_entry
from melpy.scan.model import Role
from melpy.scan.place import is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from melpy.elf.model import ElfFacts
    from melpy.scan.view import View

_LIBRARY = re.compile(r"\.so(?:\.|$)")
_ORIGIN = re.compile(r"\$ORIGIN\b|\$\{ORIGIN\}")


def scan_shared_objects(view: View) -> Iterator[Claim | Doubt]:
    """Scan ELF files: `so:` dependencies for what they need, `so:` and `so-ver:` provides for what they are."""
    yield from view.library_doubts
    foreign: dict[str, ElfFacts] = {}
    for entry in view.tree:
        if entry.kind is Kind.SYMLINK:
            yield from _scan_link(view, entry)
            file = find_entry(view.tree, entry.path)
        else:
            file = entry
        if file is not None and file.kind is Kind.FILE:
            facts = view.read_facts(view.tree, file)
            if isinstance(facts, Doubt):
                yield facts
            elif facts is not None and view.is_foreign(facts):
                foreign[file.path] = facts
            elif facts is not None:
                yield from _scan_file(view, entry, file, facts)
    yield from _tell_foreign(view, foreign)


def _tell_foreign(view: View, foreign: Mapping[str, ElfFacts]) -> Iterator[Doubt]:
    """Tell of files for other architectures, in one line: a package of firmware or cross compilers has many."""
    linked = {path: facts for path, facts in foreign.items() if facts.needed or facts.sonames or facts.interpreter}
    for path, facts in itertools.islice(linked.items(), 1):
        more = f" (the same holds for {len(linked) - 1} more)" if len(linked) > 1 else ""
        order = "big" if facts.big_endian else "little"
        what = f"ELF machine {facts.machine}, {facts.elf_class} bits, {order} endian"
        yield Doubt(path, f"not for {view.subject.arch} ({what}), so it depends on nothing and provides nothing{more}")


def _scan_link(view: View, link: Entry) -> Iterator[Claim]:
    """Scan `libfoo.so -> libfoo.so.1`, by which a development package needs the library of a sibling."""
    if ".so" not in link.path:
        return
    facts = _find_library(view, link.target.rstrip("/").rpartition("/")[2])
    for soname in facts.sonames if facts else ():
        if soname not in HOST_LIBRARIES:
            yield depends(f"so:{soname}", link.path)


def _find_library(view: View, name: str) -> ElfFacts | None:
    """Find a library by its file name as the loader would, in the packages of this build in their order."""
    for tree in view.relatives:
        for directory in view.library_dirs:
            entry = find_entry(tree, f"{directory}/{name}")
            if entry is None or entry.kind is not Kind.FILE:
                continue
            facts = view.read_facts(tree, entry)
            if facts is not None and not isinstance(facts, Doubt) and not view.is_foreign(facts):
                return facts
    return None


def _scan_file(view: View, entry: Entry, file: Entry, facts: ElfFacts) -> Iterator[Claim | Doubt]:
    yield from _scan_needs(view, entry, file, facts)
    if facts.interpreter is None or _LIBRARY.search(entry.name):
        yield from _scan_sonames(view, entry, facts)


def _scan_needs(view: View, entry: Entry, file: Entry, facts: ElfFacts) -> Iterator[Claim | Doubt]:
    if facts.interpreter is not None:
        # musl's loader and its C library are one file, which says that its name is libc.musl-<arch>.so.1.
        yield depends("so:" + re.sub(r"^ld-musl", "libc.musl", facts.interpreter.rpartition("/")[2]), entry.path)
    for name in facts.needed:
        if "/" in name:
            yield from _scan_needed_path(view, file, name)
        elif name in HOST_LIBRARIES:
            continue
        elif ".so." in name:
            yield depends(f"so:{name}", entry.path)
        elif name:
            # A name that ends in plain .so has no interface version: a plugin, or a library private to the package;
            # but for a few that packages do provide, such as Mesa's libgallium-24.2.3.so.
            yield Claim(Role.CANDIDATE, f"so:{name}", entry.path)


def _scan_needed_path(view: View, file: Entry, name: str) -> Iterator[Claim | Doubt]:
    """Scan a library that is needed by its path: the loader opens that file and searches nowhere. Source: ld.so(8)."""
    path = _ORIGIN.sub(f"/{file.parent}", name)
    holder = view.find_holder(path) if path.startswith("/") else None
    if holder is None:
        yield Doubt(file.path, f"needs the library {name} by its path, which no package of the build has")
    elif holder is not view.tree:
        yield depends(f"{holder.package}={view.version}", file.path)


def _scan_sonames(view: View, entry: Entry, facts: ElfFacts) -> Iterator[Claim]:
    claim = provides if is_in_directory(entry.path, view.library_dirs) else vendored
    for soname in facts.sonames:
        if soname not in HOST_LIBRARIES:
            yield claim(f"so:{soname}", entry.path, library_version(soname))
            yield claim(f"so-ver:{soname}", entry.path, view.version)


def library_version(soname: str) -> str:
    """Return the interface version in a soname, `1.2` of `libfoo.so.1.2`; `0` where there is none.

    What stands between the first and the second `.so.` counts, and only when it is a version.
    """
    parts = soname.split(".so.")
    if len(parts) > 1 and re.fullmatch(r"[0-9.]+", parts[1]) and is_version(parts[1]):
        return parts[1]
    return "0"
