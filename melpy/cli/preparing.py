"""What `melpy build` does before anything is built, and all that a dry run and `melpy why` do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from melpy.cli.building import assume_outside, choose_builds, load_tree, make_tree_graph, tell_left
from melpy.cli.mistake import check_first, check_published, find_faulty_needs, find_idle_names, find_recipe_names
from melpy.cli.option import LOCK_NAME
from melpy.cli.report import print_warning
from melpy.cli.selection import find_warnings, read_quarantine
from melpy.cli.setup import make_spec
from melpy.codec import encode, replace
from melpy.digest import sha256_hex
from melpy.engine.capacity import count_processors
from melpy.engine.generated import is_generated
from melpy.engine.model import JobReport, RunSpec
from melpy.engine.schedule import JobOutcome
from melpy.environment.repository import Repositories
from melpy.errors import CycleError, LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from melpy import events
    from melpy.arch import Arch
    from melpy.cli.building import Tree
    from melpy.config.model import Settings
    from melpy.engine.known import Work
    from melpy.engine.model import BuildSpec
    from melpy.engine.quarantine import Quarantine
    from melpy.engine.selection import Arguments, SelectionOptions
    from melpy.graph.lone import Graph
    from melpy.graph.selection import Selection
    from melpy.solve.lockfile import Lock


_FORCING = ("force", "keep", "debug", "emulate_all", "from_step")
"""Flags about how steps are run, which a build that is up to date would not do."""


class Loaded(Struct, frozen=True):
    """The recipes of a run, in no order yet.

    Attributes:
        spec: what builds are prepared from.
        tree: the recipes.
        repositories: the repositories of the run.
        quarantine: recipes that are not built; None without a list.
        asked: digest of what was asked for; empty where the builds follow from more than files.
        arguments: arguments of the command.
        chosen: its options that choose builds.
        settings: the settings.
        flags: all flags of the command.
    """

    spec: BuildSpec
    tree: Tree
    repositories: Repositories
    quarantine: Quarantine | None
    asked: str
    arguments: Arguments
    chosen: SelectionOptions
    settings: Settings
    flags: Mapping[str, Any]


class Prepared(Struct, frozen=True):
    """A run that has not begun.

    Attributes:
        spec: what builds are prepared from.
        work: the builds.
        tree: the recipes.
        selection: the builds, with the reason for each.
        repositories: the repositories of the run.
        skipped: reports of the builds that a quarantine stops.
        settings: the settings.
    """

    spec: BuildSpec
    work: Work
    tree: Tree
    selection: Selection
    repositories: Repositories
    skipped: tuple[JobReport, ...]
    settings: Settings


def load_run(
    arguments: Arguments,
    chosen: SelectionOptions,
    settings: Settings,
    options: Sequence[str],
    flags: Mapping[str, Any],
    monitor: events.Monitor,
) -> Loaded:
    """Read the recipes of a run.

    Raises:
        MelpyError: recipes are not valid.
    """
    quarantine = read_quarantine(flags, settings.file)
    check_published(settings)
    tree = load_tree(arguments, settings, options, monitor, only=flags["only"])
    check_first(flags, find_recipe_names(tree))
    tell_left(tree.left, settings.arch, monitor)
    spec = make_build_spec(settings, flags, monitor)
    # Commits change without a file of the tree, and quarantines expire.
    is_told = not (quarantine or chosen.changed_since)
    asked = sha256_hex(encode([arguments, chosen, settings.bootstrap_first])) if is_told else ""
    repositories = Repositories(spec.repositories)
    return Loaded(spec, tree, repositories, quarantine, asked, arguments, chosen, settings, flags)


def order_run(loaded: Loaded) -> Prepared:
    """Order recipes, and choose those to be built.

    Raises:
        MelpyError: recipes need one another in a way that cannot be cut, or none is left.
    """
    spec, tree, repositories, quarantine = loaded.spec, loaded.tree, loaded.repositories, loaded.quarantine
    arguments, settings, flags = loaded.arguments, loaded.settings, loaded.flags
    outside: Callable[[str, str], bool]
    outside = assume_outside if flags.get("assume_outside") and flags.get("dry_run") else repositories.offers
    first = settings.bootstrap_first
    circle: CycleError | None = None
    try:
        graph = make_tree_graph(tree, repositories, outside, first)
    except CycleError as error:
        # It matters only to its members and to builds that need them, for which they come along.
        circle, outside = error, _assume_stated(repositories)
        graph = make_tree_graph(tree, repositories, outside, first)
    selection, work = choose_builds(arguments, loaded.chosen, tree, graph, repositories, quarantine, outside, first)
    if circle:
        _check_circle(circle, tree, work, repositories)
    idle = find_idle_names(settings, flags, arguments, find_recipe_names(tree), graph, quarantine)
    warnings = (*find_warnings(selection, tree.summaries, quarantine), *idle, *find_faulty_needs(tree, work.chosen))
    for warning in warnings:
        print_warning(warning)
    work = replace(work, asked="" if warnings else loaded.asked)
    return Prepared(spec, work, tree, selection, repositories, _report_skipped(selection, graph), settings)


def _assume_stated(repositories: Repositories) -> Callable[[str, str], bool]:
    """Return a function by which repositories have all names but those that are known once packages are built."""
    return lambda name, arch: not is_generated(name) or repositories.offers(name, arch)


def _check_circle(circle: CycleError, tree: Tree, work: Work, repositories: Repositories) -> None:
    """Refuse a run that a cycle has to do with which cannot be cut.

    Raises:
        CycleError: a chosen build is in a cycle, or needs itself.
    """
    if any(not work.chosen.keys().isdisjoint(cycle.members) for cycle in work.graph.cycles):
        raise circle
    part = replace(tree, summaries=tuple(one for one in tree.summaries if one.id in work.chosen))
    make_tree_graph(part, repositories, repositories.offers, ())


def _report_skipped(selection: Selection, graph: Graph) -> tuple[JobReport, ...]:
    found = [(graph.summaries[skipped.build], skipped.reason) for skipped in selection.skipped]
    return tuple(
        JobReport(summary.job, summary.file, summary.arch, JobOutcome.SKIPPED.value, reason)
        for summary, reason in found
    )


def make_run_spec(settings: Settings, flags: Mapping[str, Any], count: int) -> RunSpec:
    """Return the options of a run over so many builds."""
    return RunSpec(
        flags["jobs"] or min(count, count_processors()),
        flags["max_failures"] or 0,
        flags["stale"],
        any(flags[name] for name in _FORCING),
        flags["retry_failed"],
        flags["publish"],
        flags["retry_steps"],
        settings.result_limit,
        settings.published,
    )


def make_build_spec(settings: Settings, flags: Mapping[str, Any], monitor: events.Monitor) -> BuildSpec:
    """Return what builds are prepared from, flags of the command included.

    Raises:
        LockError: the lock file cannot be used.
    """
    spec = make_spec(settings, monitor, offline=flags["offline"], check_signatures=not flags["ignore_signatures"])
    steps = replace(
        spec.steps,
        options=replace(spec.steps.options, network=flags["network"], debug=flags["debug"]),
        emulate_all=flags["emulate_all"],
        keep=flags["keep"],
        from_step=flags["from_step"],
    )
    locked = flags["lock"] or flags["lock_file"]
    locks = _load_locks(flags["lock_file"] or LOCK_NAME, settings.arch) if locked else ()
    return replace(spec, steps=steps, locks=locks)


def _load_locks(template: str, arches: Sequence[Arch]) -> tuple[tuple[Path, Lock], ...]:
    from melpy.solve.lockfile import load_lock  # noqa: PLC0415  # only where there is one

    paths = {arch: Path(template.replace("{arch}", arch.apk)) for arch in arches}
    locks = {arch: load_lock(path) for arch, path in paths.items()}
    for arch, lock in locks.items():
        if lock.arch != arch.apk:
            raise LockError(f"is for {lock.arch}, not for {arch.apk}", where=str(paths[arch]))
    return tuple((paths[arch], locks[arch]) for arch in arches)
