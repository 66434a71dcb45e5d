"""Errors of a build point at the line of the recipe that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.errors import (
    DigestMismatchError,
    EmulationError,
    MelpyError,
    RecipeError,
    SandboxError,
    ToolMissingError,
    UnresolvableError,
    point_at,
)
from melpy.plan.git import GitSource
from melpy.plan.position import find_needs, find_source, find_step
from melpy.plan.template import Spot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.engine.model import PlannedBuild
    from melpy.plan.model import Evaluation, Source
    from melpy.plan.position import Position

_OF_THE_MACHINE = (SandboxError, EmulationError, ToolMissingError)
"""Errors that no line of a recipe is to blame for."""
_DIGESTS = ("expected-sha256", "expected-sha512", "expected-commit")
_NAMES = ("uri", "repository")
_SHOWN = 5  # needs that are pointed at; the message names all


def locate_step(error: MelpyError, found: Evaluation | None) -> None:
    """Let an error of a step point at the step, and at its line where the shell told it."""
    if found and error.step.number and not isinstance(error, _OF_THE_MACHINE):
        _point(error, find_step(found, error.step.number, error.step.line))


def locate_failure(error: MelpyError, build: PlannedBuild) -> None:
    """Let the error of a build, which may come from a process without the recipe, point at the place in the recipe."""
    locate_step(error, build.evaluation)
    if error.keys and isinstance(error, RecipeError):
        located = Spot(build.recipe.document, error.keys).at("", 0, type(error), error.message, error.hint)
        error.where, error.details, error.keys = located.where, (*located.details, *error.details), ()


def locate_source(error: MelpyError, source: Source | GitSource, found: Evaluation | None) -> None:
    """Let an error about a source point at its digest, or at its address."""
    if found and not isinstance(error, _OF_THE_MACHINE):
        wrong = isinstance(error, DigestMismatchError)
        if isinstance(source, GitSource):
            wrong = wrong or "commit" in error.message
        _point(error, find_source(found, source, _DIGESTS + _NAMES if wrong else _NAMES))


def locate_needs(error: UnresolvableError, found: Evaluation) -> bool:
    """Let an error about an environment point at the constraints that are not met; tell whether the recipe has any."""
    chains = [find_needs(found, text) for text in dict.fromkeys(error.wanted)][:_SHOWN]
    chains = [chain for chain in dict.fromkeys(chains) if chain]
    for chain in reversed(chains[1:]):
        error.details = (*_excerpts(chain), *error.details)
    if chains:
        _point(error, chains[0])
    return bool(chains)


def _point(error: MelpyError, chain: Sequence[Position]) -> None:
    if chain:
        point_at(error, chain[0].place, (*chain[0].excerpt, *_excerpts(chain[1:])))


def _excerpts(chain: Sequence[Position]) -> list[str]:
    return [line for position in chain for line in (f"  at {position.place}:", *position.excerpt)]
