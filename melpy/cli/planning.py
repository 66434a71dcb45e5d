"""Recipes and settings become plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from melpy.arch import parse_arch
from melpy.errors import FaultsError, Place, RecipeError, RecipeNotFoundError, SettingsError, fault_position
from melpy.plan.envfile import load_env_files, load_vars_file
from melpy.plan.library import library_for
from melpy.plan.planner import PlanOptions, examine_recipe, find_arches, make_plan
from melpy.plan.range import check_ranges
from melpy.recipe.load import find_recipes, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from melpy.arch import Arch
    from melpy.config.model import Settings
    from melpy.engine.model import PlannedBuild
    from melpy.engine.tree import TreeSpec
    from melpy.graph.model import Summary
    from melpy.plan.fault import Faults
    from melpy.plan.library import Library
    from melpy.recipe.model import Recipe

_DEFAULT_RECIPES = (".melange.yaml", ".melange.yml", "melange.yaml", "melange.yml")


def default_recipe(command: str) -> tuple[Path, ...]:
    """Return the recipe that is meant when none is named.

    Raises:
        RecipeNotFoundError: there is none of these names here.
    """
    for name in _DEFAULT_RECIPES:
        if Path(name).exists():
            return (Path(name),)
    message = "no recipe is named, and there is no melange.yaml here"
    raise RecipeNotFoundError(message, hint=f"melpy {command} RECIPE.yaml, or the directory of recipes")


def load_recipes(paths: Sequence[Path]) -> tuple[Recipe, ...]:
    """Read recipes; the faults of all of them are reported together.

    Raises:
        RecipeNotFoundError: one is not there.
        FaultsError: some are not valid.
    """
    recipes, faults = _read_recipes(paths)
    if faults:
        raise FaultsError(faults)
    return tuple(recipes)


def _read_recipes(paths: Sequence[Path]) -> tuple[list[Recipe], list[RecipeError]]:
    recipes: list[Recipe] = []
    faults: list[RecipeError] = []
    for path in find_recipes(paths):
        try:
            recipes.append(load_recipe(path))
        except FaultsError as error:
            faults += error.faults
        except RecipeError as error:
            faults.append(error)
    return recipes, faults


def plan_recipes(
    paths: Sequence[Path],
    arches: Sequence[Arch],
    settings: Settings,
    warn: Callable[[RecipeError], None],
    options: Sequence[str] = (),
    *,
    together: bool = False,
    each: bool = False,
) -> tuple[tuple[Recipe, ...], tuple[PlannedBuild, ...]]:
    """Read recipes and plan them for architectures; those that are not meant for one are left out there.

    Those for `noarch` packages are planned once, for the architecture of their environment.

    Args:
        paths: recipes and directories of recipes.
        arches: the architectures.
        settings: what the user says beside the recipes.
        warn: is told, once, of each thing that is probably not meant.
        options: build options that are on.
        together: their packages go into one repository, where each can have one recipe only.
        each: plan recipes for `noarch` packages for each architecture, in whose environment they may be built.

    Raises:
        RecipeNotFoundError: a recipe is not there.
        FaultsError: some recipes are not valid or do not evaluate; it holds the faults of all of them.
        SettingsError: the command line restricts a range that no recipe has.
    """
    recipes, unread = _read_recipes(paths)
    _check_ranges(recipes, settings)
    faults = {(str(fault), fault.hint): fault for fault in unread}
    warned: dict[str, RecipeError] = {}
    directories = pipeline_directories(settings)
    jobs: list[PlannedBuild] = []
    every = {arch.apk: make_options(arch, settings, options) for arch in arches}
    sets = [(arch,) for arch in arches] if each else [tuple(arches)]
    meant = [(recipe, [arch for some in sets for arch in find_arches(recipe, some, every)]) for recipe in recipes]
    for arch in arches:
        for recipe in [recipe for recipe, its in meant if arch in its]:
            job, problems = _plan(recipe, arch, library_for(recipe.path, directories), every[arch.apk])
            warned |= {str(warning): warning for warning in problems.warnings}
            faults |= {(str(fault), fault.hint): fault for fault in problems.found}
            jobs += [job] if job else []
    for arch in arches if together else ():
        faults |= {(str(fault), fault.hint): fault for fault in _find_clashes(jobs, arch)}
    if faults:
        raise FaultsError(sorted(faults.values(), key=fault_position))
    for warning in warned.values():
        warn(warning)
    return tuple(recipes), tuple(jobs)


def plan_build(summary: Summary, settings: Settings, options: Sequence[str] = ()) -> PlannedBuild:
    """Plan a recipe for the architecture of its summary.

    Raises:
        RecipeError: it has changed since it was summarised, and has faults.
    """
    file, arch = Path(summary.file), parse_arch(summary.environment_arch)
    library = library_for(file, pipeline_directories(settings))
    build, problems = _plan(load_recipe(file), arch, library, make_options(arch, settings, options))
    if build is None:
        raise FaultsError(problems.found)
    return build


def _plan(recipe: Recipe, arch: Arch, library: Library, options: PlanOptions) -> tuple[PlannedBuild | None, Faults]:
    """Return the job of a recipe, unless it has faults."""
    from melpy.engine.model import PlannedBuild  # noqa: PLC0415  # 20 ms that a query does without

    found, problems = examine_recipe(recipe, arch, library, options)
    if problems.found:
        return None, problems
    used = [library.find(name) for name in found.pipelines]
    files = tuple(definition.file for definition in used if not definition.built_in)
    return PlannedBuild(recipe, make_plan(found), arch, files, found, found.left_out), problems


def _find_clashes(jobs: Iterable[PlannedBuild], arch: Arch) -> Iterator[RecipeError]:
    """Yield a fault for each package that two recipes make."""
    makers: dict[str, PlannedBuild] = {}
    for job in jobs:
        for package in job.plan.packages if job.arch == arch or job.plan.noarch else ():
            other = makers.setdefault(package.name, job)
            if other is not job:
                first, second = (_made_at(maker, package.name) for maker in (other, job))
                hint = f"the other is {first}; rename one of them, or build one recipe alone"
                yield RecipeError(f"package {package.name!r} is made by two recipes", where=second, hint=hint)


def _made_at(job: PlannedBuild, package: str) -> Place:
    found = job.evaluation
    assert found
    for plan, spot in zip(found.packages, found.spots, strict=True):
        if plan.name == package:
            return spot.document.place((*spot.path, "name"))
    return Place(str(job.recipe.path))


def pipeline_directories(settings: Settings) -> tuple[Path, ...]:
    """Return the directories of pipelines that the settings name.

    Raises:
        SettingsError: one is not there.
    """
    for directory in settings.pipeline_dirs:
        if not directory.is_dir():
            raise SettingsError("no such directory", where=str(directory), hint="pipeline-dirs names directories")
    return settings.pipeline_dirs


def make_options(arch: Arch, settings: Settings, enabled: Sequence[str] = ()) -> PlanOptions:
    """Return what plans for an architecture are told beside their recipes.

    Raises:
        SettingsError: an env-file or the vars-file is not there, or says something that cannot be used.
    """
    env_files = (Path(str(path).replace("{arch}", arch.apk)) for path in settings.env_files)
    return PlanOptions(
        enabled=tuple(enabled),
        packages=settings.packages,
        environment=load_env_files(env_files),
        variables=load_vars_file(settings.vars_file) if settings.vars_file else {},
        ranges=settings.ranges,
    )


def _check_ranges(recipes: Iterable[Recipe], settings: Settings) -> None:
    """Check what the command line restricts; settings are for many recipes, of which these may be some."""
    if settings.is_flag("ranges"):
        tables = [(table.name, table.items) for recipe in recipes for table in recipe.model.data]
        check_ranges(settings.ranges, tables, settings.where("ranges"))


def make_tree_spec(
    settings: Settings, arches: tuple[Arch, ...], enabled: Sequence[str] = (), output_dir: Path | None = None
) -> TreeSpec:
    """Return how whole directories of recipes are evaluated."""
    from melpy.engine.tree import TreeSpec  # noqa: PLC0415  # multiprocessing takes 20 ms

    options = {arch.apk: make_options(arch, settings, enabled) for arch in arches}
    return TreeSpec(arches, options, pipeline_directories(settings), output_dir)
