"""Summaries of evaluated recipes: what ordering, selection and scheduling need to know of a build."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from melpy.apk.provider import parse_priority
from melpy.arch import NOARCH
from melpy.codec import replace
from melpy.digest import identity
from melpy.engine.inputs import render_unpinned
from melpy.engine.limit import find_requests
from melpy.graph.model import PackageSummary, Summary
from melpy.plan.form import render_key_form
from melpy.plan.git import GitSource
from melpy.plan.model import Source
from melpy.plan.planner import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.plan.library import Library
    from melpy.plan.model import Evaluation


def make_summary(found: Evaluation, library: Library | None, arches: Iterable[Arch]) -> Summary:
    """Return the summary of an evaluated recipe.

    Args:
        found: the evaluated recipe.
        library: the pipelines that it was evaluated with; without it, packages and environment are all that the summary
            has, and the recipe may have faults.
        arches: the architectures of the run; those whose indexes have the packages of a recipe for every architecture.

    Raises:
        SettingsError: one of the recipe's resources is no quantity.
    """
    recipe, variables = found.recipe, found.variables
    version = f"{variables['package.version']}-r{recipe.model.package.epoch}"
    packages = tuple(
        PackageSummary(package.name, package.provides, package.runtime, parse_priority(package.provider_priority))
        for package in found.packages
    )
    everywhere = (found.arch, *(arch.apk for arch in arches if arch.apk != found.arch)) if found.noarch else ()
    summary = Summary(
        file=str(recipe.path),
        name=found.packages[0].name,
        version=version,
        arch=NOARCH if found.noarch else found.arch,
        packages=packages,
        world=found.environment.packages,
        noarch=everywhere,
    )
    if library is None:
        return summary
    plan = make_plan(found, compiled=False)
    requests = find_requests(recipe)
    used = [library.find(name) for name in found.pipelines]
    return replace(
        summary,
        form=identity(render_key_form(plan)),
        directory=find_directory(recipe.path),
        pipelines=tuple(str(definition.file) for definition in used if not definition.built_in),
        sources=tuple(source.uri if isinstance(source, Source) else source.location for source in plan.sources),
        unpinned=tuple(
            render_unpinned(source) for source in plan.sources if isinstance(source, GitSource) and not source.commit
        ),
        cpu=float(requests.processors),  # as it comes back from JSON
        memory=requests.memory,
        locations=found.environment.repositories,
    )


def find_directory(file: Path) -> str:
    """Return the directory of a recipe's own files, `NAME/` next to `NAME.yaml`; nothing where there is none."""
    directory = f"{file.parent}/{file.stem}"
    return directory if os.path.isdir(directory) else ""  # noqa: PTH112  # asked for thousands, a third of the time
