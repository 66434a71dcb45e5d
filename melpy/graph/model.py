"""The nouns of ordering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edge:
    """One recipe needs another, and why.

    Attributes:
        dependent: recipe that is built later.
        dependency: recipe that is built first.
        reason: what asks for it: `environment libshout-dev`.
    """

    dependent: str
    dependency: str
    reason: str
