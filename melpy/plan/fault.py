"""Evaluation that goes on after a fault, so that all faults of a recipe are reported together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from melpy.apk.atom import parse_atom
from melpy.bound import shorten
from melpy.errors import FaultsError, PackageFormatError, RecipeError, TemplateError, WrongTypeError, fault_position
from melpy.plan.condition import evaluate_condition
from melpy.plan.template import render, render_loosely

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from melpy.plan.template import Spot

_MOST_TEXT = 64_000_000
"""How many characters all texts of a recipe may become; the largest real recipe has half a million."""

_LONG_VARIABLE = 10_000  # characters, beyond which a script may have to set it
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Faults:
    """What is wrong with a recipe, as it is found; what is faulty keeps its text.

    Attributes:
        warnings: what is probably not meant, but does no harm.
    """

    def __init__(self) -> None:
        self._found: list[RecipeError] = []
        self._rendered = 0
        self.warnings: list[RecipeError] = []

    @property
    def found(self) -> tuple[RecipeError, ...]:
        """The faults in the order of the files; one place is complained of once."""
        return _in_order(self._found)

    def __len__(self) -> int:
        """Return how many were found."""
        return len(self._found)

    def add(self, error: RecipeError) -> None:
        """Note a fault, or all that a FaultsError holds."""
        self._found += error.faults if isinstance(error, FaultsError) else [error]

    def render(self, text: str, variables: Mapping[str, str], spot: Spot, *path: str | int) -> str:
        """Render a text; see `melpy.plan.template.render`."""
        if "${{" not in text:
            return text
        if self._rendered > _MOST_TEXT:
            return text
        try:
            rendered = render(text, variables, spot, *path)
        except RecipeError as error:
            self.add(error)
            return text
        self._rendered += len(rendered)
        if self._rendered > _MOST_TEXT:
            place = spot.below(*path)
            self.add(place.at(text, 0, TemplateError, "the recipe expands to too much text", "values multiply"))
        return rendered

    def render_environment(self, values: Mapping[str, str], variables: Mapping[str, str], spot: Spot) -> dict[str, str]:
        """Render environment variables, and check that steps can be given them.

        What is too long for the kernel to give it to programs is set by the script itself, as `build` has it, so that
        its name must be one that shells know.
        """
        found = {}
        for key, value in values.items():
            found[key] = self.render(value, variables, spot, "environment", key)
            if len(found[key]) > _LONG_VARIABLE and not _SHELL_NAME.fullmatch(key):
                problem = f"{shorten(key)} is no name of a shell variable, and its value is too long for any other"
                place = spot.below("environment", key)
                self.add(place.at_key(RecipeError, problem, "name it with letters, digits and underscores"))
        return found

    def render_all(
        self, texts: Sequence[str], variables: Mapping[str, str], spot: Spot, *path: str | int
    ) -> tuple[str, ...]:
        """Render the texts of a list."""
        return tuple(
            [
                self.render(text, variables, spot, *path, index) if "${{" in text else text
                for index, text in enumerate(texts)
            ]
        )

    def render_constraints(
        self, texts: Sequence[str], variables: Mapping[str, str], spot: Spot, *path: str | int
    ) -> tuple[str, ...]:
        """Render a list of packages, or of constraints on them."""
        rendered = self.render_all(texts, variables, spot, *path)
        for _, fault in _find_problems(rendered, spot.below(*path)):
            self.add(fault)
        return rendered

    def render_provides(
        self, texts: Sequence[str], variables: Mapping[str, str], spot: Spot, *path: str | int
    ) -> tuple[str, ...]:
        """Render what a package provides. A version that is none is warned about only: apk passes it over."""
        rendered = self.render_all(texts, variables, spot, *path)
        for text, fault in _find_problems(rendered, spot.below(*path)):
            name, _, version = text.partition("=")
            harmless = version and "=" not in version and not version.split()[1:] and not _find_problem(name)
            self.warnings.append(fault) if harmless else self.add(fault)
        return rendered

    def render_prose(self, text: str, variables: Mapping[str, str], spot: Spot, *path: str | int) -> str:
        """Render a text for people: what it cannot mean stays as it is, with a warning, as in melange."""
        if "${{" not in text:
            return text
        rendered = render_loosely(text, variables)
        if "${{" in rendered:
            try:
                render(text, variables, spot, *path)
            except RecipeError as error:
                self.warnings += error.faults if isinstance(error, FaultsError) else [error]
        return rendered

    def holds(self, condition: str, variables: Mapping[str, str], spot: Spot, *path: str | int) -> bool:
        """Tell whether a condition holds; a faulty one does, so that what it guards is looked at too."""
        try:
            return not condition or evaluate_condition(condition, variables, spot.below(*path))
        except RecipeError as error:
            self.add(error)
            return True

    def raise_found(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            FaultsError: all of it, in the order of the files, one place complained of once.
        """
        if self._found:
            raise FaultsError(self.found)


def _find_problems(texts: Sequence[str], spot: Spot) -> Iterator[tuple[str, RecipeError]]:
    """Yield each text of a list that is no constraint on a package, and what is wrong with it."""
    for index, text in enumerate(texts):
        problem = None if "${{" in text else _find_problem(text)
        if problem:
            yield text, spot.below(index).at("", 0, WrongTypeError, problem.message, problem.hint)


def _find_problem(text: str) -> PackageFormatError | None:
    """Return why a text is no constraint on a package."""
    try:
        parse_atom(text)
    except PackageFormatError as error:
        return error
    return None


def _in_order(faults: Iterable[RecipeError]) -> tuple[RecipeError, ...]:
    unique = {(str(fault), fault.hint): fault for fault in faults}
    return tuple(sorted(unique.values(), key=fault_position))
