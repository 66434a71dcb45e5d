"""Subpackages of a recipe: ranges expanded, conditions decided, names made and checked."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from melpy.errors import RecipeError, WrongTypeError, hint_near
from melpy.recipe.package import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from melpy.plan.fault import Faults
    from melpy.plan.template import Spot
    from melpy.recipe.model import RecipeModel, Subpackage

LONGEST = 100
"""How long names and versions may be: they become file names, which have 255 bytes."""

_MOST = 1_000
"""How many packages a recipe may make; the largest real one makes 110."""

NAME_HINT = "names begin with a letter or digit and go on with letters, digits, + _ . -"


class Expanded(NamedTuple):
    """A subpackage, expanded from its range.

    Attributes:
        model: what the recipe says.
        name: its name.
        variables: what it sees beside the recipe's variables: `range.key` and `range.value`.
        spot: where it is in the recipe.
    """

    model: Subpackage
    name: str
    variables: Mapping[str, str]
    spot: Spot


def expand_subpackages(
    model: RecipeModel, variables: Mapping[str, str], root: Spot, faults: Faults, ranges: Mapping[str, frozenset[str]]
) -> tuple[tuple[Expanded, ...], tuple[str, ...]]:
    """Return the subpackages that are to be made, in the recipe's order, ranges sorted by key, and those left out.

    Args:
        model: what the recipe says.
        variables: the recipe's variables.
        root: where the recipe begins.
        faults: is told what is wrong.
        ranges: keys that a range is restricted to, by its name; names of the subpackages of other keys are returned.
    """
    _check_tables(model, root, faults)
    everything = tuple(islice(_expand(model, variables, root, faults), _MOST + 1))
    found = tuple(item for item in everything if _is_within(item, ranges))
    if len(everything) > _MOST:
        message = "the recipe makes too many packages"
        faults.add(root.below("subpackages").at_key(RecipeError, message, f"{_MOST} are allowed"))
        return (), ()
    _check_names(variables["package.name"], everything, root, faults)
    return found, tuple(item.name for item in everything if not _is_within(item, ranges))


def _is_within(item: Expanded, ranges: Mapping[str, frozenset[str]]) -> bool:
    keys = ranges.get(item.model.range)
    return keys is None or item.variables["range.key"] in keys


def _check_tables(model: RecipeModel, root: Spot, faults: Faults) -> None:
    names: set[str] = set()
    for index, table in enumerate(model.data):
        if table.name in names:
            where = root.below("data", index, "name")
            faults.add(where.at("", 0, RecipeError, f"two tables are called {table.name!r}", None))
        names.add(table.name)


def _expand(model: RecipeModel, variables: Mapping[str, str], root: Spot, faults: Faults) -> Iterator[Expanded]:
    for index, subpackage in enumerate(model.subpackages):
        spot = root.below("subpackages", index)
        for own in _ranges(subpackage, model, variables, root, spot, faults):
            scope = {**variables, **own} if own else variables
            name = faults.render(subpackage.name, scope, spot, "name")
            if faults.holds(subpackage.if_, scope, spot, "if"):
                yield Expanded(subpackage, name, own, spot)


def _ranges(
    subpackage: Subpackage,
    model: RecipeModel,
    variables: Mapping[str, str],
    root: Spot,
    spot: Spot,
    faults: Faults,
) -> Iterator[dict[str, str]]:
    name = subpackage.range
    if not name:
        yield {}
        return
    for number, table in enumerate(model.data):
        if table.name == name:
            where = ("data", number, "items")
            for key in sorted(table.items):
                value = faults.render(table.items[key], variables, root, *where, key)
                yield {"range.key": key, "range.value": value}
            return
    hint = hint_near(name, [table.name for table in model.data], "define it under `data`")
    faults.add(spot.below("range").at(name, 0, RecipeError, f"no data is called {name!r}", hint))


def _check_names(main: str, subpackages: Iterable[Expanded], root: Spot, faults: Faults) -> None:
    _check_name(main, root.below("package", "name"), faults)
    seen = {main}
    for found in subpackages:
        if found.name in seen:
            message = f"two packages of this recipe are called {found.name!r}"
            faults.add(found.spot.below("name").at(found.name, 0, RecipeError, message, None))
        _check_name(found.name, found.spot.below("name"), faults)
        seen.add(found.name)


def _check_name(name: str, spot: Spot, faults: Faults) -> None:
    if "${{" not in name and not (NAME.fullmatch(name) and len(name) <= LONGEST):
        faults.add(spot.at(name, 0, WrongTypeError, f"{name!r} is not a package name", NAME_HINT))
