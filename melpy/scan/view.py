"""What scanners see: a subject, its library directories, and its files' content.

Reading never fails with an exception: what cannot be read or understood is a `Doubt`, which the scanner passes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from melpy.arch import ARCHES
from melpy.build.model import Entry, Kind, OutputTree
from melpy.elf.fast import read_elf_fast
from melpy.elf.model import ElfError, ElfFacts
from melpy.elf.reader import read_elf
from melpy.scan.claim import Doubt
from melpy.scan.link import find_holder
from melpy.scan.place import LIB_DIRS, is_in_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.scan.model import Subject

_CONFIGURATION = ("etc/ld.so.conf.d/...",)
_CONFIGURATION_LIMIT = 64 << 10
_SMALLEST_ELF = 52


@dataclass(frozen=True)
class View:
    """One subject, ready to be scanned.

    Attributes:
        subject: the package.
    """

    subject: Subject
    _facts: dict[str, ElfFacts | Doubt | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def tree(self) -> OutputTree:
        """The package's files."""
        return self.subject.tree

    @property
    def version(self) -> str:
        """The version that provides carry."""
        return self.subject.version

    @property
    def relatives(self) -> tuple[OutputTree, ...]:
        """The trees of all packages of the build, this one among them."""
        return self.subject.relatives or (self.tree,)

    @property
    def files(self) -> Iterator[Entry]:
        """The package's regular files."""
        return (entry for entry in self.tree if entry.kind is Kind.FILE)

    @cached_property
    def library_dirs(self) -> tuple[str, ...]:
        """Where the dynamic loader looks: the usual directories, then those of the build's etc/ld.so.conf.d."""
        return (*LIB_DIRS, *self.extra_library_dirs)

    @cached_property
    def extra_library_dirs(self) -> tuple[str, ...]:
        """The directories that the packages of the build add in etc/ld.so.conf.d, in order, each once."""
        return tuple(found for found in self._configured if isinstance(found, str))

    @property
    def library_doubts(self) -> tuple[Doubt, ...]:
        """The files in etc/ld.so.conf.d that could not be read."""
        return tuple(found for found in self._configured if isinstance(found, Doubt))

    @cached_property
    def _configured(self) -> tuple[str | Doubt, ...]:
        return tuple(dict.fromkeys(found for tree in self.relatives for found in _configured_dirs(tree)))

    def find_holder(self, path: str) -> OutputTree | None:
        """Return the tree of the build that has the file at an absolute path, this package's own before others."""
        return find_holder((self.tree, *(tree for tree in self.relatives if tree is not self.tree)), path)

    def is_foreign(self, facts: ElfFacts) -> bool:
        """Tell whether an ELF file is for another architecture than the package."""
        arch = ARCHES.get(self.subject.arch)
        own = arch and (arch.machine, arch.elf_class, arch.big_endian)
        return own is not None and own != (facts.machine, facts.elf_class, facts.big_endian)

    def read(self, entry: Entry, limit: int = -1) -> bytes | Doubt:
        """Return the content of a regular file, or its first `limit` bytes."""
        return _read(self.tree, entry, limit)

    def read_facts(self, tree: OutputTree, entry: Entry) -> ElfFacts | Doubt | None:
        """Return the ELF facts of a regular file of a tree, or None when it is not ELF; each file is read once."""
        # What is not on disk is melpy's own; under its name a step may have left anything.
        if entry.content is not None or entry.size < _SMALLEST_ELF:
            return None
        # A string, not a Path: making one for each of many thousand files takes as long as reading them.
        key = f"{tree.root}/{entry.path}"
        if key not in self._facts:
            self._facts[key] = _read_facts(key, entry, read_elf_fast if self.subject.quick else read_elf)
        return self._facts[key]


def _read(tree: OutputTree, entry: Entry, limit: int) -> bytes | Doubt:
    try:
        return tree.read(entry, limit)
    except OSError as error:
        return _unreadable(entry.path, error)


def _read_facts(file: str, entry: Entry, read: Callable[[str], ElfFacts | None]) -> ElfFacts | Doubt | None:
    try:
        return read(file)
    except ElfError as error:
        return Doubt(entry.path, f"malformed ELF file: {error.message}")
    except OSError as error:
        return _unreadable(entry.path, error)


def _unreadable(path: str, error: OSError) -> Doubt:
    return Doubt(path, f"cannot be read: {(error.strerror or os.strerror(error.errno or 5)).lower()}")


def _configured_dirs(tree: OutputTree) -> Iterator[str | Doubt]:
    for entry in tree:
        if entry.kind is Kind.FILE and entry.name.endswith(".conf") and is_in_directory(entry.path, _CONFIGURATION):
            data = _read(tree, entry, _CONFIGURATION_LIMIT)
            if isinstance(data, Doubt):
                yield data
                continue
            lines = data.decode(errors="surrogateescape").splitlines()
            yield from (line[1:] for line in lines if line.startswith("/"))
