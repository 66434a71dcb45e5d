"""What a scanner says: that a package depends on something, provides it, or could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.scan.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from melpy.scan.view import View


@dataclass(frozen=True)
class Claim:
    """One generated item: the role it has for the package, its text and the path of the file that shows it."""

    role: Role
    item: str
    evidence: str


@dataclass(frozen=True)
class Doubt:
    """A file that could not be read or understood, and why."""

    path: str
    reason: str


if TYPE_CHECKING:
    Scanner = Callable[[View], Iterator[Claim | Doubt]]


def depends(item: str, evidence: str) -> Claim:
    """Return the claim that the package depends on `item`."""
    return Claim(Role.DEPENDS, item, evidence)


def provides(item: str, evidence: str) -> Claim:
    """Return the claim that the package provides `item`."""
    return Claim(Role.PROVIDES, item, evidence)


def vendored(item: str, evidence: str) -> Claim:
    """Return the claim that the package carries `item` for itself only."""
    return Claim(Role.VENDORED, item, evidence)
