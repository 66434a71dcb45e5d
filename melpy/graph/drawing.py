"""A graph of builds for programs: as JSON, and as a drawing in the language of Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from melpy.graph.buildgraph import BuildGraph
    from melpy.graph.model import BuildId, Edge


def describe_graph(graph: BuildGraph) -> dict[str, object]:
    """Return a graph as JSON-able values: `builds` in order, and `cycles`.

    Builds are named `recipe/arch`; `arches` are the architectures whose indexes have the packages, that of the
    environment first. What a build's environment has comes from the builds before it (`needs` and theirs) or from
    outside (`outside`, by name); `lacking` are those of its constraints that nothing offers.
    """
    return {
        "builds": [_describe_build(build, graph) for build in graph.order],
        "cycles": [
            {
                "members": list(map(str, cycle.members)),
                "cut": list(map(str, cycle.cut)),
                "chain": describe_edges(cycle.chain),
            }
            for cycle in graph.cycles
        ],
    }


def _describe_build(build: BuildId, graph: BuildGraph) -> dict[str, object]:
    summary = graph.summaries[build]
    return {
        "build": str(build),
        "recipe": summary.name,
        "version": summary.version,
        "arch": summary.arch,
        "arches": list(summary.arches),
        "file": summary.file,
        "packages": [
            {
                "name": package.name,
                "provides": list(package.provides),
                "runtime": list(package.runtime),
                "priority": package.priority,
            }
            for package in summary.packages
        ],
        "world": list(summary.world),
        "needs": list(map(str, graph.needs(build))),
        "outside": list(graph.from_outside(build)),
        "lacking": list(graph.lacking(build)),
    }


def describe_edges(edges: Sequence[Edge]) -> list[dict[str, object]]:
    """Return edges as JSON-able values."""
    return [
        {
            "dependent": str(edge.dependent),
            "dependency": str(edge.dependency),
            "constraints": [{"constraint": ask.text, "package": ask.package or None} for ask in edge.asks],
        }
        for edge in edges
    ]


def render_dot(builds: Collection[BuildId], graph: BuildGraph) -> str:
    """Return a drawing of some builds in the language of Graphviz: an arrow goes from a build to what it needs.

    Needs that follow from others are left out. Members of a cycle stand in a box; builds that a cycle is cut at are
    grey, and a dashed arrow is a need that is met from outside at first.
    """
    shown = frozenset(builds)
    arches = {build.arch for build in shown}
    cut = {build for cycle in graph.cycles for build in cycle.cut}
    lines = ["digraph melpy {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif", fontsize=11];']
    for number, cycle in enumerate(graph.cycles):
        members = [build for build in cycle.members if build in shown]
        if members:
            lines.append(f'  subgraph cluster_{number} {{ label="cycle"; color=grey;')
            lines += [f"    {_quote(build)};" for build in members]
            lines.append("  }")
    for build in graph.order:
        if build in shown:
            label = build.recipe if len(arches) == 1 else str(build)
            grey = ", style=filled, fillcolor=lightgrey" if build in cut else ""
            lines.append(f"  {_quote(build)} [label={_quote(label)}{grey}];")
    lines += [f"  {_quote(one)} -> {_quote(other)}{style};" for one, other, style in _arrows(shown, graph)]
    return "\n".join([*lines, "}", ""])


def _arrows(shown: frozenset[BuildId], graph: BuildGraph) -> Iterator[tuple[BuildId, BuildId, str]]:
    for build in graph.order:
        if build not in shown:
            continue
        yield from ((build, needed, "") for needed in graph.reduced(build) if needed in shown)
        cycle = graph.find_cycle(build)
        for needed in graph.wants(build) if cycle else ():
            if needed in shown and cycle and needed in cycle.cut:
                yield build, needed, " [style=dashed, constraint=false]"


def _quote(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
