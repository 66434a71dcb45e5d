"""Shared libraries as the dynamic loader's cache has them: name, and kind by architecture and ABI.

Source: glibc's dl-cache.h and readelflib.c.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from melpy.elf.fast import read_elf_fast
from melpy.elf.model import ET_DYN
from melpy.errors import ElfError, ExtractError
from melpy.inside import open_below, open_root
from melpy.rootfs.model import Library

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.elf.model import ElfFacts

_LIBC6 = 0x0003
_KINDS = {(62, 64): 0x0300, (22, 64): 0x0400, (21, 64): 0x0500, (62, 32): 0x0800, (183, 64): 0x0A00, (3, 32): 0}
_ARM, _RISCV, _LOONGARCH = 40, 243, 258
_ARM_SOFT = 0x200
_FLAGS_AT = {32: 36, 64: 48}  # where an ELF header has its processor flags


def is_library_name(name: str) -> bool:
    """Tell whether the dynamic loader would look at a file with this name."""
    return ".so" in name and name.startswith(("lib", "ld-", "ld.so", "ld64.so"))


def find_library(root: Path, path: str) -> Library | None:
    """Return what a file below a directory is to the loader; None when it is no shared library."""
    *directories, name = path.split("/")
    try:
        with open_root(root) as descriptor, open_below(descriptor, directories) as parent:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with io.FileIO(os.open(name, flags, dir_fd=parent)) as stream:
                facts = read_elf_fast(stream)
                if facts is None or facts.type != ET_DYN or not facts.is_dynamic:
                    return None
                stream.seek(_FLAGS_AT[facts.elf_class])
                kind = _kind(facts, int.from_bytes(stream.read(4), "big" if facts.big_endian else "little"))
    except (OSError, ElfError, ExtractError):
        return None
    if kind is None:
        return None
    return Library(path, facts.sonames[0] if facts.sonames else name, kind | _LIBC6)


def _kind(facts: ElfFacts, flags: int) -> int | None:
    """Return the architecture and ABI; None where glibc has no number for it."""
    if facts.machine == _ARM:
        return 0x0B00 if flags & _ARM_SOFT else 0x0900
    if facts.machine == _RISCV and facts.elf_class == 64:
        return {0: 0x0F00, 4: 0x1000}.get(flags & 6)
    if facts.machine == _LOONGARCH and facts.elf_class == 64:
        return {1: 0x1100, 3: 0x1200}.get(flags & 7)
    return _KINDS.get((facts.machine, facts.elf_class))
