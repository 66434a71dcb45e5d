"""What a build may use, and what a recipe asks for.

Limits are the user's, from flags and settings; only a `timeout` may be the recipe's. A recipe's `resources` are what it
asks of whoever places builds on machines: one that asks for a processor gets no less than there is. Quantities are
written as Kubernetes and melange write them: `8Gi`, `500M`, plain bytes; processors as a number, `0.5` being one.
Durations are Go's: `1h30m`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from melpy.bound import LARGEST_NUMBER, BoundError, shorten
from melpy.codec import Noun, replace
from melpy.errors import SettingsError
from melpy.sandbox.model import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from melpy.recipe.model import Recipe

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGTP]i?)?B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_LEAST_MEMORY = 16 << 20
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


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


def parse_limits(stated: Mapping[str, tuple[str, str]]) -> Limits:
    """Return the limits that flags and settings state.

    Args:
        stated: text and where it stands, by what is limited: the keys of `LIMITS`; an empty text says nothing.

    Raises:
        SettingsError: one of them is no quantity.
    """
    values = {name: _parse(parse, *stated.get(name, ("", ""))) for name, parse in LIMITS.items()}
    return Limits(
        seconds=values["timeout"] if stated.get("timeout", ("", ""))[0] else None,
        processors=math.ceil(values["cpu"]),
        memory=int(values["memory"]),
        disk=int(values["disk"]),
        processes=int(values["processes"]),
    )


def find_limits(recipe: Recipe, stated: Limits) -> Limits:
    """Return the limits of a build: those stated, and the recipe's own timeout where none is.

    Raises:
        SettingsError: the recipe's timeout is no duration.
    """
    if stated.seconds is not None:
        return stated
    return replace(stated, seconds=_parse(parse_duration, recipe.model.package.timeout, f"{recipe.path}: timeout"))


def find_requests(recipe: Recipe) -> Requests:
    """Return what a recipe asks for.

    Raises:
        SettingsError: one of its resources is no quantity.
    """
    stated, where = recipe.model.package.resources, f"{recipe.path}: resources"
    return Requests(
        processors=_parse(parse_number, stated.cpu, f"{where}.cpu"),
        memory=int(_parse(parse_quantity, stated.memory, f"{where}.memory")),
        disk=int(_parse(parse_quantity, stated.disk, f"{where}.disk")),
    )


def _parse(parse: Callable[[str], float], text: str, where: str) -> float:
    try:
        value = parse(text) if text else 0
        if value > LARGEST_NUMBER:
            raise BoundError(f"is too large: {shorten(text)}")
    except ValueError as error:
        raise SettingsError(str(error), where=where) from None
    return value


def parse_number(text: str) -> float:
    """Return a number that is not negative.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f"not a number: {text!r}")
    return float(text)


def parse_quantity(text: str) -> float:
    """Return the bytes of a quantity such as `8Gi`, `500M` or `1048576`.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a quantity such as 8Gi or 500M: {text!r}")
    unit = match[2] or ""
    return float(match[1]) * float((1024 if unit.endswith("i") else 1000) ** _POWERS[unit[:1]])


def _parse_memory(text: str) -> float:
    memory = parse_quantity(text)
    if 0 < memory < _LEAST_MEMORY:
        raise ValueError(f"less memory than any program needs: {text!r}; 8Gi is eight gibibytes")
    return memory


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `1h30m` or `90s`; a number alone is seconds.

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration such as 1h30m or 90s: {text!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


LIMITS = {
    "timeout": parse_duration,
    "cpu": parse_number,
    "memory": _parse_memory,
    "disk": parse_quantity,
    "processes": parse_number,
}
"""The settings that limit a build, and how each is read."""
