"""The order of builds, as a run asks for it; and that of a single recipe, which needs no graph.

A build of one recipe reads no other one and imports none of the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from melpy.graph.naming import list_asks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.graph.model import BuildId, Cycle, Summary


class Graph(Protocol):
    """Builds and what they need of one another; see `melpy.graph.buildgraph.BuildGraph`."""

    @property
    def summaries(self) -> Mapping[BuildId, Summary]:
        """The summaries, by build."""

    @property
    def order(self) -> tuple[BuildId, ...]:
        """The builds, each after those that it needs."""

    @property
    def cycles(self) -> tuple[Cycle, ...]:
        """The cycles, and where they are cut."""

    def needs(self, build: BuildId) -> tuple[BuildId, ...]:
        """Return the builds that come before a build since its environment has their packages."""

    def ancestors(self, build: BuildId) -> frozenset[BuildId]:
        """Return all builds that come before a build."""

    def settled(self, build: BuildId) -> frozenset[BuildId]:
        """Return the builds whose packages a build may see once its cycle is built."""

    def settled_mask(self, build: BuildId) -> int:
        """Return the builds of `settled` as bits, numbered alike in all graphs of the same summaries."""

    def lacking(self, build: BuildId) -> tuple[str, ...]:
        """Return the constraints of a build's environment that no build before it and nothing outside answers."""

    def from_outside(self, build: BuildId) -> tuple[str, ...]:
        """Return the names in a build's environment that no build before it makes."""


class LoneGraph:
    """The builds of one recipe, one for each architecture: none needs another."""

    def __init__(self, summaries: Sequence[Summary]) -> None:
        self.summaries: Mapping[BuildId, Summary] = {summary.id: summary for summary in summaries}
        self.order = tuple(self.summaries)
        self.cycles: tuple[Cycle, ...] = ()

    def needs(self, build: BuildId) -> tuple[BuildId, ...]:  # noqa: ARG002  # see `Graph`
        """See `Graph`."""
        return ()

    def ancestors(self, build: BuildId) -> frozenset[BuildId]:  # noqa: ARG002  # see `Graph`
        """See `Graph`."""
        return frozenset()

    def settled(self, build: BuildId) -> frozenset[BuildId]:  # noqa: ARG002  # see `Graph`
        """See `Graph`."""
        return frozenset()

    def settled_mask(self, build: BuildId) -> int:  # noqa: ARG002  # see `Graph`
        """See `Graph`."""
        return 0

    def lacking(self, build: BuildId) -> tuple[str, ...]:  # noqa: ARG002  # see `Graph`
        """See `Graph`; the preparation of the build says what its environment lacks."""
        return ()

    def from_outside(self, build: BuildId) -> tuple[str, ...]:
        """See `Graph`."""
        return tuple(sorted({ask.name for ask in list_asks(self.summaries[build].world)}))
