"""A run over the builds of a graph: in order, several at the same time, and on past failures.

What was built goes into the result cache at once, so that a run that was killed has lost only what was going on.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from melpy import events
from melpy.engine.builder import Bench, Builder, EndedBuild
from melpy.engine.difference import find_differences
from melpy.engine.freshness import Freshness, Known
from melpy.engine.known import Finder
from melpy.engine.node import MOST_ROUNDS, Gate, Node, Nodes
from melpy.engine.post import Post
from melpy.engine.prospect import Prospect
from melpy.engine.publish import Staged
from melpy.engine.schedule import JobOutcome, Schedule
from melpy.engine.view import View
from melpy.errors import CancelledError, UnsettledError
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from melpy.engine.known import Work
    from melpy.engine.ledger import Ledger
    from melpy.engine.means import Means
    from melpy.engine.stage import BuiltPackages
    from melpy.graph.lone import Graph
    from melpy.graph.model import BuildId

_INTERRUPTED = "interrupted: running builds are finished, and no other one begins; interrupt again to end them at once"
_MOST_SHOWN = 5  # builds whose files are compared for an error


class _State:
    """The state of a build over all rounds."""

    def __init__(self) -> None:
        self.staged: Staged | None = None
        self.outcome = JobOutcome.UP_TO_DATE
        self.stages: dict[str, float] = {}
        self.seconds = 0.0
        self.log: Path | None = None
        self.key = ""
        self.stamped = False


class Run:
    """One run; `execute` makes it."""

    def __init__(
        self,
        work: Work,
        means: Means,
        bench: Bench,
        ledger: Ledger,
        monitor: events.Monitor,
        made: Mapping[BuildId, BuiltPackages],
        on_staged: Callable[[BuildId, Staged], None],
    ) -> None:
        """Prepare a run.

        Args:
            work: the builds.
            means: what the run works with.
            bench: where jobs are executed.
            ledger: receives the reports.
            monitor: is told what happens.
            made: packages of builds that an earlier part of the run has made.
            on_staged: is given the packages of each build that is settled, where the repository has them not yet.
        """
        self._work, self._means, self._ledger, self._monitor = work, means, ledger, monitor
        self._fresh = Freshness(means, work.graph.summaries)
        self._nodes = Nodes(work.graph, work.chosen, rounds=means.options.stale == "inputs")
        self._view = View(work.graph, self._nodes, work.chosen, self._fresh, means.stage)
        self._view.take(made)
        self._on_staged = on_staged
        self._finder = finder = Finder(work, means, self._fresh, self._view)
        self._schedule: Schedule[Node | Gate] = Schedule(self._count_allowed())
        self._interrupted = self._is_told = False
        self._post = Post()
        self._prospect = Prospect(work, means.journal, means.options.workers)
        self._builder = Builder(work, means, finder, self._fresh, bench, self._prospect, self._post, self._end, monitor)
        self._states: dict[BuildId, _State] = {build: _State() for build in work.chosen}

    @property
    def made(self) -> Mapping[BuildId, BuiltPackages]:
        """The packages of the builds that are settled."""
        return self._view.made

    def find_stamped(self) -> Mapping[BuildId, str]:
        """Return the keys of the builds that ended well, where a stamp is enough to know them by."""
        return {
            build: state.key
            for build, report in self._ledger.reports.items()
            if (state := self._states.get(build)) and state.key and state.stamped and JobOutcome(report.outcome).good
        }

    def find_next_stamps(
        self, graph: Graph, chosen: Collection[BuildId], made: Mapping[BuildId, BuiltPackages]
    ) -> dict[BuildId, tuple[str, str]]:
        """Return the builds that the next run finds by a stamp, with stamp and key.

        What was built says what it needs, so that the next run has another graph. A key still counts where a build
        sees the packages of the same builds in it. The stamp is empty where the journal has it already.

        Args:
            graph: the graph with the facts of all packages that were built.
            chosen: all builds of the run, of which this may be a part.
            made: the packages of all builds.
        """
        if self._means.options.stale != "inputs":
            return {}
        nodes = Nodes(graph, chosen, rounds=True)
        view = View(graph, nodes, chosen, self._fresh, self._means.stage)
        view.take(made)
        found: dict[BuildId, tuple[str, str]] = {}
        for build, key in self.find_stamped().items():
            if not self._view.sees_same(build, view):
                continue
            after = view.digest_rest(build)
            # A build that is forced leaves no stamp, and the rounds of a cycle those of what its members saw in them.
            has_left = self._states[build].outcome is not JobOutcome.BUILT and nodes.find_cycle(build) is None
            if has_left and self._view.digest_rest(build) == after:
                found[build] = "", key
            else:
                stamp = self._fresh.find_stamp(graph.summaries[build], after)
                found |= {build: (stamp, key)} if stamp else {}
        return found

    def execute(self) -> None:
        """Settle all builds, as far as failures let them.

        Raises:
            KeyboardInterrupt: the user has interrupted it; what went on is cancelled.
        """
        self._schedule.extend(self._nodes.list_first())
        try:
            while True:
                self._advance()
                self._tell_interrupt()
                if not self._builder.count:
                    break
                self._prospect.tell(self._list_left, self._builder.running, self._monitor)
                for act in self._post.take():
                    act()
        except BaseException:
            self._interrupted = True
            self._builder.cancel()
            raise
        finally:
            self._post.close()
            self.settle_unbegun(self._work.chosen)

    def drain(self) -> None:
        """Let nothing more start; what goes on is finished. A handler of a signal may call it, whatever goes on."""
        self._interrupted = True
        self._schedule.stop()

    def _tell_interrupt(self) -> None:
        """Tell, once, that the run was interrupted: a handler of a signal cannot, where a monitor is being told."""
        if self._interrupted and not self._is_told:
            self._is_told = True
            self._monitor.emit(events.Note("", _INTERRUPTED))

    @property
    def is_exhausted(self) -> bool:
        """Whether there were as many failures as a run goes on past."""
        return self._schedule.is_exhausted

    def settle_unbegun(self, builds: Iterable[BuildId]) -> None:
        """Settle those of some builds that were never begun."""
        outcome, because = JobOutcome.INTERRUPTED, ""
        if self.is_exhausted and not self._interrupted:
            failures = self._means.options.max_failures
            because = f"the run stopped after {failures} failure{'s' if failures > 1 else ''}, as --max-failures says"
            outcome = JobOutcome.STOPPED
        for build in builds:
            self._ledger.settle(build, outcome, because)

    def _count_allowed(self) -> int:
        """Return after how many failures of this part of the run nothing more starts; 0 for any number."""
        most = self._means.options.max_failures
        failed = sum(report.outcome == JobOutcome.FAILED for report in self._ledger.reports.values())
        return max(1, most - failed) if most else 0

    def _list_left(self) -> dict[BuildId, tuple[BuildId, ...]]:
        """Return the builds that are not settled, with those of them that each needs."""
        left = [build for build in self._work.chosen if build not in self._ledger.reports]
        inside = frozenset(left)
        return {build: tuple(need for need in self._work.graph.needs(build) if need in inside) for build in left}

    def _advance(self) -> None:
        """Begin what can begin."""
        while not self._builder.is_full and (ready := self._list_ready()):
            for node in ready:
                self._schedule.start(node)
                if isinstance(node, Gate):
                    self._pass(node)
                    continue
                known = self._builder.begin(node)
                if known:
                    self._settle_known(node, known)
                elif not self._prospect.is_open:
                    spans = self._prospect.open(self._list_left())
                    self._schedule.estimate({Node(build): seconds for build, seconds in spans.items()})
                    break
        if self._schedule.stopped:
            self._builder.drop()
        self._builder.submit()

    def _list_ready(self) -> list[Node | Gate]:
        """Return nodes to begin: the most urgent one, or all that are ready while none has had to be built.

        What is up to date needs no order, and takes less time together.
        """
        if self._prospect.is_open:
            return list(islice(self._schedule.ready(), 1))
        ready = list(self._schedule.ready())
        self._finder.ask([node for node in ready if isinstance(node, Node)])
        return ready

    def _end(self, ended: EndedBuild) -> None:
        node, failure = ended.node, ended.failure
        if isinstance(failure, CancelledError):
            self._schedule.settle(node, JobOutcome.INTERRUPTED)
        elif failure:
            self._ledger.settle(node.build, JobOutcome.FAILED, failure=failure, clock=ended.clock)
            self._skip(node)
        elif ended.known:
            self._settle_known(node, ended.known, stamped=False)
        else:
            assert ended.packages
            state = self._states[node.build]
            state.staged, state.outcome, state.log = ended.staged, JobOutcome.BUILT, ended.clock.log
            state.stages = dict(ended.clock.seconds)
            state.seconds += ended.clock.elapsed
            state.key, state.stamped = ended.key, ended.stamped
            self._prospect.end(node.build, ended.clock.elapsed)
            self._settle(node, JobOutcome.BUILT, ended.packages)

    def _settle_known(self, node: Node, known: Known, *, stamped: bool = True) -> None:
        state, summary = self._states[node.build], self._work.graph.summaries[node.build]
        state.staged = None
        if known.stored:
            stored = known.stored
            log = self._means.spec.out_dir / "logs" / summary.arch / f"{summary.name}-{summary.version}.log"
            self._means.store.show_log(stored, log)
            state.log = log
            made = stored.result.packages
            state.staged = Staged(
                summary.job, summary.arch, summary.arches, stored.epoch, stored.root, made, log, key=known.key
            )
        state.key, state.stamped = known.key, stamped
        if state.outcome is not JobOutcome.BUILT:
            state.outcome = known.outcome
        self._settle(node, known.outcome, known.packages)

    def _settle(self, node: Node, outcome: JobOutcome, packages: BuiltPackages) -> None:
        self._view.add(node, packages)
        self._schedule.settle(node, outcome)
        if self._nodes.find_cycle(node.build) is None:
            self._report(node.build)

    def _report(self, build: BuildId) -> None:
        state = self._states[build]
        self._ledger.settle(
            build,
            state.outcome,
            log=state.log,
            stages=state.stages.items(),
            seconds=state.seconds,
            packages=state.staged.packages if state.staged else (),
        )
        if state.staged:
            self._on_staged(build, state.staged)

    def _pass(self, gate: Gate) -> None:
        """Let a cycle on: into its first round, into another one, or to rest."""
        if gate.kind == "round" and (gate.round == 1 or self._view.find_changed(gate.cycle, gate.round)):
            if gate.round == MOST_ROUNDS:
                failure = self._explain_unrest(gate)
                for build in self._nodes.cycles[gate.cycle].members:
                    self._ledger.settle(build, JobOutcome.FAILED, failure=failure)
                self._skip(gate)
                return
            self._schedule.extend(self._nodes.list_round(gate.cycle, gate.round + 1))
        self._schedule.settle(gate, JobOutcome.UP_TO_DATE)
        if gate.kind == "enter":
            if not self._means.options.force:
                self._skip_rounds(gate.cycle)
        elif gate.kind == "rest":
            for build in self._nodes.cycles[gate.cycle].members:
                self._report(build)

    def _skip_rounds(self, cycle: int) -> None:
        """Settle a whole cycle whose members are all up to date as they see one another."""
        found = self._finder.find_resting(self._nodes, cycle)
        if found is None:
            return
        for build, known in found.items():
            state = self._states[build]
            state.key, state.stamped = known.key, True
            self._view.add(Node(build), known.packages)
            self._schedule.settle(Node(build), JobOutcome.UP_TO_DATE)
            self._report(build)
        self._schedule.settle(Gate(cycle, "round", 1), JobOutcome.UP_TO_DATE)

    def _explain_unrest(self, gate: Gate) -> UnsettledError:
        """Return the error for a cycle whose packages differ in every round, with the files that differ."""
        changed = self._view.find_changed(gate.cycle, gate.round)
        details = []
        for build in changed[:_MOST_SHOWN]:
            *_, old, new = self._view.find_rounds(build)
            for before, after in zip(old.packages, new.packages, strict=False):
                name = f"{build.arch}/{after.name}-{after.version}.apk"
                files = find_differences(old.root / f"{build.arch}/{before.name}-{before.version}.apk", new.root / name)
                details += [f"  {after.name}: {shorten_list(files)}"] if files else []
        return UnsettledError(
            f"still differs after {MOST_ROUNDS - 1} builds against one another:"
            f" {shorten_list([self._ledger.name(build) for build in changed])}",
            details=details,
            hint="find out what of these files depends on the hour, on chance, or on what was built before",
        )

    def _skip(self, failed: Node | Gate) -> None:
        """Settle what failed, and report all that is skipped because of it."""
        for skip in self._schedule.settle(failed, JobOutcome.FAILED):
            because = self._ledger.name(self._find_build(skip.because))
            if isinstance(skip.node, Node):
                self._ledger.settle(skip.node.build, JobOutcome.SKIPPED, because)
            elif skip.node.kind == "rest":
                for build in self._nodes.cycles[skip.node.cycle].members:
                    self._ledger.settle(build, JobOutcome.SKIPPED, because)

    def _find_build(self, node: Node | Gate) -> BuildId:
        return node.build if isinstance(node, Node) else self._nodes.cycles[node.cycle].members[0]
