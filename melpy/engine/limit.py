"""What a build may use, and what a recipe asks for.

Limits are the user's, from flags and settings; only a `timeout` may be the recipe's. A recipe's `resources` are what it
asks of whoever places builds on machines: one that asks for a processor gets no less than there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.bound import BoundError
from melpy.codec import Noun, replace
from melpy.errors import SettingsError
from melpy.quantity import DURATION_HINT, NUMBER_HINT, SIZE_HINT, parse_count, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.recipe.model import Recipe
    from melpy.sandbox.model import Limits


class Requests(Noun, frozen=True):
    """What a recipe asks for; 0 where it does not say.

    Attributes:
        processors: how many, or a part of one.
        memory: bytes.
        disk: bytes.
    """

    processors: float = 0.0
    memory: int = 0
    disk: int = 0


def find_limits(recipe: Recipe, stated: Limits) -> Limits:
    """Return the limits of a build: those stated, and the recipe's own timeout where none is.

    Raises:
        SettingsError: the recipe's timeout is no duration.
    """
    if stated.seconds is not None:
        return stated
    timeout = _parse(parse_duration, recipe.model.package.timeout, f"{recipe.path}: timeout", DURATION_HINT)
    return replace(stated, seconds=timeout)


def find_requests(recipe: Recipe) -> Requests:
    """Return what a recipe asks for.

    Raises:
        SettingsError: one of its resources is no quantity.
    """
    stated, where = recipe.model.package.resources, f"{recipe.path}: resources"
    return Requests(
        processors=_parse(parse_count, stated.cpu, f"{where}.cpu", NUMBER_HINT),
        memory=int(_parse(parse_size, stated.memory, f"{where}.memory", SIZE_HINT)),
        disk=int(_parse(parse_size, stated.disk, f"{where}.disk", SIZE_HINT)),
    )


def _parse(parse: Callable[[str], float], text: str, where: str, hint: str) -> float:
    try:
        return parse(text) if text else 0
    except BoundError as error:
        raise SettingsError(str(error), where=where, hint=hint) from None
