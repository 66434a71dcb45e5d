"""A graph of builds for people: an overview of thousands, or each build with its reasons where there are few."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy.arch import NOARCH
from melpy.cli.report import count_text, short_list
from melpy.graph.drawing import describe_edges, describe_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from melpy.graph.buildgraph import BuildGraph
    from melpy.graph.model import BuildId, Cycle, Edge

    Locate = Callable[[Sequence[Edge]], Sequence[str]]

_FEW = 40  # builds of an architecture that are shown one by one
_SHOWN = 12  # recipes that an overview names of each kind
_PLAIN = 100  # columns where stdout is no terminal


class View(Struct, frozen=True):
    """The answer to a question about a graph.

    Attributes:
        builds: the builds that it is about.
        data: makes JSON-able values of it.
        lines: makes lines for people of it.
    """

    builds: Sequence[BuildId]
    data: Callable[[], object]
    lines: Callable[[], list[str]]


def describe_whole(graph: BuildGraph) -> View:
    """Return the graph as a whole: its order with all reasons where there are few builds, else an overview."""
    largest = max(Counter(arch for one in graph.summaries.values() for arch in one.arches).values(), default=0)
    lines = _list_order if largest <= _FEW else _list_overview
    return View(graph.order, lambda: describe_graph(graph), lambda: list(lines(graph)))


def _list_order(graph: BuildGraph) -> Iterator[str]:
    yield _count(graph)
    for names, arches in _join_arches(graph, lambda build: (_title(build), tuple(_list_needs(build, graph)))):
        yield ""
        yield f"order for {', '.join(arches)}:"
        for number, (name, needs) in enumerate(names, 1):
            yield f"{number:>4} {name}"
            yield from (f"       {line}" for line in needs)
    yield from _list_cycles(graph, None)


def _title(build: BuildId) -> str:
    return f"{build.recipe} (noarch, built once)" if build.arch == NOARCH else build.recipe


def _list_needs(build: BuildId, graph: BuildGraph) -> Iterator[str]:
    before = set(graph.needs(build))
    for needed in graph.wants(build):
        reason = graph.reasons(build, needed)[0]
        if any(ask.origin for ask in reason.asks):
            continue  # it comes before only because `noarch` packages of the environment were built with it
        where = "" if needed in before else " (from outside at first)"
        name = str(needed) if build.arch == NOARCH != needed.arch else needed.recipe
        yield f"needs {name}: {reason.reason}{where}"
    lacking = graph.lacking(build)
    if lacking:
        yield f"nothing offers {', '.join(lacking)}"


def _list_overview(graph: BuildGraph) -> Iterator[str]:
    yield _count(graph)
    path = graph.find_critical_path({})
    ends = f", from {path[0].recipe} to {path[-1].recipe}" if path else ""
    yield f"longest chain: {count_text(len(path), 'build')}{ends} (--critical-path shows it)"
    waves = _find_waves(graph)
    yield f"with as many workers as there are builds: {count_text(len(waves), 'wave')}"
    for number, wave in enumerate(waves, 1):
        if number <= 3 or number == len(waves):
            names = list(dict.fromkeys(build.recipe for build in wave))
            yield from _wrap(f"  wave {number}, {count_text(len(wave), 'build')}: {short_list(names, _SHOWN)}")
        elif number == 4:
            yield "  …"
    needed: Counter[str] = Counter()
    for build in graph.order:
        needed[build.recipe] = max(needed[build.recipe], len(graph.dependents(build)))
    most = [f"{name}: {count}" for name, count in needed.most_common(_SHOWN)]
    yield from _wrap(f"most needed, by so many builds of an architecture: {', '.join(most)}")
    yield from _list_cycles(graph, None)


def _count(graph: BuildGraph) -> str:
    recipes = {graph.summaries[build].file for build in graph.order}
    arches = ", ".join(dict.fromkeys(build.arch for build in graph.order))
    needs = sum(len(graph.needs(build)) for build in graph.order)
    counts = [count_text(len(recipes), "recipe"), f"{count_text(len(graph.order), 'build')} for {arches}"]
    return f"{', '.join(counts)}, {count_text(needs, 'need')}, {count_text(len(graph.cycles), 'cycle')}"


def _find_waves(graph: BuildGraph) -> list[list[BuildId]]:
    """Return the builds that could be made at the same time, wave after wave."""
    wave_of: dict[BuildId, int] = {}
    waves: list[list[BuildId]] = []
    for build in graph.order:
        number = max((wave_of[needed] + 1 for needed in graph.needs(build)), default=0)
        wave_of[build] = number
        if number == len(waves):
            waves.append([])
        waves[number].append(build)
    return waves


def _join_arches(
    graph: BuildGraph, describe: Callable[[BuildId], tuple[str, tuple[str, ...]]]
) -> list[tuple[tuple[tuple[str, tuple[str, ...]], ...], list[str]]]:
    """Return what is the same for several architectures once, with their names."""
    by_arch: defaultdict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for build in graph.order:
        for arch in graph.summaries[build].arches:
            by_arch[arch].append(describe(build))
    joined: defaultdict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = defaultdict(list)
    for arch, found in by_arch.items():
        joined[tuple(found)].append(arch)
    return list(joined.items())


def describe_cycles(graph: BuildGraph, locate: Locate) -> View:
    """Return the cycles of a graph."""
    builds = [build for cycle in graph.cycles for build in cycle.members]
    return View(builds, lambda: describe_graph(graph)["cycles"], lambda: list(_list_cycles(graph, locate)))


def _list_cycles(graph: BuildGraph, locate: Locate | None) -> Iterator[str]:
    """Yield the cycles, those of several architectures once; all of them, with positions, where these can be found."""
    joined: defaultdict[tuple[tuple[str, ...], tuple[str, ...]], list[Cycle]] = defaultdict(list)
    for cycle in graph.cycles:
        joined[_names(cycle.members), _names(cycle.cut)].append(cycle)
    if locate and not joined:
        yield "no recipes need one another"
    for (members, cut), cycles in joined.items():
        arches = ", ".join(cycle.chain[0].dependent.arch for cycle in cycles)
        yield ""
        yield f"cycle of {count_text(len(members), 'recipe')} for {arches}"
        yield from _wrap(f"  from outside at first ({len(cut)}): {', '.join(cut)}")
        if locate:
            yield from _wrap(f"  members, in order: {', '.join(members)}")
        elif len(members) <= _SHOWN:
            yield f"  members, in order: {', '.join(members)}"
        yield "  shortest circle:"
        chain = cycles[0].chain
        texts = locate(chain) if locate else [edge.reason for edge in chain]
        yield from _list_chain(chain, texts, "    ")


def describe_chain(chain: Sequence[Edge], locate: Locate) -> View:
    """Return a chain of needs from a build to another."""
    builds = [chain[0].dependent, *(edge.dependency for edge in chain)]
    return View(builds, lambda: describe_edges(chain), lambda: list(_list_chain(chain, locate(chain))))


def _list_chain(chain: Sequence[Edge], texts: Iterable[str], margin: str = "") -> Iterator[str]:
    for edge, text in zip(chain, texts, strict=True):
        yield f"{margin}{edge.dependent.recipe} needs {edge.dependency.recipe}: {text}"


def describe_rdeps(roots: Collection[BuildId], graph: BuildGraph) -> View:
    """Return what needs some builds, of each architecture."""
    found = {root: graph.descendants(root) for root in roots}
    shown = [build for build in graph.order if any(build == root or build in found[root] for root in roots)]
    data = {str(root): [str(build) for build in graph.order if build in found[root]] for root in roots}
    return View(shown, lambda: data, lambda: list(_list_rdeps(roots, graph)))


def _list_rdeps(roots: Iterable[BuildId], graph: BuildGraph) -> Iterator[str]:
    joined: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for root in roots:
        joined[tuple(_list_dependents(root, graph))].append(str(root))
    for number, (lines, names) in enumerate(joined.items()):
        yield from [""] * bool(number)
        yield f"{', '.join(names)}: {lines[0]}"
        yield from lines[1:]


def _list_dependents(root: BuildId, graph: BuildGraph) -> Iterator[str]:
    found = graph.descendants(root)
    direct: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for build in graph.order:
        if build in found:
            edges = graph.reasons(build, root)
            named = edges and len(edges[0].asks) == 1
            name = str(build) if root.arch == NOARCH != build.arch else build.recipe
            (direct if named else others).append((name, edges[0].reason if named else ""))
    yield f"needed by {count_text(len(found), 'build')}, {len(direct)} of which name it in their environment"
    width = min(max((len(name) for name, _ in direct), default=0), 40)
    yield from (f"  {name:<{width}}  {reason}" for name, reason in direct)
    if others:
        yield from _wrap(f"  through others ({len(others)}): {', '.join(name for name, _ in others)}")


def describe_path(graph: BuildGraph) -> View:
    """Return the longest chain of builds."""
    path = graph.find_critical_path({})
    return View(path, lambda: list(map(str, path)), lambda: list(_list_path(path, graph)))


def _list_path(path: Sequence[BuildId], graph: BuildGraph) -> Iterator[str]:
    yield f"longest chain, in which each build counts as much: {count_text(len(path), 'build')}"
    for number, build in enumerate(path, 1):
        before = path[number - 2] if number > 1 else None
        reason = f"  needs {before.recipe}: {graph.reasons(build, before)[0].reason}" if before else ""
        yield f"{number:>4} {build}{reason}"


def _names(builds: Iterable[BuildId]) -> tuple[str, ...]:
    return tuple(build.recipe for build in builds)


def _wrap(text: str) -> list[str]:
    """Return lines that fit the terminal; the margin of the first is that of all, and two more."""
    margin = " " * (len(text) - len(text.lstrip()) + 2)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PLAIN
    return textwrap.wrap(text, columns, subsequent_indent=margin, break_on_hyphens=False, break_long_words=False)
