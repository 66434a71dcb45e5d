"""Settings, taken apart into what builds are given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melpy.apk.signature import load_signer
from melpy.engine.history import read_epoch
from melpy.engine.model import BuildContext, Job, Supply
from melpy.engine.tree import TreeSpec
from melpy.errors import FaultsError, RecipeError, SettingsError
from melpy.files import check_writable
from melpy.plan.envfile import load_env_files, load_vars_file
from melpy.plan.library import library_for
from melpy.plan.planner import PlanOptions, is_for, plan_recipe
from melpy.recipe.load import find_recipes, load_recipe
from melpy.repo.repository import index_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy import events
    from melpy.arch import Arch
    from melpy.bootstrap.model import SeedSpec
    from melpy.config.model import Settings
    from melpy.recipe.model import Recipe


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
    recipes: Iterable[Recipe], arches: Iterable[Arch], settings: Settings, options: Sequence[str] = ()
) -> tuple[Job, ...]:
    """Plan recipes for architectures; recipes that are not meant for one are left out there.

    Raises:
        FaultsError: some do not evaluate.
    """
    jobs: list[Job] = []
    faults: dict[tuple[str, str | None], RecipeError] = {}
    directories = pipeline_directories(settings)
    for arch in arches:
        plan_options = make_options(arch, settings, options)
        for recipe in recipes:
            if not is_for(recipe, arch):
                continue
            library = library_for(recipe.path, directories)
            try:
                plan = plan_recipe(recipe, arch, library, plan_options)
            except FaultsError as error:
                faults |= {(str(fault), fault.hint): fault for fault in error.faults}
            else:
                files = [library.find(name).file for name in plan.pipelines if not library.find(name).built_in]
                jobs.append(Job(recipe, plan, arch, tuple(files)))
    if faults:
        raise FaultsError(faults.values())
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
        SettingsError: an env-file or the vars-file says something that cannot be used.
        RecipeNotFoundError: one of them is not there.
    """
    vars_file = settings.path("vars-file")
    stated = load_vars_file(vars_file) if vars_file else {}
    return PlanOptions(
        enabled=tuple(enabled),
        packages=settings.items("packages"),
        environment=load_env_files(Path(item.replace("{arch}", arch.apk)) for item in settings.items("env-files")),
        variables={name: (value, str(vars_file)) for name, value in stated.items()},
    )


def make_tree_spec(
    settings: Settings, arches: tuple[Arch, ...], enabled: Sequence[str] = (), output_dir: Path | None = None
) -> TreeSpec:
    """Return how whole directories of recipes are evaluated."""
    options = {arch.apk: make_options(arch, settings, enabled) for arch in arches}
    return TreeSpec(arches, options, pipeline_directories(settings), output_dir)


def make_context(settings: Settings, monitor: events.Monitor, **extra: Any) -> BuildContext:  # BuildContext's own
    """Return what builds have in common.

    Raises:
        KeyFileError: the signing key cannot be read.
        SettingsError: SOURCE_DATE_EPOCH is not a number.
    """
    key = settings.path("signing-key")
    out_dir, cache_dir = settings.path("out-dir"), settings.path("cache-dir")
    assert out_dir is not None
    assert cache_dir is not None
    check_writable(cache_dir)
    return BuildContext(
        out_dir=out_dir,
        cache_dir=cache_dir,
        repositories=settings.items("repositories"),
        keyring=settings.items("keyring"),
        signer=load_signer(key) if key else None,
        namespace=settings.text("namespace"),
        mirrors=settings.items("mirrors"),
        supply=make_supply(settings, monitor),
        epoch=read_epoch(os.environ),
        jobs=os.cpu_count() or 1,
        **extra,
    )


def make_seed_spec(settings: Settings) -> SeedSpec | None:
    """Return the seed of the settings, or None when they name no suite."""
    from melpy.bootstrap.model import SeedSpec  # noqa: PLC0415  # only where there is a seed

    suite, cache_dir = settings.text("seed"), settings.path("cache-dir")
    assert cache_dir is not None
    if not suite:
        return None
    return SeedSpec(suite, cache_dir / "seed", settings.text("seed-mirror"), os.cpu_count() or 1)


def make_supply(settings: Settings, monitor: events.Monitor) -> Supply | None:
    """Return the seed as a repository that grows as builds ask for more."""
    spec = make_seed_spec(settings)
    return _SeedSupply(spec, monitor) if spec else None


@dataclass(frozen=True)
class _SeedSupply:
    spec: SeedSpec
    monitor: events.Monitor

    @property
    def root(self) -> Path:
        from melpy.bootstrap.seed import seed_repository  # noqa: PLC0415  # only where there is a seed

        return seed_repository(self.spec).root

    @property
    def public_key(self) -> Path:
        from melpy.bootstrap.seed import seed_repository  # noqa: PLC0415  # likewise

        return seed_repository(self.spec).public_key

    def extend(self, names: Sequence[str], arch: Arch) -> bool:
        from melpy.bootstrap.seed import extend_seed  # noqa: PLC0415  # likewise

        before = _stamp(index_path(self.root, arch.apk))
        extend_seed(self.spec, names, arch, self.monitor)
        return _stamp(index_path(self.root, arch.apk)) != before


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced; None when there is none."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_ino, info.st_mtime_ns
