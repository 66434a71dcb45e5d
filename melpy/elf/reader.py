"""An ELF file becomes its facts: what packages that melpy builds need and provide is what pyelftools reads.

The quick reader looks first: it tells what is ELF at all, and refuses files that point outside themselves, which
pyelftools would follow. Source: the System V ABI, chapter 5.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from melpy.codec import replace
from melpy.elf.fast import read_elf_fast

if TYPE_CHECKING:
    from melpy.elf.model import ElfFacts

_FIELDS = {"DT_NEEDED": "needed", "DT_SONAME": "sonames", "DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}
_SEGMENT_LIMIT = 128  # ten times what compilers write; a made file could have 65,535
_VALUES = {"DT_NEEDED": "needed", "DT_SONAME": "soname", "DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}


def read_elf(source: os.PathLike[str] | str | IO[bytes]) -> ElfFacts | None:
    """Return the facts of an ELF file, or None when it is not ELF.

    Of a file that is not ELF only the first four bytes are read. Separated debug files have no interpreter and need
    nothing.

    Args:
        source: a path, or a binary stream that can seek.

    Raises:
        ElfError: the file is cut off or points outside itself.
        OSError: it cannot be opened or read.
    """
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as stream:
            return _read(stream)
    return _read(source)


def _read(stream: IO[bytes]) -> ElfFacts | None:
    facts = read_elf_fast(stream)
    if facts is None or not (facts.is_dynamic or facts.interpreter):
        return facts
    said = _read_dynamic(stream)
    # Names that are not UTF-8 come back garbled; the quick reader keeps their bytes.
    if said is None or any("\ufffd" in name for names in said.values() for name in names):
        return facts
    interpreter = next(iter(said.pop("interpreter")), None)
    return replace(facts, interpreter=interpreter, **said)


def _read_dynamic(stream: IO[bytes]) -> dict[str, Any] | None:
    """Return what pyelftools reads; None where it gives up, as on broken section headers, which no loader minds."""
    # 60 ms that packages without programs need not wait for.
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415
    from elftools.elf.segments import InterpSegment  # noqa: PLC0415

    found: dict[str, list[str]] = {name: [] for name in (*_FIELDS.values(), "interpreter")}
    has_table = False
    try:
        file = ELFFile(stream)
        if file.num_segments() > _SEGMENT_LIMIT:
            return None
        for segment in file.iter_segments():
            if isinstance(segment, InterpSegment) and not found["interpreter"]:
                found["interpreter"].append(segment.get_interp_name())
            elif isinstance(segment, DynamicSegment):
                if has_table:
                    return None  # the quick reader looks at the first one, as the loader does
                has_table = True
                for tag in segment.iter_tags():
                    if tag.entry.d_tag in _FIELDS:
                        found[_FIELDS[tag.entry.d_tag]].append(getattr(tag, _VALUES[tag.entry.d_tag]))
    # Where it is sent outside of the file, seeking fails; what the file says was read once already.
    except (
        ELFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        OverflowError,
        AssertionError,
        RecursionError,
    ):
        return None
    return {name: tuple(values) for name, values in found.items()}
