"""Programs on the search path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.build.model import Kind
from melpy.elf.model import ElfFacts
from melpy.scan.claim import Claim, provides
from melpy.scan.link import find_entry
from melpy.scan.place import BIN_DIRS, is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_ALL_MAY_RUN = 0o555


def scan_commands(view: View) -> Iterator[Claim]:
    """Scan programs that everybody may run, and links to such of the package: `cmd:` provides; not in usr/local/bin.

    melange passes over links, so that nobody provides `cmd:python3`; Alpine's abuild does not. A link has no version:
    apk never installs two packages that provide a name with one, and those with links to one program for all (busybox)
    are to be installed together with those that have the programs (coreutils).
    """
    for entry in view.tree:
        if entry.kind is Kind.DIRECTORY or not is_in_directory(entry.path, BIN_DIRS):
            continue
        file = find_entry(view.tree, entry.path) if entry.kind is Kind.SYMLINK else entry
        if not file or file.kind is not Kind.FILE or file.mode & _ALL_MAY_RUN != _ALL_MAY_RUN:
            continue
        facts = view.read_facts(view.tree, file)
        if not isinstance(facts, ElfFacts) or not view.is_foreign(facts):
            yield provides(f"cmd:{entry.name}", entry.path, "" if entry.kind is Kind.SYMLINK else view.version)
