"""What a scanner says: that a package depends on something, provides it, or could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.codec import Noun
from melpy.scan.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.scan.view import View


class Claim(Noun, frozen=True):
    """One generated item: its role for the package, its name and version, and the path of the file that shows it.

    A dependency is all name, with its operator if it has one; only provides have a version.
    """

    role: Role
    name: str
    evidence: str
    version: str = ""

    @property
    def item(self) -> str:
        """The item as PKGINFO has it."""
        return f"{self.name}={self.version}" if self.version else self.name


class Doubt(Noun, frozen=True):
    """A file that could not be read or understood, and why."""

    path: str
    reason: str


if TYPE_CHECKING:
    Scanner = Callable[[View], Iterator[Claim | Doubt]]


def depends(item: str, evidence: str) -> Claim:
    """Return the claim that the package depends on `item`."""
    return Claim(Role.DEPENDS, item, evidence)


def provides(name: str, evidence: str, version: str = "") -> Claim:
    """Return the claim that the package provides a name, at a version or without one."""
    return Claim(Role.PROVIDES, name, evidence, version)


def vendored(name: str, evidence: str, version: str = "") -> Claim:
    """Return the claim that the package carries a name for itself only."""
    return Claim(Role.VENDORED, name, evidence, version)
