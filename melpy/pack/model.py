"""The nouns of packing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.codec import Noun

if TYPE_CHECKING:
    from melpy.apk.model import PackageInfo
    from melpy.build.model import OutputTree


class ControlFile(Noun, frozen=True):
    """A file of the control member beside `.PKGINFO`: its name, content and mode (scripts are 0755)."""

    name: str
    content: bytes
    mode: int = 0o644


class Draft(Struct, frozen=True):
    """A package that is not written yet: all that can be said of it before it has bytes.

    Attributes:
        tree: its files, the SBOM among them.
        info: what its `.PKGINFO` will say, but for size and digest.
        control: the other files of its control member.
    """

    tree: OutputTree
    info: PackageInfo
    control: tuple[ControlFile, ...]
