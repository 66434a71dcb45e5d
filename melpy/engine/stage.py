"""Packages of this machine that the builds of a run may see: published, in the result cache, or just built.

A build sees the packages of the builds that it waits for, and those of the repository that no recipe of the run makes.
It never sees a package only because that happened to be there at the moment: the order in which jobs finish does not
matter.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.digest import identity
from melpy.engine.model import Visible
from melpy.repo.repository import sort_packages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from melpy.engine.published import Made, PublishedPackage
    from melpy.engine.result import UnsignedPackage
    from melpy.environment.model import VisiblePackage
    from melpy.environment.repository import Repositories


class BuiltPackages(Struct, frozen=True, dict=True):
    """The packages of one build.

    Attributes:
        root: repository that they are in, perhaps without an index.
        packages: the packages, by name.
        contents: content digest of each, in the same order; empty where it is not known.
    """

    root: Path
    packages: tuple[VisiblePackage, ...]
    contents: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """Digest of what other builds can see of the packages, SHA-256 in hex."""
        pairs = zip(self.packages, self.contents, strict=True)
        return identity([[one.name, one.version, content or one.checksum] for one, content in pairs])


class Stage:
    """The packages that the builds of a run may see.

    Attributes:
        repositories: the repositories of the run, from which environments are resolved.
    """

    def __init__(self, repositories: Repositories) -> None:
        self.repositories = repositories
        self._contents: dict[str, str] = {}

    def take_published(self, packages: Sequence[PublishedPackage], made: Sequence[Made]) -> BuiltPackages:
        """Return packages that the repository of the run has."""
        pairs = sorted(
            zip(packages, made, strict=True), key=lambda pair: (pair[0].package.name, pair[0].package.version)
        )
        self._note((package.package.checksum, one.content) for package, one in pairs)
        own = self.repositories.spec.own
        return BuiltPackages(own, tuple(one.package for one, _ in pairs), tuple(made.content for _, made in pairs))

    def take_unsigned(self, root: Path, arches: Sequence[str], packages: Iterable[UnsignedPackage]) -> BuiltPackages:
        """Return unsigned packages in a directory of their architecture, or of `noarch`, below a root.

        Args:
            root: the root.
            arches: the architectures of the environments that may have them.
            packages: the packages.
        """
        pairs = sorted(packages, key=lambda package: package.entry.info.name)
        added: tuple[VisiblePackage, ...] = ()
        for arch in arches:
            self.repositories.find_own(arch)  # first, so that the same package is taken from here
            added = self.repositories.add_own(root, arch, [package.entry for package in pairs])
        self._note((package.entry.checksum, package.content) for package in pairs)
        return BuiltPackages(root, added, tuple(package.content for package in pairs))

    def _note(self, contents: Iterable[tuple[str, str]]) -> None:
        self._contents.update((checksum, content) for checksum, content in contents if content)

    def see(
        self, builds: Iterable[BuiltPackages], origins: Mapping[str, tuple[VisiblePackage, ...]] | None = None
    ) -> Visible:
        """Return what a build sees that may have the packages of others.

        Args:
            builds: the others.
            origins: the packages of recipes that come from one side each; see `melpy.engine.side`.
        """
        chosen = list(builds)
        packages = {(one.name, one.version): one for build in chosen for one in build.packages}
        roots = dict.fromkeys(build.root for build in reversed(chosen))
        own = self.repositories.spec.own
        return Visible(
            tuple(sort_packages(packages.values(), lambda package: (package.name, package.version))),
            tuple(root for root in roots if root != own),
            frozenset({str(own), *map(str, roots)}),
            {one.checksum: content for one in packages.values() if (content := self._contents.get(one.checksum))},
            origins or {},
        )
