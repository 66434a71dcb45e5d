"""Builds that need not be executed: found by stamp, else by the key of the environment that they would be built in."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy import events
from melpy.engine.clock import Clock
from melpy.engine.node import Node
from melpy.engine.prepare import draft_build
from melpy.engine.schedule import JobOutcome
from melpy.engine.view import REST
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from melpy.engine.freshness import Freshness, Known
    from melpy.engine.means import Means
    from melpy.engine.model import PlannedBuild
    from melpy.engine.node import Nodes
    from melpy.engine.prepare import BuildDraft
    from melpy.engine.result import Failure
    from melpy.engine.view import View
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId, Generated


class Work(Struct, frozen=True):
    """The builds of a run.

    Attributes:
        graph: all recipes that are known.
        chosen: the builds to be made, each with whether the user asked for it.
        plan: plans a build.
        remake: makes the graph again, with facts of packages that were built.
        asked: digest of what the user asked for; see `melpy.engine.runstamp`.
    """

    graph: Graph
    chosen: Mapping[BuildId, bool]
    plan: Callable[[BuildId], PlannedBuild]
    remake: Callable[[Generated], Graph]
    asked: str = ""


class Finder:
    """Looks for builds that are up to date, or whose results are in the cache."""

    def __init__(self, work: Work, means: Means, fresh: Freshness, view: View) -> None:
        self._work, self._means, self._fresh, self._view = work, means, fresh, view
        self._asked: dict[Node, str] = {}  # keys, empty where the journal has none

    def is_forced(self, node: Node) -> bool:
        """Tell whether a build is made whether it is known or not."""
        return self._means.options.force and self._work.chosen.get(node.build, False) and node.round == 1

    def find(self, node: Node) -> Known | None:
        """Return a build that is known, as far as that can be told without its environment."""
        summary, rule = self._work.graph.summaries[node.build], self._means.options.stale
        if rule == "version":
            return self._fresh.find_version(summary)
        if rule == "recipe":
            return self._fresh.find_recipe(summary)
        elsewhere = self._fresh.find_elsewhere(summary)
        if elsewhere:
            return elsewhere
        if node not in self._asked:
            self._ask([node])
        key = self._asked.pop(node)
        return self._fresh.find_key(key, summary) if key else None

    def ask(self, nodes: Collection[Node]) -> None:
        """Ask the journal for the keys of builds that `find` is about to be called for: at once, it takes less time."""
        if self._means.options.stale == "inputs":
            with suppress(MelpyError):  # `find` raises it for the build that it is about
                self._ask(nodes)

    def _ask(self, nodes: Iterable[Node]) -> None:
        summaries = self._work.graph.summaries
        stamps = {node: self._fresh.find_stamp(summaries[node.build], self._view.find_digest(node)) for node in nodes}
        keys = self._means.journal.find_keys([stamp for stamp in stamps.values() if stamp])
        self._asked |= {node: keys.get(stamp, "") for node, stamp in stamps.items()}

    def draft(self, node: Node, build: PlannedBuild, clock: Clock) -> BuildDraft:
        """Find the environment of a build.

        Raises:
            MelpyError: it cannot be had.
        """
        visible = self._view.see(node)
        means = self._means
        return draft_build(build, means.spec, means.stage.repositories, visible, clock, means.tips.find_one)

    def find_drafted(self, node: Node, draft: BuildDraft) -> Known | None:
        """Return a build that is known by the key of its environment; the key is remembered."""
        if not draft.settled or self._means.spec.steps.from_step or self._means.options.stale != "inputs":
            return None
        summary = self._work.graph.summaries[node.build]
        self._fresh.renew(summary.environment_arch)
        self._asked.clear()  # stamps follow from what was renewed
        stamp = self._fresh.find_stamp(summary, self._view.find_digest(node))
        if stamp:
            self._means.journal.add_keys({stamp: draft.inputs.key})
        known = self._fresh.find_key(draft.inputs.key, summary)
        if known:  # the journal may be another than that of the build
            stamps = self._fresh.list_recipe_stamps(summary, files=draft.inputs.files)
            self._means.journal.add_keys(dict.fromkeys(stamps, draft.inputs.key))
        return known

    @property
    def skips_failures(self) -> bool:
        """Whether builds that failed before, with the same inputs, are not tried again."""
        options = self._means.options
        one = len(self._work.chosen) == 1 or bool(self._means.spec.steps.from_step)
        return not (options.retry_failed or options.force or one)

    def find_failure(self, draft: BuildDraft) -> Failure | None:
        """Return the failure of an earlier run with the same inputs, where these are not tried again."""
        return self.find_key_failure(draft.inputs.key) if draft.settled and self.skips_failures else None

    def find_key_failure(self, key: str) -> Failure | None:
        """Return the remembered failure of a key."""
        return self._means.journal.find_failures([key]).get(key)

    def recall_key(self, node: Node) -> str:
        """Return the key of a build as far as the journal knows it without its environment; empty where it does not."""
        self._ask([node])
        return self._asked.pop(node)

    def find_resting(self, nodes: Nodes, cycle: int) -> Mapping[BuildId, Known] | None:
        """Return the members of a cycle that are all up to date as they see one another; None unless all are."""
        found: dict[BuildId, Known] = {}
        try:
            members = nodes.cycles[cycle].members
            self.ask([Node(build, REST) for build in members])
            for build in members:
                known = self._find_resting(build)
                if known is None or known.outcome is not JobOutcome.UP_TO_DATE:
                    return None
                found[build] = known
        except MelpyError:
            return None  # the rounds tell what is wrong
        return found

    def _find_resting(self, build: BuildId) -> Known | None:
        node, summary = Node(build, REST), self._work.graph.summaries[build]
        if self._fresh.find_version(summary) is None:
            return None
        known = self.find(node)
        if known:
            return known
        return self.find_drafted(node, self.draft(node, self._work.plan(build), Clock(summary.job, events.Null())))
