"""The nouns of ELF: what a scan or a lint rule wants to know about a binary, and why it may not be had."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import field

from melpy.codec import Noun
from melpy.errors import ElfError

__all__ = ["ET_CORE", "ET_DYN", "ET_EXEC", "ET_REL", "ElfError", "ElfFacts"]

ET_REL = 1
ET_EXEC = 2
ET_DYN = 3
ET_CORE = 4


class ElfFacts(Noun, frozen=True):
    """What is known about one ELF file.

    Attributes:
        elf_class: 32 or 64.
        big_endian: byte order.
        machine: `e_machine`, 62 for x86-64; the numbers of `melpy.arch`.
        type: `e_type`: relocatable, executable, shared object (position-independent executables too) or core.
        interpreter: path of the dynamic loader that the program asks for, or None.
        needed: DT_NEEDED, in the file's order.
        sonames: DT_SONAME; more than one is unusual but has been seen.
        rpath: DT_RPATH, as written.
        runpath: DT_RUNPATH, as written.
        is_dynamic: it has a dynamic segment with content.
        sections: names of its sections; empty when it has no section headers.
        go_version: version of the Go compiler that wrote it, `go1.22.1`; None for anything else.
        go_build_settings: settings recorded by `go build`, such as `CGO_ENABLED`.
    """

    elf_class: int
    big_endian: bool
    machine: int
    type: int
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    sonames: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    is_dynamic: bool = False
    sections: tuple[str, ...] = ()
    go_version: str | None = None
    go_build_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_section_headers(self) -> bool:
        """Whether the file has a section table that can be read."""
        return bool(self.sections)

    @property
    def is_go(self) -> bool:
        """Whether the Go compiler wrote it."""
        return self.go_version is not None
