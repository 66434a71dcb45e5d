"""Cycles are cut at a small set of builds whose packages come from outside until they are built.

A set of builds that all circles pass through is a feedback vertex set; a smallest one takes too long to find. Builds
are taken one after the other: the one whose packages a random walk from need to need is at most often (Lemaic,
"Markov-chain-based heuristics for the feedback vertex set problem for digraphs", 2008). Then those are left out again
that the others make needless, so that no member can be left out.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from melpy.digest import identity
from melpy.graph.model import GENERATED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from melpy.graph.network import Network

Cuts = MutableMapping[str, tuple[str, ...]]
"""Cuts that were found before, as names of builds, by digest of all that they follow from."""

_FORM = "melpy-cut-1"  # another one whenever the same cycle is cut elsewhere
_STEPS = 12  # of the walk; of Wolfi's largest cycle 8 lead to a cut of 35, 12 and 30 to one of 34


class InfeasibleError(Exception):
    """A cycle cannot be cut.

    Attributes:
        group: nodes that need one another whatever is taken from outside.
        missing: of recipes, the names that others ask of it and that outside lacks.
    """

    def __init__(self, group: frozenset[int], missing: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.group = group
        self.missing = missing


class Cutter:
    """Cuts the cycles of a network.

    Args:
        network: the builds and packages.
        offered: tells whether outside offers a name for the architecture of a node.
        pinned: builds that are taken where they are in a cycle, whatever else would do.
        known: cuts that were found before, which those found now are added to.
    """

    def __init__(
        self, network: Network, offered: Callable[[str, int], bool], pinned: Collection[int], known: Cuts | None = None
    ) -> None:
        self._network = network
        self._offered = offered
        self._pinned = pinned
        self._known = {} if known is None else known
        self._taken: set[str] = set()  # recipes: the same ones are taken for each architecture where that will do

    def find_cut(self, group: frozenset[int]) -> tuple[int, ...]:
        """Return the builds that a cycle is cut at.

        Args:
            group: nodes that need one another.

        Raises:
            InfeasibleError: no set of builds whose packages outside offers will do.
        """
        network = self._network
        missing = self.find_missing(group)
        members = network.find_members(group)
        pinned = [build for build in members if build in self._pinned]
        if bad := [build for build in pinned if missing[build]]:
            raise self._refuse(bad, missing, group)
        able = [build for build in members if not missing[build]]
        key = self._digest(group, pinned, able)
        if key in self._known:
            names = set(self._known[key])
            cut = [build for build in members if str(network.builds[build]) in names]
        else:
            cut = self._find_cut(group, pinned, missing, able)
            self._known[key] = tuple(str(network.builds[build]) for build in cut)
        self._taken.update(network.builds[build].recipe for build in cut)
        return tuple(sorted(cut))

    def _digest(self, group: frozenset[int], pinned: Sequence[int], able: Sequence[int]) -> str:
        """Return the digest of all that a cut follows from."""
        network = self._network
        places = {node: place for place, node in enumerate(sorted(group))}
        needs = [[places[needed] for needed in network.needs[node] if needed in places] for node in places]
        members = [str(network.builds[build]) for build in network.find_members(group)]
        taken = sorted(self._taken.intersection(network.builds[build].recipe for build in able))
        return identity([_FORM, needs, members, [places[one] for one in pinned], [places[one] for one in able], taken])

    def _find_cut(
        self, group: frozenset[int], pinned: Sequence[int], missing: dict[int, tuple[str, ...]], able: Sequence[int]
    ) -> list[int]:
        network = self._network
        # If all that can be taken will not do, nothing does.
        rest = network.find_groups(group.difference(*(network.packages[build] for build in able)))
        if rest:
            stuck = network.find_members(rest[0])
            raise self._refuse([build for build in stuck if missing[build]], missing, rest[0])
        return self._choose(group, pinned, frozenset(able))

    def find_missing(self, group: frozenset[int]) -> dict[int, tuple[str, ...]]:
        """Return, of each build of a cycle, the names that others of the cycle ask of it and that outside lacks."""
        network = self._network
        # A recipe for every architecture is asked for names in the environments of each.
        asked: dict[int, dict[str, set[int]]] = {build: {} for build in network.find_members(group)}
        for node in sorted(group):
            for ask, answer in network.answers[node]:
                maker = network.makers[answer - network.size] if answer is not None and answer in group else None
                # A generated name is of a package as it was built here: outside has its own, with what these need.
                is_own = ask.origin or (ask.package and ask.name.startswith(GENERATED))
                if maker in asked and answer is not None and not is_own:
                    asked[maker].setdefault(ask.name, set()).add(answer)
        return {
            build: tuple(name for name, nodes in names.items() if not all(self._offered(name, one) for one in nodes))
            for build, names in asked.items()
        }

    def _choose(self, group: frozenset[int], pinned: Sequence[int], able: frozenset[int]) -> list[int]:
        network, packages = self._network, self._network.packages
        known = [build for build in sorted(able) if network.builds[build].recipe in self._taken]
        cut = [*pinned, *(build for build in known if build not in pinned)]
        left = set(group).difference(*(packages[build] for build in cut))
        todo = network.find_groups(left)
        while todo:
            part = todo.pop()
            build = self._find_busiest(part, able)
            cut.append(build)
            left.difference_update(packages[build])
            todo += network.find_groups(part.difference(packages[build]))
        for build in [build for build in reversed(cut) if build not in pinned]:
            more = left.union(group.intersection(packages[build]))
            if not network.find_groups(more):
                cut.remove(build)
                left = more
        return cut

    def _find_busiest(self, group: frozenset[int], able: frozenset[int]) -> int:
        """Return the build whose packages a walk from need to need in a group is at most often."""
        size, makers = self._network.size, self._network.makers
        needs = {node: [needed for needed in self._network.needs[node] if needed in group] for node in sorted(group)}
        here = dict.fromkeys(needs, 1.0)
        for _ in range(_STEPS):
            there = dict.fromkeys(needs, 0.0)
            for node, often in here.items():
                share = often / len(needs[node])
                for needed in needs[node]:
                    there[needed] += share
            here = there
        visits: dict[int, float] = {}
        for node, often in here.items():
            if node >= size and (maker := makers[node - size]) in able:
                visits[maker] = visits.get(maker, 0.0) + often
        return max(sorted(visits), key=lambda build: round(visits[build], 9))

    def _refuse(
        self, builds: Sequence[int], missing: dict[int, tuple[str, ...]], group: frozenset[int]
    ) -> InfeasibleError:
        return InfeasibleError(group, {self._network.builds[build].recipe: missing[build] for build in builds})
