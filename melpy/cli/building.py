"""From arguments and settings to the builds of a run: recipes are read, ordered and chosen."""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy import events
from melpy.cli.planning import make_tree_spec, pipeline_directories, plan_build, plan_recipes
from melpy.cli.report import print_warning
from melpy.cli.selection import find_default_directory
from melpy.engine.cutcache import load_cuts, write_cuts
from melpy.engine.generated import load_generated
from melpy.engine.known import Work
from melpy.engine.range import check_ranges
from melpy.engine.result import Failure, make_error
from melpy.engine.selection import find_candidates, select
from melpy.engine.summary import make_summary
from melpy.engine.tree import find_clashes, merge_findings
from melpy.engine.treecache import summarise_tree
from melpy.environment.model import EnvironmentSpec
from melpy.errors import CycleError, FaultsError, Place, RecipeError, RecipeNotFoundError, fault_position
from melpy.graph.lone import LoneGraph
from melpy.plan.library import library_for
from melpy.recipe.load import find_recipes
from melpy.rootfs.model import RootSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from melpy.arch import Arch
    from melpy.config.model import Settings
    from melpy.engine.model import PlannedBuild
    from melpy.engine.quarantine import Quarantine
    from melpy.engine.selection import Arguments, SelectionOptions
    from melpy.engine.tree import Finding, RecipeReport
    from melpy.environment.repository import Repositories
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId, Generated, Summary
    from melpy.graph.selection import Selection
    from melpy.recipe.model import Recipe

_PLANNED_AT_ONCE = 24  # recipes; more are evaluated in several processes, and planned when it is their turn
_LARGE = 200  # recipes, from which on it is said that they are read


class Tree(Struct, frozen=True):
    """The recipes of a run: those that are named, and those that they may need.

    Attributes:
        summaries: summaries of all of them.
        plan: plans a build.
        left: named recipes that are meant for none of the architectures.
        planned: builds that are planned already.
        cache_dir: melpy's cache.
        faulty: reports of recipes with faults that were not named by their files.
        warnings: warnings of named recipes that are not printed yet, by recipe file.
    """

    summaries: tuple[Summary, ...]
    plan: Callable[[BuildId], PlannedBuild]
    left: tuple[str, ...]
    planned: Mapping[BuildId, PlannedBuild]
    cache_dir: Path
    faulty: tuple[RecipeReport, ...] = ()
    warnings: Mapping[str, tuple[RecipeError, ...]] = MappingProxyType({})


def load_tree(
    arguments: Arguments, settings: Settings, options: Sequence[str], monitor: events.Monitor, *, only: bool
) -> Tree:
    """Read the recipes that are named, and others of their directories.

    Warnings of a single recipe are printed at once.

    Args:
        arguments: arguments of the command.
        settings: the settings.
        options: build options that are on.
        monitor: is told of warnings, and that many recipes are read.
        only: leave out recipes that are not named.

    Raises:
        RecipeNotFoundError: a recipe is not there.
        FaultsError: named recipes are not valid; it holds the faults of all of them.
    """
    places = [*(path for path, _ in arguments.files), *arguments.directories]
    named = find_recipes(places) if places else ()
    default = find_default_directory(settings.file)
    candidates = find_candidates(arguments, only=only, default=(default,) if default else ())
    known = set(map(str, named))  # a path takes ten times as long to compare
    others = tuple(path for path in candidates if str(path) not in known)
    if len(candidates) > _LARGE:
        monitor.emit(events.Note("", f"reading {len(candidates):,} recipes"))
    planned: dict[BuildId, PlannedBuild] = {}
    summaries: list[Summary] = []
    left: list[str] = []
    warnings: list[RecipeError] = []
    if len(named) <= _PLANNED_AT_ONCE:
        loaded, builds = _plan_named(named, settings, options, warnings.append)
        directories = pipeline_directories(settings)
        for build in builds:
            assert build.evaluation
            summary = make_summary(build.evaluation, library_for(build.recipe.path, directories), settings.arch)
            summaries.append(summary)
            planned[summary.id] = build
        left = [str(recipe.path) for recipe in loaded if recipe not in [build.recipe for build in builds]]
    else:
        reports = _survey(named, settings, options)
        warnings += _check_reports(reports)
        summaries += [summary for report in reports for summary in report.summaries]
        left = [report.file for report in reports if not report.arches]
    made = {one for summary in summaries for one in summary.list_made()}
    reports = _survey(others, settings, options) if others else []
    for report in reports:
        for summary in () if report.has_errors else report.summaries:
            names = set(summary.list_made())
            if made.isdisjoint(names):
                made |= names
                summaries.append(summary)
    files = {summary.id: summary for summary in summaries}

    def plan(build: BuildId) -> PlannedBuild:
        if build not in planned:
            return plan_build(files[build], settings, options)
        return planned[build]

    faulty = tuple(report for report in reports if report.has_errors)
    kept = _keep_warnings(warnings, frozenset(map(str, named)))
    return Tree(tuple(summaries), plan, tuple(left), planned, settings.cache_dir, faulty, kept)


def _keep_warnings(warnings: Iterable[RecipeError], named: Collection[str]) -> dict[str, tuple[RecipeError, ...]]:
    """Return warnings by recipe file; print those of a single recipe, and of pipelines."""
    kept: defaultdict[str, list[RecipeError]] = defaultdict(list)
    for warning in warnings:
        file = warning.where.file if isinstance(warning.where, Place) else ""
        if len(named) > 1 and file in named:
            kept[file].append(warning)
        else:
            print_warning(warning)
    return {file: tuple(found) for file, found in kept.items()}


def _survey(files: Sequence[Path], settings: Settings, options: Sequence[str]) -> list[RecipeReport]:
    spec = make_tree_spec(settings, settings.arch, options)
    return list(summarise_tree(files, spec, os.cpu_count() or 1, settings.cache_dir))


def _check_reports(reports: Sequence[RecipeReport]) -> list[RecipeError]:
    """Return the warnings of recipes, and refuse those with faults.

    Raises:
        FaultsError: some have faults.
    """
    found = merge_findings([*(finding for report in reports for finding in report.findings), *find_clashes(reports)])
    faults = [_make_error(finding) for finding in found if finding.severity == "error"]
    if faults:
        raise FaultsError(sorted(faults, key=fault_position))
    return [_make_error(finding) for finding in found]


def _make_error(finding: Finding) -> RecipeError:
    place = finding.place
    position = (place.file, place.line, place.column)
    failure = Failure(
        finding.code, finding.message, position=position, hint=finding.hint or None, details=finding.details
    )
    error = make_error(failure)
    return error if isinstance(error, RecipeError) else RecipeError(error.message, where=place, hint=error.hint)


def _plan_named(
    named: Sequence[Path], settings: Settings, options: Sequence[str], warn: Callable[[RecipeError], None]
) -> tuple[tuple[Recipe, ...], tuple[PlannedBuild, ...]]:
    return plan_recipes(named, settings.arch, settings, warn, options, together=True) if named else ((), ())


def assume_outside(name: str, arch: str) -> bool:  # noqa: ARG001  # in the place of `Repositories.offers`
    """Tell that a repository has a name."""
    return True


def make_tree_graph(
    tree: Tree,
    repositories: Repositories,
    outside: Callable[[str, str], bool],
    first: Collection[str],
    built: Generated | None = None,
) -> Graph:
    """Return the graph of recipes.

    Args:
        tree: the recipes.
        repositories: the repositories of the run.
        outside: tells whether a repository or the supply offers a name for an architecture.
        first: recipes whose packages come from outside at first where they are in a cycle.
        built: facts of packages that were built in this run.

    Raises:
        CycleError: recipes need one another, and nothing outside offers what would do to begin with.
        RecipeError: two recipes make the same package.
    """
    if len({summary.name for summary in tree.summaries}) < 2:
        return LoneGraph(tree.summaries)
    from melpy.engine.cycle import explain_cycle  # noqa: PLC0415  # networkx takes 150 ms, one recipe needs no order
    from melpy.graph.buildgraph import make_graph  # noqa: PLC0415  # likewise

    try:
        arches = dict.fromkeys(arch for summary in tree.summaries for arch in summary.arches)
        known = {**load_generated(repositories.spec.own, arches), **(built or {})}
        cuts = load_cuts(tree.cache_dir)
        kept = frozenset(cuts)
        graph = make_graph(tree.summaries, outside=outside, provides=known, cuts=cuts, first=first)
        if kept != cuts.keys():
            write_cuts(tree.cache_dir, cuts)
        return graph  # noqa: TRY300  # only `make_graph` raises it
    except CycleError as error:
        raise explain_cycle(
            error.edges, error.missing, tree.summaries, lambda one: tree.plan(one.id).evaluation
        ) from None


def choose_builds(
    arguments: Arguments,
    options: SelectionOptions,
    tree: Tree,
    graph: Graph,
    repositories: Repositories,
    quarantine: Quarantine | None,
    outside: Callable[[str, str], bool],
    first: Collection[str],
) -> tuple[Selection, Work]:
    """Return the builds that are selected; those that a repository has in the same version do not come along.

    Raises:
        NothingSelectedError: no build is left.
        FaultsError: ranges of recipes need packages that nobody has.
    """
    is_offered = _Offered(repositories)
    try:
        selection = select(
            arguments,
            options,
            tree.summaries,
            graph.needs,
            is_offered=is_offered.has_or_is_own,
            is_had=functools.cache(lambda build: is_offered.has_all(graph.summaries[build])),
            quarantine=quarantine,
        )
    except RecipeNotFoundError:
        # A recipe with faults makes no package that is known, so that its name is all that tells it.
        names = {name.text for name in arguments.names}
        _check_reports([report for report in tree.faulty if Path(report.file).stem in names])
        raise
    chosen = {selected.build: selected.asked for selected in selection.builds}
    check_ranges([build for name, build in tree.planned.items() if name in chosen], repositories)
    return selection, Work(
        graph, chosen, tree.plan, functools.partial(make_tree_graph, tree, repositories, outside, first)
    )


class _Offered:
    """Packages of the repositories that environments come from, apart from the supply and from what is built here."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._own: dict[str, frozenset[tuple[str, str]]] = {}

    def __call__(self, name: str, version: str, arch: str) -> bool:
        snapshot = self._repositories.take_snapshot(EnvironmentSpec(RootSpec(arch)), ())
        if not snapshot.indexes:
            return False
        universe = self._repositories.find_universe(snapshot)
        return any(offer.name == name and offer.version == version for offer, _ in universe.providers(name))

    def has_or_is_own(self, name: str, version: str, arch: str) -> bool:
        """Tell whether one of these repositories has a package, or the one that is built here."""
        if arch not in self._own:
            self._own[arch] = frozenset((one.name, one.version) for one in self._repositories.find_own(arch))
        return (name, version) in self._own[arch] or self(name, version, arch)

    def has_all(self, summary: Summary) -> bool:
        """Tell whether a repository has all packages of a recipe in its version."""
        return bool(summary.packages) and all(self(name, summary.version, arch) for name, arch in summary.list_made())


def tell_left(left: Iterable[str], arches: Sequence[Arch], monitor: events.Monitor) -> None:
    """Warn of recipes that are meant for none of the architectures."""
    for file in left:
        text = f"{file}: not meant for {', '.join(map(str, arches))}, so nothing is built of it"
        monitor.emit(events.Warning("", text))
