"""Programs on the search path."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from melpy.build.model import Entry, Kind
from melpy.elf.model import ElfFacts
from melpy.scan.claim import Claim, provides, vendored
from melpy.scan.link import find_entry
from melpy.scan.place import BIN_DIRS, is_in_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.view import View

_ALL_MAY_RUN = 0o555
_OTHER_NAMES = 1  # of a program on the search path, by links; one with more is taken for a box of many commands
_WAYS = 2  # to a program that is elsewhere


def scan_commands(view: View) -> Iterator[Claim]:
    """Scan programs that everybody may run, and links to such of the package: `cmd:` provides; not in usr/local/bin.

    melange passes over links, so that nobody provides `cmd:python3`; Alpine's abuild does not. apk 3.0.6 never installs
    two packages of which one provides a name with a version and the other provides it at all; so a link has no version,
    and those of a box of commands (`cat -> box`, `ls -> box`), which stand in for the commands of other packages, are
    only there for the package itself.
    """
    found = [*_find_programs(view)]
    names = Counter(file.path for entry, file in found if not file.name.startswith(entry.name))
    for entry, file in found:
        if entry is file:
            yield provides(f"cmd:{entry.name}", entry.path, view.version)
        elif not file.name.startswith(entry.name) and names[file.path] > _most_names(file):
            yield vendored(f"cmd:{entry.name}", entry.path)
        else:
            yield provides(f"cmd:{entry.name}", entry.path)


def _find_programs(view: View) -> Iterator[tuple[Entry, Entry]]:
    """Find what is on the search path, with the program that it is or leads to."""
    for entry in view.tree:
        if entry.kind is Kind.DIRECTORY or not is_in_directory(entry.path, BIN_DIRS):
            continue
        file = find_entry(view.tree, entry.path) if entry.kind is Kind.SYMLINK else entry
        if not file or file.kind is not Kind.FILE or file.mode & _ALL_MAY_RUN != _ALL_MAY_RUN:
            continue
        facts = view.read_facts(view.tree, file)
        if not isinstance(facts, ElfFacts) or not view.is_foreign(facts):
            yield entry, file


def _most_names(program: Entry) -> int:
    return _OTHER_NAMES if is_in_directory(program.path, BIN_DIRS) else _WAYS
