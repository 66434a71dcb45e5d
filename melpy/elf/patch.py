"""Programs and their loader, changed so that they run beside the libraries of another system.

A program names its loader by path, and glibc's loader finds libraries by a cache at a fixed path. Both paths can be
changed in place, as long as the new one is not longer: no segment moves and nothing else of the file changes. What
comes in and what goes out are the bytes of a file. Source: the System V ABI, chapter 5; glibc's elf/dl-cache.c.
"""

from __future__ import annotations

import io

from melpy.elf.image import Image
from melpy.elf.model import ElfError

_PT_INTERP = 3
_CACHE = b"/etc/ld.so.cache\0"


def set_interpreter(program: bytes, path: str) -> bytes:
    """Return a program that asks for another loader.

    Raises:
        ElfError: it asks for none, or the path is longer than the one that is there.
    """
    image = Image(io.BytesIO(program))
    segment = next((segment for segment in image.segments if segment.type == _PT_INTERP), None)
    if segment is None:
        raise ElfError("asks for no loader")
    image.read(segment.offset, segment.file_size)  # which must be in the file
    start, size = segment.offset, segment.file_size
    return program[:start] + _fitted(path.encode() + b"\0", size) + program[start + size :]


def set_loader_cache(loader: bytes, path: str) -> bytes:
    """Return a loader of glibc's that looks for libraries in the cache at `path` instead of /etc/ld.so.cache.

    Raises:
        ElfError: it is none of glibc's, or the path is longer than that.
    """
    if loader.count(_CACHE) != 1:
        raise ElfError("is no loader of glibc's, which names /etc/ld.so.cache once")
    return loader.replace(_CACHE, _fitted(path.encode() + b"\0", len(_CACHE)))


def _fitted(text: bytes, size: int) -> bytes:
    if len(text) > size:
        raise ElfError(f"{len(text)} bytes do not fit in the place of {size}")
    return text.ljust(size, b"\0")
