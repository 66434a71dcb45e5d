"""Where an evaluated recipe says what a build does: its steps, its sources, and what it needs.

Asked for when something failed. Plans hold no positions, since these decide nothing about a package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from melpy.plan import git
from melpy.plan.model import Source
from melpy.plan.template import render_loosely

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from melpy.errors import Place
    from melpy.plan.git import GitSource
    from melpy.plan.model import Evaluation
    from melpy.plan.step import CompiledStep
    from melpy.plan.template import Spot


class Position(NamedTuple):
    """A place in a file, and the line there."""

    place: Place
    excerpt: tuple[str, ...]


def find_step(found: Evaluation, number: int, line: int = 0) -> tuple[Position, ...]:
    """Return where a step stands: in the recipe, then in each pipeline that led to it.

    Args:
        found: the recipe.
        number: the step's number, counted from 1 over all packages.
        line: line of its script, counted from 1; 0 for the step as a whole.
    """
    steps = [step for step in _steps(found) if step.is_run]
    if not 0 < number <= len(steps):
        return ()
    step = steps[number - 1]
    *callers, last = step.spots
    positions = [_key(spot, "uses") for spot in callers]
    if step.native:
        return (*positions, _key(last, "uses"))
    return (*positions, _script_line(step, last, line))


def _script_line(step: CompiledStep, spot: Spot, line: int) -> Position:
    lines = step.text.split("\n")
    # Where a value has lines of its own, nobody can tell any more which line of the file it was.
    if not 0 < line <= len(lines) or step.text.count("\n") != step.runs.count("\n"):
        return _key(spot, "runs")
    while line > 1 and lines[line - 2].rstrip().endswith("\\"):
        line -= 1  # a command is where it begins, whichever of its lines the shell names
    offset = sum(len(before) + 1 for before in lines[: line - 1])
    offset += len(lines[line - 1]) - len(lines[line - 1].lstrip())
    document, path = spot.document, (*spot.path, "runs")
    place = document.place(path, offset=offset, text=step.text)
    return Position(place, document.excerpt(place))


def find_source(found: Evaluation, source: Source | GitSource, keys: Sequence[str]) -> tuple[Position, ...]:
    """Return where a source is named: in the recipe, then in each pipeline that led to the step.

    Args:
        found: the recipe.
        source: the source.
        keys: the inputs that it is about; the first that is there is pointed at.
    """
    for step in _steps(found):
        if step.native and _source(step) == source:
            *callers, last = step.spots
            return (*(_key(spot, "uses") for spot in callers), _input(last, keys))
    return ()


def _source(step: CompiledStep) -> Source | GitSource:
    return git.GitSource.from_inputs(step.inputs) if step.native == git.NATIVE else Source.from_inputs(step.inputs)


def _input(spot: Spot, keys: Sequence[str]) -> Position:
    place = next((key for key in keys if _at(spot, "with", key)), None)
    return _key(spot, "with", place) if place else _key(spot, "uses")


def find_needs(found: Evaluation, constraint: str) -> tuple[Position, ...]:
    """Return where a constraint of the build environment stands; nothing where the settings add it."""
    root = found.spots[0]._replace(path=())
    lists: list[tuple[str, ...]] = [("environment", "contents", "packages")]
    lists += [("options", name, "environment", "contents", "packages", "add") for name in found.recipe.model.options]
    for path in lists:
        position = _entry(root.below(*path), constraint, found.variables)
        if position:
            return (position,)
    for step in _steps(found):
        if any(_is_same(name, constraint) for name in step.packages):
            *callers, last = step.spots
            entry = _entry(last.below("needs", "packages"), constraint, found.variables)
            return (*(_key(spot, "uses") for spot in callers), entry or _key(last, "uses"))
    return ()


def find_runtime(found: Evaluation, package: str, constraint: str) -> tuple[Position, ...]:
    """Return where a runtime dependency of a package stands."""
    for plan, spot, scope in zip(found.packages, found.spots, found.scopes, strict=True):
        if plan.name == package:
            entry = _entry(spot.below("dependencies", "runtime"), constraint, scope)
            return (entry,) if entry else ()
    return ()


def _entry(spot: Spot, text: str, variables: Mapping[str, str]) -> Position | None:
    """Return where an entry of a list stands that evaluates to a text."""
    entries = _at(spot)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, str) and _is_same(render_loosely(entry, variables) if "${{" in entry else entry, text):
            place = spot.document.place((*spot.path, index))
            return Position(place, spot.document.excerpt(place))
    return None


def _is_same(first: str, second: str) -> bool:
    """Tell whether two constraints are the same but for blanks: `a >= 1` is `a>=1`."""
    return "".join(first.split()) == "".join(second.split())


def _key(spot: Spot, *path: str) -> Position:
    whole = (*spot.path, *path)
    place = spot.document.place(whole if _at(spot, *path) else spot.path, key=True)
    return Position(place, spot.document.excerpt(place))


def _at(spot: Spot, *path: str) -> object:
    """Return a value of a document; None where there is none."""
    value = spot.document.data
    for part in (*spot.path, *path):
        try:
            value = value[part]  # type: ignore[index]  # whatever YAML holds
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _steps(found: Evaluation) -> Iterator[CompiledStep]:
    for group in found.steps:
        for top in group:
            yield from top.walk()
