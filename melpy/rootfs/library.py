"""Shared libraries as the dynamic loader's cache has them: name, and kind by architecture and ABI."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from melpy.elf.fast import read_elf_fast
from melpy.elf.loader_cache import read_kind
from melpy.elf.model import ET_DYN
from melpy.errors import ElfError, ExtractError
from melpy.inside import open_below, open_root
from melpy.rootfs.model import Library

if TYPE_CHECKING:
    from pathlib import Path


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
                kind = read_kind(stream, facts)
    except (OSError, ElfError, ExtractError):
        return None
    if kind is None:
        return None
    return Library(path, facts.sonames[0] if facts.sonames else name, kind)
