"""Summaries of recipes from a few words, and graphs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.arch import NOARCH
from melpy.graph.buildgraph import BuildGraph, make_graph
from melpy.graph.model import BuildId, PackageSummary, Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.graph.model import Generated


def package(name: str, runtime: str = "", provides: str = "", priority: int = 0) -> PackageSummary:
    """Return a package; its lists are separated by blanks."""
    return PackageSummary(name, tuple(provides.split()), tuple(runtime.split()), priority)


def summary(
    name: str,
    world: str = "",
    *packages: PackageSummary,
    arch: str = "x86_64",
    version: str = "1-r0",
    runtime: str = "",
    provides: str = "",
) -> Summary:
    """Return a recipe that makes a package of its own name, and others; one for `noarch` is built for x86_64."""
    main = package(name, runtime, provides)
    every = ("x86_64", "aarch64") if arch == NOARCH else ()
    return Summary(f"{name}.yaml", name, version, arch, (main, *packages), tuple(world.split()), noarch=every)


def for_both(name: str, *arguments: object, **more: str) -> tuple[Summary, Summary]:
    """Return a recipe for both architectures; see `summary`."""
    return tuple(summary(name, *arguments, arch=arch, **more) for arch in ("x86_64", "aarch64"))  # type: ignore[arg-type, return-value]  # they are handed on


def graph(
    *summaries: Summary,
    outside: Callable[[str, str], bool] = lambda _name, _arch: True,
    provides: Generated | None = None,
    first: tuple[str, ...] = (),
) -> BuildGraph:
    """Return the graph of recipes; outside offers everything unless something else is said."""
    return make_graph(summaries, outside=outside, provides=provides, first=first)


def build(name: str, arch: str = "x86_64") -> BuildId:
    return BuildId(name, arch)


def order(found: BuildGraph) -> list[str]:
    return [identity.recipe for identity in found.order]


def names(builds: object) -> list[str]:
    """Return the recipes of builds, sorted."""
    assert isinstance(builds, (tuple, frozenset, list))
    return sorted(identity.recipe for identity in builds)
