"""The nouns of packing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ControlFile:
    """A file of the control member beside `.PKGINFO`: its name, content and mode (scripts are 0755)."""

    name: str
    content: bytes
    mode: int = 0o644
