"""What the Go linker records in a program: the compiler's version and the settings of the build.

Takes an ELF image, gives out a `GoInfo` or nothing; a record that cannot be read counts as none. Only the form of
Go 1.18 and later is read in full, since older ones have no build settings.
Source: the Go standard library, debug/buildinfo, "The build info blob left by the linker".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import field

from melpy.codec import Noun
from melpy.elf.model import ElfError

if TYPE_CHECKING:
    from melpy.elf.image import Image

_SECTION = ".go.buildinfo"
_MAGIC = b"\xff Go buildinf:"
_ALIGN = 16
_HEADER = 32
_INLINE = 0x2
_SENTINEL = 16  # bytes around the module text, by which it can be found in memory
_TEXT_LIMIT = 4 << 20
_SEARCH_LIMIT = 64 << 20
_PT_LOAD = 1
_PF_X, _PF_W = 1, 2


class GoInfo(Noun, frozen=True):
    """What Go recorded.

    Attributes:
        version: version of the compiler, empty when it is recorded in the form older than Go 1.18.
        settings: build settings by name.
    """

    version: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def find_go_info(image: Image) -> GoInfo | None:
    """Return what Go recorded in a program, or None when Go did not write it."""
    try:
        start = _find_start(image)
        return None if start is None else _read_info(image, start)
    except ElfError:
        return None


def _find_start(image: Image) -> int | None:
    if _SECTION in image.section_names:
        section = image.sections[image.section_names.index(_SECTION)]
        return _find_magic(image, section.offset, min(section.size, _TEXT_LIMIT))
    if image.sections:
        return None
    for segment in image.segments:
        if segment.type == _PT_LOAD and segment.flags & (_PF_X | _PF_W) == _PF_W:
            return _find_magic(image, segment.offset, min(segment.file_size, _SEARCH_LIMIT))
    return None


def _find_magic(image: Image, offset: int, size: int) -> int | None:
    data = image.read(offset, size)
    found = data.find(_MAGIC)
    while found >= 0 and found % _ALIGN:
        found = data.find(_MAGIC, found + 1)
    return offset + found if found >= 0 else None


def _read_info(image: Image, start: int) -> GoInfo:
    flags = image.read(start, _HEADER)[15]
    if not flags & _INLINE:
        return GoInfo()
    version, after = _read_text(image, start + _HEADER)
    module, _ = _read_text(image, after)
    text = module[_SENTINEL:-_SENTINEL].decode(errors="replace")
    return GoInfo(version.decode(errors="replace"), dict(_parse_settings(text)))


def _read_text(image: Image, offset: int) -> tuple[bytes, int]:
    length, shift = 0, 0
    while True:
        byte = image.read(offset, 1)[0]
        offset += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 28:
            raise ElfError("a Go string has an impossible length")
    if length > _TEXT_LIMIT:
        raise ElfError(f"a Go string of {length} bytes")
    return image.read(offset, length), offset + length


def _parse_settings(text: str) -> list[tuple[str, str]]:
    rows = (line.removeprefix("build\t") for line in text.split("\n") if line.startswith("build\t"))
    settings = (row.partition("=") for row in rows)
    return [(_unquote(name), _unquote(value)) for name, _, value in settings]


def _unquote(text: str) -> str:
    """Take the quotes off a Go string; only values with spaces or quotes in them, such as flags, have any."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in '"`':
        inner = text[1:-1]
        return inner.replace('\\"', '"').replace("\\\\", "\\") if text[0] == '"' else inner
    return text
