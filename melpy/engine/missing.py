"""What an environment lacks, explained: the line that asks for it, and the recipe beside it that would make it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_provide
from melpy.engine.environment import make_environment
from melpy.engine.locate import locate_needs
from melpy.engine.side import resolve_sides
from melpy.environment.resolution import resolve_environment
from melpy.errors import MelpyError, Place, UnresolvableError, point_at
from melpy.plan.library import library_for
from melpy.plan.planner import examine_recipe, is_for
from melpy.recipe.load import load_recipe
from melpy.solve.refusal import render_instead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.engine.model import PlannedBuild
    from melpy.environment.model import VisiblePackage
    from melpy.environment.repository import Repositories
    from melpy.plan.model import PlanEnvironment
    from melpy.solve.model import Solution

_MOST_EVALUATED = 40  # recipes that are looked into for an error
_MOST_READ = 10_000
_WORDS = re.compile(r"[A-Za-z0-9]{3,}")
_COMMON = {"lib", "dev", "doc", "cmd", "bin", "usr", "pkg", "static", "utils", "libs", "data", "python", "perl"}
"""Words of names that say nothing about who makes them."""


def resolve_build(
    build: PlannedBuild,
    environment: PlanEnvironment,
    repositories: Repositories,
    *,
    own: tuple[VisiblePackage, ...] | None = None,
    origins: Mapping[str, tuple[VisiblePackage, ...]] | None = None,
) -> Solution:
    """Return the exact packages of an environment of a recipe.

    Args:
        build: the recipe.
        environment: the environment: of its build, or of one of its tests.
        repositories: where packages come from.
        own: packages built here that it may have; None for those of the repository's index.
        origins: of these, the packages of recipes that come from one side each; see `melpy.engine.side`.

    Raises:
        UnresolvableError: there is no such set of packages; the error names the lines that ask for what is missing.
        RepositoryError: a repository cannot be read.
    """
    where = f"{'' if build.evaluation else f'{build.plan.recipe}: '}environment for {build.plan.arch}"
    try:
        asked = make_environment(environment, build.arch)
        if own is not None and origins:
            return resolve_sides(asked, repositories, own, origins, where).solution
        return resolve_environment(asked, repositories, own=own, where=where).solution
    except UnresolvableError as error:
        explain_missing(error, build)
        raise


def explain_missing(error: UnresolvableError, build: PlannedBuild) -> None:
    """Let an error about an environment name the lines that ask for what is missing, and the recipes that make it."""
    makers = find_makers(error.missing, build.recipe.path, build.arch)
    if makers:
        hints = []
        for file in dict.fromkeys(makers.values()):
            made = [name for name, maker in makers.items() if maker == file]
            what = "it" if len(error.missing) == 1 else " and ".join(made)
            hints.append(f"{file} makes {what}: build it too, in the same run or before")
        error.hint = render_instead([*hints, *(text for name, text in error.instead.items() if name not in makers)])
    if build.evaluation and not locate_needs(error, build.evaluation):
        point_at(error, Place(str(build.recipe.path)))  # the settings ask for it


def find_makers(names: Sequence[str], recipe: Path, arch: Arch) -> dict[str, Path]:
    """Return the recipes in a recipe's directory that make packages of these names, or say that they provide them."""
    makers: dict[str, Path] = {}
    for file in _candidates(names, recipe) if names else ():
        for name in _made_by(file, arch):
            if name in names:
                makers.setdefault(name, file)
        if len(makers) == len(set(names)):
            break
    return makers


def _candidates(names: Sequence[str], recipe: Path) -> list[Path]:
    """Return recipes that mention a word of a name: those first whose file is called like it."""
    words = {word for name in names for word in _WORDS.findall(name.lower())} - _COMMON
    words |= {name.rpartition(":")[2].lower() for name in names}
    found = []
    for number, file in enumerate(sorted(recipe.parent.glob("*.yaml"))):
        if number == _MOST_READ:
            break
        try:
            text = file.read_bytes().lower() if file.is_file() and file != recipe else b""
        except OSError:
            continue
        if any(word.encode() in text for word in words):
            stem = file.stem.lower()
            alike = sum((word in stem) + (word == stem) for word in words)
            found.append((-alike, abs(len(file.stem) - len(names[0])), file))
    return [file for *_, file in sorted(found)[:_MOST_EVALUATED]]


def _made_by(file: Path, arch: Arch) -> Iterator[str]:
    try:
        recipe = load_recipe(file)
        if not is_for(recipe, arch):
            return
        found, _ = examine_recipe(recipe, arch, library_for(file, ()))
    except MelpyError:
        return
    for package in found.packages:
        yield package.name
        yield from _names(package.provides)


def _names(provides: Iterable[str]) -> Iterator[str]:
    yield from (parse_provide(text)[0] for text in provides)
