"""The nouns of a scan."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, field

from melpy.codec import Noun

if TYPE_CHECKING:
    from melpy.build.model import OutputTree


class Switches(Noun, frozen=True):
    """What a recipe's `options` turn off."""

    no_provides: bool = False
    no_depends: bool = False
    no_commands: bool = False
    no_versioned_shlib_deps: bool = False


class Subject(Struct, frozen=True):
    """One package to be scanned, and what the scanners need to know beside its files.

    Attributes:
        tree: the package's files.
        version: full version, `2.10-r0`, that generated provides carry.
        relatives: the trees of all packages of the same build, this one included, main package first.
        runtime: runtime dependencies that the recipe states.
        provides: provides that the recipe states.
        switches: what the recipe's options turn off.
        quick: read ELF files with the quick reader; for thousands of packages that others have built.
        arch: architecture of the package, by which ELF files for others are told; empty when it is not known.
    """

    tree: OutputTree
    version: str
    relatives: tuple[OutputTree, ...] = ()
    runtime: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    switches: Switches = field(default_factory=Switches)
    quick: bool = False
    arch: str = ""


class Role(StrEnum):
    """What a generated item is for its package."""

    DEPENDS = "depends"
    CANDIDATE = "candidate"
    """It depends on it if a package of the build, or of its environment, provides it under that name."""
    PROVIDES = "provides"
    VENDORED = "vendored"


class Finding(Noun, frozen=True, order=True):
    """One generated item and the evidence for it.

    Attributes:
        item: the dependency or provide as it is written in PKGINFO, `so:libc.so.6` or `cmd:hello=2.10-r0`.
        evidence: path of the file it was found in.
        scanner: name of the scanner that found it.
        role: whether the package depends on it, provides it, or carries it for itself only.
    """

    item: str
    evidence: str
    scanner: str
    role: Role = Role.DEPENDS


class Findings(Noun, frozen=True):
    """What a scan says about a package.

    Attributes:
        depends: final runtime dependencies, stated and generated, sorted, unique.
        provides: final provides, sorted, unique.
        vendored: items that the package carries for itself only, sorted, unique.
        withheld: generated provides that the recipe's options took away, sorted, unique.
        candidates: dependencies to be had only where a package provides them, sorted, unique.
        evidence: every generated dependency, provide and vendored item with the file it was found in.
        warnings: what could not be read or understood, one line each.
    """

    depends: tuple[str, ...]
    provides: tuple[str, ...]
    vendored: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    evidence: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()
