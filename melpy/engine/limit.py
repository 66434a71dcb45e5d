"""What a build may use: the command line's word over the recipe's `timeout` and `resources`.

Quantities are written as Kubernetes and melange write them: `8Gi`, `500M`, plain bytes; processors as a number, `0.5`
being one. Durations are Go's: `1h30m`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy.bound import LARGEST_NUMBER, BoundError, shorten
from melpy.errors import SettingsError
from melpy.sandbox.model import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from melpy.recipe.model import Recipe

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGTP]i?)?B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_LEAST_MEMORY = 16 << 20
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class LimitTexts:
    """Limits as somebody wrote them; empty texts say nothing.

    Attributes:
        timeout: how long a build's steps may take: `1h30m`, or seconds.
        cpu: number of processors.
        memory: bytes of memory: `8Gi`.
        disk: bytes of disk, likewise.
        processes: number of processes.
    """

    timeout: str = ""
    cpu: str = ""
    memory: str = ""
    disk: str = ""
    processes: str = ""


def find_limits(recipe: Recipe, stated: LimitTexts) -> Limits:
    """Return the limits of a build.

    Args:
        recipe: the recipe, whose `timeout` and `resources` count where nothing else is stated.
        stated: what the command line or the settings say.

    Raises:
        SettingsError: one of them is no quantity.
    """
    package = recipe.model.package
    resources, where = package.resources, str(recipe.path)
    return Limits(
        seconds=_read(stated.timeout, package.timeout, parse_duration, "timeout", where),
        processors=math.ceil(_read(stated.cpu, resources.cpu, parse_number, "cpu", where)),
        memory=int(_read(stated.memory, resources.memory, _parse_memory, "memory", where)),
        disk=int(_read(stated.disk, resources.disk, parse_quantity, "disk", where)),
        processes=int(_read(stated.processes, "", parse_number, "processes", where)),
    )


def _read(stated: str, recipe: str, parse: Callable[[str], float], name: str, where: str) -> float:
    try:
        value = parse(stated or recipe) if stated or recipe else 0
        if value > LARGEST_NUMBER:
            raise BoundError(f"is too large: {shorten(stated or recipe)}")
    except ValueError as error:
        where = f"--{name}" if stated else where
        raise SettingsError(str(error), where=where if stated else f"{where}: {name}") from None
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
