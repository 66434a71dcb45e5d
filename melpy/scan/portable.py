"""Whether files are for every architecture: ELF files of programs, libraries and kernel modules are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.arch import ARCHES
from melpy.elf.model import ElfFacts
from melpy.scan.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.scan.model import Subject

_MACHINES = {(arch.machine, arch.elf_class, arch.big_endian): arch.apk for arch in reversed(ARCHES.values())}


def find_bound_files(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield path and architecture of each ELF file that belongs to an architecture.

    Firmware is data for the device that it is loaded into, though it may be ELF: a file for another architecture than
    that of the build counts only where it is executable, or for the dynamic loader.
    """
    view = View(subject)
    for file in view.files:
        facts = view.read_facts(view.tree, file)
        if not isinstance(facts, ElfFacts):
            continue
        arch = _MACHINES.get((facts.machine, facts.elf_class, facts.big_endian))
        if arch and (not view.is_foreign(facts) or facts.is_dynamic or file.mode & 0o111):
            yield file.path, arch
