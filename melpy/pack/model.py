"""The nouns of packing."""

from __future__ import annotations

from melpy.codec import Noun


class ControlFile(Noun, frozen=True):
    """A file of the control member beside `.PKGINFO`: its name, content and mode (scripts are 0755)."""

    name: str
    content: bytes
    mode: int = 0o644
