"""`melpy graph`."""

from __future__ import annotations

import functools
import os
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from melpy.arch import NOARCH
from melpy.cli.help import Command
from melpy.cli.monitor import open_monitor
from melpy.cli.option import (
    BUILD_OPTION,
    ENVIRONMENT,
    IGNORE_SIGNATURES,
    OFFLINE,
    PATH,
    Count,
    read_settings,
    setting_options,
)
from melpy.cli.progress import track
from melpy.cli.report import count_text, print_error, print_json, print_text, print_warning, short_list
from melpy.errors import CycleError, RecipeError, RecipeNotFoundError, UsageError, hint_near

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from melpy.cli.graph_view import View
    from melpy.config.model import Settings
    from melpy.engine.tree import TreeSpec
    from melpy.events import Monitor
    from melpy.graph.buildgraph import BuildGraph
    from melpy.graph.model import BuildId, Edge, Summary

_NO_WAY = 1  # exit status of --why where there is no chain, as grep has it
_LARGE = 400  # builds; Graphviz takes minutes for drawings of more, and nobody can read them


@click.command(
    cls=Command,
    short_help="Show which recipes need one another, and in which order they can be built.",
    examples={
        "melpy graph packages/": "an overview, or the order with all reasons where there are few recipes",
        "melpy graph packages/ --why curl zlib": "the shortest chain of needs between two recipes, with their lines",
        "melpy graph packages/ --rdeps zlib": "the recipes that are built after this one",
        "melpy graph packages/ --cycles": "the recipes that need one another, and where their cycles are cut",
        "melpy graph packages/ --rdeps zlib --format svg > zlib.svg": "a drawing; Graphviz makes it",
        "melpy graph packages/ --format json > graph.json": "everything, for programs",
    },
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[RECIPE|DIRECTORY]...")
@setting_options(*ENVIRONMENT, "bootstrap-first")
@BUILD_OPTION
@IGNORE_SIGNATURES
@OFFLINE
@click.option("--why", nargs=2, metavar="A B", help="Say why A needs B: the shortest chain.")
@click.option("--rdeps", metavar="X", help="Show what needs X, directly or through others.")
@click.option("--critical-path", "critical", is_flag=True, help="Show the longest chain of builds.")
@click.option("--cycles", is_flag=True, help="Show the cycles, where they are cut, and their shortest chains.")
@click.option("--assume-outside", is_flag=True, help="Take it that outside offers every name; no index is read for it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "dot", "svg"]),
    default="text",
    show_default=True,
    help="How it is shown; dot is the language of Graphviz, which makes svg.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("-j", "--jobs", type=Count(1), metavar="N", help="How many processes work; one for each core.")
def command(
    paths: tuple[Path, ...],
    *,
    options: tuple[str, ...],
    ignore_signatures: bool,
    offline: bool,
    why: tuple[str, str] | None,
    rdeps: str | None,
    critical: bool,
    cycles: bool,
    assume_outside: bool,
    form: str,
    jobs: int | None,
    **flags: Any,  # the settings' flags
) -> int:
    """Show the graph of recipes: what each needs, in which order they can be built, and where cycles are cut.

    A recipe needs those that make the packages of its build environment: what its environment and its pipelines name,
    and all that this needs when it is installed. A DIRECTORY stands for its recipes; without any, the current directory
    is meant. A, B and X are names of recipes or packages, which may end in /ARCH. Nothing is built.
    """
    from melpy.cli.mistake import check_first  # noqa: PLC0415  # --help does not need it
    from melpy.cli.planning import make_tree_spec  # noqa: PLC0415  # likewise

    if sum(map(bool, (why, rdeps, critical, cycles))) > 1:
        message = "--why, --rdeps, --critical-path and --cycles are questions of their own"
        raise UsageError(message, hint="ask one at a time")
    paths = paths or (Path(),)
    settings = read_settings(flags, paths)
    spec = make_tree_spec(settings, settings.arch, options)
    summaries, status = _summarise(paths, settings, spec, jobs or os.cpu_count() or 1)
    with open_monitor() as monitor:
        # Neither of the two questions is about outside.
        outside = (
            _anything
            if assume_outside or why or rdeps
            else _find_outside(settings, monitor, offline, not ignore_signatures)
        )
        check_first({**flags, "only": False}, {summary.name for summary in summaries})
        graph, refused = _make_graph(summaries, outside, spec, settings.bootstrap_first)
    view = _find_view(graph, spec, why, rdeps, critical=critical, cycles=cycles)
    if view is None:
        assert why
        print_text(f"{why[0]} does not need {why[1]}", err=True)
        return _NO_WAY
    if form == "text":
        print_text("\n".join(view.lines()))
    elif form == "json":
        print_json(view.data())
    else:
        _draw(view.builds, graph, form)
    return refused or status


def _find_view(
    graph: BuildGraph, spec: TreeSpec, why: tuple[str, str] | None, rdeps: str | None, *, critical: bool, cycles: bool
) -> View | None:
    """Return the answer to what was asked; None where --why has none."""
    from melpy.cli import graph_view as view  # noqa: PLC0415  # --help does not need it

    locate = functools.partial(_locate, graph=graph, spec=spec)
    if why:
        start, end = _find_pair(why, graph)
        chain = graph.find_chain(start, end)
        return view.describe_chain(chain, locate) if chain else None
    if rdeps:
        return view.describe_rdeps(_find_builds(rdeps, graph), graph)
    if critical:
        return view.describe_path(graph)
    return view.describe_cycles(graph, locate) if cycles else view.describe_whole(graph)


def _summarise(paths: Sequence[Path], settings: Settings, spec: TreeSpec, jobs: int) -> tuple[tuple[Summary, ...], int]:
    """Return the summaries of recipes without errors, and the exit status of the others' errors."""
    from melpy.engine.treecache import summarise_tree  # noqa: PLC0415  # --help does not need it
    from melpy.recipe.load import find_recipes  # noqa: PLC0415  # likewise

    files = find_recipes(paths)
    reports = list(track(summarise_tree(files, spec, jobs, settings.cache_dir), len(files), "recipes"))
    wrong = [report for report in reports if report.has_errors]
    if wrong:
        what = f"{count_text(len(wrong), 'recipe')} with errors: {short_list([report.file for report in wrong])}"
        hint = "melpy check shows the errors"
        if len(wrong) == len(files):
            raise RecipeError(f"nothing but {what}", hint=hint)
        print_warning(RecipeError(f"left out, {what}", hint=hint))
    found = tuple(summary for report in reports if not report.has_errors for summary in report.summaries)
    if not found and not wrong:
        names = ", ".join(arch.apk for arch in spec.arches)
        raise RecipeNotFoundError(f"no recipe is meant for {names}", hint="name other architectures with --arch")
    return found, RecipeError.exit_status if wrong else 0


def _anything(_name: str, _arch: str) -> bool:
    return True


def _find_outside(
    settings: Settings, monitor: Monitor, offline: bool, check_signatures: bool
) -> Callable[[str, str], bool]:
    from melpy.cli.setup import make_repositories  # noqa: PLC0415  # where nothing is assumed
    from melpy.environment.repository import Repositories  # noqa: PLC0415  # likewise

    return Repositories(make_repositories(settings, monitor, offline=offline, check_signatures=check_signatures)).offers


def _make_graph(
    summaries: Sequence[Summary], outside: Callable[[str, str], bool], spec: TreeSpec, first: Sequence[str]
) -> tuple[BuildGraph, int]:
    """Return the graph; where a cycle cannot be cut, say so, and cut it as if it could."""
    from melpy.engine.cycle import explain_cycle  # noqa: PLC0415  # --help does not need it
    from melpy.engine.tree import evaluate_summary  # noqa: PLC0415  # likewise
    from melpy.graph.buildgraph import make_graph  # noqa: PLC0415  # likewise

    try:
        return make_graph(summaries, outside=outside, first=first), 0
    except CycleError as error:
        evaluate = functools.partial(evaluate_summary, spec=spec)
        print_error(explain_cycle(error.edges, error.missing, summaries, evaluate))
        return make_graph(summaries, outside=_anything, first=first), error.exit_status


def _locate(chain: Sequence[Edge], graph: BuildGraph, spec: TreeSpec) -> list[str]:
    """Return the constraints of each edge with their positions."""
    from melpy.engine.cycle import locate_edges  # noqa: PLC0415  # only where a chain is shown
    from melpy.engine.tree import evaluate_summary  # noqa: PLC0415  # likewise

    evaluate = functools.partial(evaluate_summary, spec=spec)
    return [text for text, _ in locate_edges(chain, graph.summaries.values(), evaluate)]


def _find_pair(names: tuple[str, str], graph: BuildGraph) -> tuple[BuildId, BuildId]:
    """Return two builds: the first of one architecture for which there are both, one that needs the other if any does.

    A build needs one of another architecture through packages for every architecture.
    """
    first, second = (_find_builds(name, graph) for name in names)
    pairs = sorted(product(first, second), key=_is_mixed)
    found = next((pair for pair in pairs if graph.find_chain(*pair)), None)
    if found is None and _is_mixed(pairs[0]) and NOARCH not in {pairs[0][0].arch, pairs[0][1].arch}:
        raise UsageError(f"{names[0]} and {names[1]} are for different architectures", hint="name one: NAME/ARCH")
    return found or pairs[0]


def _is_mixed(pair: tuple[BuildId, BuildId]) -> bool:
    return pair[0].arch != pair[1].arch


def _find_builds(text: str, graph: BuildGraph) -> tuple[BuildId, ...]:
    """Return the builds of a recipe by its name or that of one of its packages.

    Raises:
        RecipeNotFoundError: there is none.
    """
    name, _, arch = text.partition("/")
    arches = dict.fromkeys(other for one in graph.summaries.values() for other in (one.arch, *one.arches))
    if arch and arch not in arches:
        hint = f"they are for {', '.join(arches)}; --arch names others"
        raise RecipeNotFoundError(f"no recipe here is for {arch!r}", hint=hint)
    every = [one for one in graph.summaries.values() if not arch or arch in {one.arch, *one.arches}]
    found = [one.id for one in every if one.name == name]
    found = found or [one.id for one in every if any(package.name == name for package in one.packages)]
    if not found:
        known = [package.name for one in graph.summaries.values() for package in one.packages]
        kind = f"no recipe for {arch} makes" if arch else "no recipe makes"
        raise RecipeNotFoundError(f"{kind} a package {name!r}", hint=hint_near(name, known))
    return tuple(found)


def _draw(builds: Sequence[BuildId], graph: BuildGraph, form: str) -> None:
    from melpy.graph.drawing import render_dot  # noqa: PLC0415  # only for drawings
    from melpy.run import find_tool, run  # noqa: PLC0415  # likewise

    text = render_dot(builds, graph)
    if form == "svg":
        tool = find_tool("dot", hint="install graphviz, or draw --format dot elsewhere")
        if len(builds) > _LARGE:
            message = f"a drawing of {len(builds)} builds takes Graphviz minutes"
            print_warning(UsageError(message, hint="choose some with --rdeps, --why, --critical-path or --cycles"))
        text = run([tool, "-Tsvg"], stdin=text).stdout
    click.echo(text, nl=False)
