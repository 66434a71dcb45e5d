"""Recipes and settings become plans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from melpy.errors import FaultsError, RecipeError, RecipeNotFoundError, SettingsError
from melpy.plan.envfile import load_env_files, load_vars_file
from melpy.plan.library import library_for
from melpy.plan.planner import PlanOptions, examine_recipe, is_for, make_plan
from melpy.plan.range import check_ranges, parse_ranges
from melpy.recipe.load import find_recipes, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from melpy.arch import Arch
    from melpy.config.model import Settings
    from melpy.engine.model import Job
    from melpy.engine.tree import TreeSpec
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
    raise RecipeNotFoundError(message, hint=f"melpy {command} RECIPE.yaml")


def load_recipes(paths: Sequence[Path]) -> tuple[Recipe, ...]:
    """Read recipes; the faults of all of them are reported together.

    Raises:
        RecipeNotFoundError: one is not there.
        FaultsError: some are not valid.
    """
    recipes: list[Recipe] = []
    faults: list[RecipeError] = []
    for path in find_recipes(paths):
        try:
            recipes.append(load_recipe(path))
        except FaultsError as error:
            faults += error.faults
        except RecipeError as error:
            faults.append(error)
    if faults:
        raise FaultsError(faults)
    return tuple(recipes)


def make_jobs(
    recipes: Iterable[Recipe],
    arches: Iterable[Arch],
    settings: Settings,
    warn: Callable[[RecipeError], None],
    options: Sequence[str] = (),
) -> tuple[Job, ...]:
    """Plan recipes for architectures; recipes that are not meant for one are left out there.

    Args:
        recipes: the recipes.
        arches: the architectures.
        settings: what the user says beside them.
        warn: is told, once, of each thing that is probably not meant.
        options: build options that are on.

    Raises:
        FaultsError: some do not evaluate.
    """
    from melpy.engine.model import Job  # noqa: PLC0415  # 20 ms that a query does without

    jobs: list[Job] = []
    faults: dict[tuple[str, str | None], RecipeError] = {}
    warned: dict[str, RecipeError] = {}
    directories = pipeline_directories(settings)
    for arch in arches:
        plan_options = make_options(arch, settings, options)
        for recipe in recipes:
            if not is_for(recipe, arch, plan_options):
                continue
            library = library_for(recipe.path, directories)
            found, problems = examine_recipe(recipe, arch, library, plan_options)
            warned |= {str(warning): warning for warning in problems.warnings}
            faults |= {(str(fault), fault.hint): fault for fault in problems.found}
            if not problems.found:
                used = [library.find(name) for name in found.pipelines]
                files = [definition.file for definition in used if not definition.built_in]
                jobs.append(Job(recipe, make_plan(found), arch, tuple(files), found.ranges, found.left_out))
    if faults:
        raise FaultsError(faults.values())
    _check_ranges(recipes, settings)
    for warning in warned.values():
        warn(warning)
    return tuple(jobs)


def pipeline_directories(settings: Settings) -> tuple[Path, ...]:
    """Return the directories of pipelines that the settings name.

    Raises:
        SettingsError: one is not there.
    """
    found = tuple(Path(item) for item in settings.items("pipeline-dirs"))
    for directory in found:
        if not directory.is_dir():
            raise SettingsError("no such directory", where=str(directory), hint="pipeline-dirs names directories")
    return found


def make_options(arch: Arch, settings: Settings, enabled: Sequence[str] = ()) -> PlanOptions:
    """Return what plans for an architecture are told beside their recipes.

    Raises:
        SettingsError: an env-file or the vars-file is not there, or says something that cannot be used; or a range is
            not restricted in the right form.
    """
    vars_file = settings.path("vars-file")
    return PlanOptions(
        enabled=tuple(enabled),
        packages=settings.items("packages"),
        environment=load_env_files(Path(item.replace("{arch}", arch.apk)) for item in settings.items("env-files")),
        variables=load_vars_file(vars_file) if vars_file else {},
        ranges=_read_ranges(settings),
    )


def _read_ranges(settings: Settings) -> dict[str, frozenset[str]]:
    origin = settings.values["ranges"].origin
    where = "--range" if origin == "flag" else f"ranges, of {origin.partition(' ')[2] or origin}"
    return parse_ranges(settings.items("ranges"), where)


def _check_ranges(recipes: Iterable[Recipe], settings: Settings) -> None:
    """Check what the command line restricts; settings are for many recipes, of which these may be some."""
    if settings.values["ranges"].origin == "flag":
        tables = [(table.name, table.items) for recipe in recipes for table in recipe.model.data]
        check_ranges(_read_ranges(settings), tables, "--range")


def make_tree_spec(
    settings: Settings, arches: tuple[Arch, ...], enabled: Sequence[str] = (), output_dir: Path | None = None
) -> TreeSpec:
    """Return how whole directories of recipes are evaluated."""
    from melpy.engine.tree import TreeSpec  # noqa: PLC0415  # multiprocessing takes 20 ms

    options = {arch.apk: make_options(arch, settings, enabled) for arch in arches}
    return TreeSpec(arches, options, pipeline_directories(settings), output_dir)
