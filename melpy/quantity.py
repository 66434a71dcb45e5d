"""Quantities as people write them: sizes, durations and numbers. One reader for settings, flags and recipes.

Sizes are written as Kubernetes and melange write them: `8Gi`, `500MB`, plain bytes. Durations are Go's: `1h30m`.
"""

from __future__ import annotations

import re

from melpy.bound import LARGEST_NUMBER, BoundError, shorten

SIZE_HINT = "write a number and kB, MB, GB, TB, or Ki, Mi, Gi, Ti: 500MB or 8Gi"
DURATION_HINT = "write 90s, 15m or 1h30m; a number alone is seconds"
NUMBER_HINT = "write a number such as 2"

_NUMBER = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64})?")
_SIZE = re.compile(r"([0-9]{1,64}(?:\.[0-9]{1,64})?)\s*([kKMGTP]i?)?B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_PART = re.compile(r"([0-9]{1,64}(?:\.[0-9]{1,64})?)(ns|us|µs|ms|s|m|h|d|w)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONG_SECONDS = {"d": 86400.0, "w": 7 * 86400.0}


def parse_count(text: str) -> float:
    """Return a number that is not negative, with or without a fraction.

    Raises:
        BoundError: it is none, or too large.
    """
    if not _NUMBER.fullmatch(text):
        raise BoundError(f"not a number: {shorten(text)}")
    return _bounded(float(text), text)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `8Gi`, `500 MB` or `1048576`.

    Raises:
        BoundError: it is none, or too large.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise BoundError(f"not a size: {shorten(text)}")
    unit = match[2] or ""
    factor = (1024 if unit.endswith("i") else 1000) ** _POWERS[unit[:1]]
    return int(_bounded(int(match[1]) * factor if match[1].isdigit() else float(match[1]) * factor, text))


def parse_duration(text: str, *, go: bool = False) -> float:
    """Return the seconds of a duration such as `1h30m` or `90s`; a number alone is seconds.

    Args:
        text: the duration.
        go: whether it must be one of Go's, which melange reads: no days (`d`), no weeks (`w`), no number alone but 0.

    Raises:
        BoundError: it is none, or too large.
    """
    if _NUMBER.fullmatch(text) and (text == "0" or not go):
        return _bounded(float(text), text)
    seconds = _SECONDS if go else {**_SECONDS, **_LONG_SECONDS}
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text or any(u not in seconds for _, u in parts):
        raise BoundError(f"not a duration: {shorten(text)}")
    return _bounded(sum(float(number) * seconds[unit] for number, unit in parts), text)


def _bounded(value: float, text: str) -> float:
    if value > LARGEST_NUMBER:
        raise BoundError(f"is too large: {shorten(text)}")
    return value
