"""Which of several packages is taken for a name that all of them have or provide.

Source: apk-tools 3, its order of providers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from melpy.apk.version import compare_versions

_NUMBER = re.compile("-?[0-9]{1,18}")


class Provider(NamedTuple):
    """A package that has or provides a name.

    Attributes:
        package: name of the package.
        version: full version of the package.
        answer: version that it has the name at; empty where it provides the name without one.
        priority: its provider priority.
    """

    package: str
    version: str
    answer: str
    priority: int = 0


def parse_priority(text: str) -> int:
    """Return a provider priority; 0 where the text is no number, which apk passes over."""
    return int(text) if _NUMBER.fullmatch(text) else 0


def compare_providers(one: Provider, two: Provider) -> int:
    """Return how two providers of a name compare: the greater is taken."""
    order = compare_versions(one.answer, two.answer) if one.answer and two.answer else 0
    if not order and one.package == two.package:
        order = compare_versions(one.version, two.version)
    return order or one.priority - two.priority
