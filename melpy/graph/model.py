"""The nouns of ordering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from melpy.codec import Noun

GENERATED = ("so:", "cmd:", "pc:")
"""Beginnings of names that scanning finds, and recipes seldom state."""


class BuildId(NamedTuple):
    """Name of one recipe for one architecture within a graph.

    Attributes:
        recipe: name of the recipe's main package.
        arch: architecture of its packages, in APK's spelling; `noarch` for all.
    """

    recipe: str
    arch: str

    def __str__(self) -> str:
        return f"{self.recipe}/{self.arch}"


class PackageSummary(Noun, frozen=True):
    """Facts about a package that a recipe makes, as far as the recipe states them.

    Attributes:
        name: its name.
        provides: names that it provides, with versions, as in .PKGINFO.
        runtime: constraints on packages that it needs when it is installed.
        priority: its `provider-priority`; 0 where the recipe states none.
    """

    name: str
    provides: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    priority: int = 0


class Summary(Noun, frozen=True):
    """Facts about one recipe for one architecture that ordering, selection and scheduling use.

    Attributes:
        file: recipe file.
        name: name of the main package.
        version: full version, such as `2.10-r0`.
        arch: architecture of its packages, in APK's spelling; `noarch` for all.
        packages: the packages that it makes, main package first.
        world: constraints of its build environment, needs of steps included.
        form: SHA-256, in hex, of the plan's key form; a comment in the recipe does not change it.
        directory: directory of the recipe's own files; empty without one.
        pipelines: files of the pipelines that it uses, without the built-in ones.
        sources: URIs of its sources.
        cpu: processors that the recipe requests; 0 where it says nothing.
        memory: bytes that the recipe requests; 0 where it says nothing.
        locations: repositories that only this recipe's environment has.
        unpinned: git sources without a commit, as `melpy.engine.tip` names them.
        noarch: of a recipe for every architecture, those of the run, that of its environment first; empty for others.
    """

    file: str
    name: str
    version: str
    arch: str
    packages: tuple[PackageSummary, ...] = ()
    world: tuple[str, ...] = ()
    form: str = ""
    directory: str = ""
    pipelines: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    cpu: float = 0.0
    memory: int = 0
    locations: tuple[str, ...] = ()
    unpinned: tuple[str, ...] = ()
    noarch: tuple[str, ...] = ()

    @property
    def id(self) -> BuildId:
        """Name of the build within a graph."""
        return BuildId(self.name, self.arch)

    @property
    def job(self) -> str:
        """Name of the job: `hello-2.10-r0/x86_64`."""
        return f"{self.name}-{self.version}/{self.arch}"

    @property
    def arches(self) -> tuple[str, ...]:
        """The architectures whose indexes have its packages, that of its environment first."""
        return self.noarch or (self.arch,)

    @property
    def environment_arch(self) -> str:
        """The architecture of its environment."""
        return self.arches[0]

    def list_made(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each package that it makes with each architecture whose index has it."""
        return ((package.name, arch) for arch in self.arches for package in self.packages)


class Ask(NamedTuple):
    """A constraint that a recipe has on a package.

    Attributes:
        name: the package or provide.
        text: the constraint.
        package: package of the recipe whose runtime dependency it is; empty for an environment.
        origin: recipe of `noarch` packages whose environment it is, as it would be for another architecture.
    """

    name: str
    text: str
    package: str = ""
    origin: str = ""

    @property
    def reason(self) -> str:
        """What asks: `environment libshout-dev`, `runtime of shout libshout`, `environment of py3-pip python3`."""
        who = f"runtime of {self.package}" if self.package else "environment"
        return f"{who}{f' of {self.origin}' if self.origin else ''} {self.text}"


Generated = Mapping[tuple[str, str], PackageSummary]
"""Facts of packages as they were built or as an index has them, by name and architecture: names that they provide and
need that no recipe states, such as `so:libz.so.1`."""


class Edge(Noun, frozen=True):
    """A build needs the packages of another build in its environment, and why.

    Attributes:
        dependent: build that is made later.
        dependency: build that is made first.
        asks: the constraints that lead to it: one of the environment, then those of runtime dependencies.
    """

    dependent: BuildId
    dependency: BuildId
    asks: tuple[Ask, ...]

    @property
    def reason(self) -> str:
        """The constraints: `environment curl-dev; runtime of curl-dev libcurl`."""
        return "; ".join(ask.reason for ask in self.asks)


class Cycle(Noun, frozen=True):
    """Builds that need one another.

    Attributes:
        members: the builds, in the order in which they are built first.
        cut: members whose packages the others take from outside until all members are built once.
        chain: a shortest circle, each edge from a build to the one that it needs.
    """

    members: tuple[BuildId, ...]
    cut: tuple[BuildId, ...]
    chain: tuple[Edge, ...]
