"""The nouns of ordering."""

from __future__ import annotations

from typing import NamedTuple

from melpy.codec import Noun


class Ask(NamedTuple):
    """A constraint that a recipe has on a package.

    Attributes:
        name: the package or provide.
        text: the constraint.
        package: package of the recipe whose runtime dependency it is; empty for the build environment.
    """

    name: str
    text: str
    package: str = ""

    @property
    def reason(self) -> str:
        """What asks: `environment libshout-dev`, `runtime of shout libshout`."""
        return f"{f'runtime of {self.package}' if self.package else 'environment'} {self.text}"


class Needs(NamedTuple):
    """What a recipe asks for, and what it makes.

    Attributes:
        recipe: its name.
        makes: its packages, and what they provide.
        asks: its constraints on packages.
    """

    recipe: str
    makes: tuple[str, ...]
    asks: tuple[Ask, ...]


class Edge(Noun, frozen=True):
    """One recipe needs another, and why.

    Attributes:
        dependent: recipe that is built later.
        dependency: recipe that is built first.
        ask: what asks for it.
    """

    dependent: str
    dependency: str
    ask: Ask

    @property
    def reason(self) -> str:
        """What asks for it: `environment libshout-dev`."""
        return self.ask.reason
