"""What a run would do, without doing it: which builds are up to date, which will be made, and which may have to be.

A build whose own recipe is as it was may have to be made only because of others that will be: whether their packages
come out otherwise is not known before they are made. So nothing is resolved for it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from melpy import events
from melpy.build.cause import find_cause
from melpy.codec import Noun
from melpy.engine.clock import Clock
from melpy.engine.conflict import ConflictFinder
from melpy.engine.freshness import Freshness
from melpy.engine.known import Finder
from melpy.engine.node import MOST_ROUNDS, Node, Nodes
from melpy.engine.result import make_error
from melpy.engine.schedule import JobOutcome
from melpy.engine.view import REST, View
from melpy.errors import MelpyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from melpy.engine.freshness import Known
    from melpy.engine.known import Work
    from melpy.engine.means import Means
    from melpy.engine.prepare import BuildDraft
    from melpy.engine.result import Failure
    from melpy.engine.stage import BuiltPackages
    from melpy.graph.model import BuildId, Summary

WILL, MAY, FRESH, CACHED, FAILS, SKIPPED = "will-build", "may-build", "up-to-date", "cached", "fails", "skipped"


class Expectation(Noun, frozen=True):
    """What a run would do with one build.

    Attributes:
        job: name of the job.
        recipe: name of the recipe's main package.
        arch: architecture, in APK's spelling, or `noarch`.
        file: recipe file.
        verdict: `will-build`, `may-build`, `up-to-date`, `cached` (its packages would come from the result cache),
            `fails` (its environment cannot be had, or it failed before with the same inputs) or `skipped` (a build that
            it needs fails).
        because: reason for the verdict.
        needs: jobs of the run that come before it.
        outside: names in its environment that come from outside: no earlier job makes them.
        cycle: number of the cycle that it is built in rounds with, from 1; 0 outside of cycles.
        cut: whether others of the cycle take its packages from outside at first.
        remembered: whether it fails because it failed before, with the same inputs, so that it is not tried again.
        conflicts: what does not go together in its environment, in the first round of its cycle.
        arches: the architectures whose indexes get its packages, that of its environment first.
    """

    job: str
    recipe: str
    arch: str
    file: str
    verdict: str
    because: str
    needs: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    cycle: int = 0
    cut: bool = False
    remembered: bool = False
    conflicts: tuple[str, ...] = ()
    arches: tuple[str, ...] = ()


class Expecter:
    """Tells what a run would do."""

    def __init__(self, work: Work, means: Means) -> None:
        self._work, self._means = work, means
        self._fresh = Freshness(means, work.graph.summaries)
        self._nodes = Nodes(work.graph, work.chosen, rounds=means.options.stale == "inputs")
        self._view = View(work.graph, self._nodes, work.chosen, self._fresh, means.stage)
        self._finder = Finder(work, means, self._fresh, self._view)
        self._verdicts: dict[BuildId, tuple[str, str]] = {}
        self._failed = means.journal.find_failed_jobs() if self._finder.skips_failures else frozenset()
        self._remembered: set[BuildId] = set()
        self._conflicts: dict[BuildId, tuple[str, ...]] = {}
        self._conflict_finder = ConflictFinder(work.graph, means, lambda build: self._draft(Node(build)).solution)

    @property
    def unread(self) -> frozenset[str]:
        """Names of the packages of cycles whose files nobody knows yet, so that conflicts of theirs are not told."""
        return frozenset(self._conflict_finder.unread)

    def expect(self, *, linked: bool) -> Iterator[Expectation]:
        """Yield what would become of each build, in the order in which they would be made.

        Args:
            linked: whether to say what each needs and takes from outside, which takes a tenth of the time.

        Raises:
            RepositoryError: the repository cannot be read.
        """
        graph = self._work.graph
        cuts = {build for cycle in graph.cycles for build in cycle.cut}
        for build in graph.order:
            if build not in self._work.chosen:
                continue
            if build not in self._verdicts:
                self._judge(build)
            verdict, because = self._verdicts[build]
            summary = graph.summaries[build]
            cycle = self._nodes.find_cycle(build)
            yield Expectation(
                summary.job,
                summary.name,
                summary.arch,
                summary.file,
                verdict,
                because,
                tuple(map(self._name, filter(self._work.chosen.__contains__, graph.needs(build)))) if linked else (),
                graph.from_outside(build) if linked else (),
                0 if cycle is None else cycle + 1,
                build in cuts,
                build in self._remembered,
                self._conflicts.get(build, ()),
                summary.arches,
            )

    def _name(self, build: BuildId) -> str:
        return self._work.graph.summaries[build].job

    def draft(self, build: BuildId) -> BuildDraft:
        """Return the inputs of a build as they are now.

        Raises:
            MelpyError: its environment cannot be had.
        """
        return self._draft(Node(build) if self._nodes.find_cycle(build) is None else Node(build, REST))

    def _draft(self, node: Node) -> BuildDraft:
        clock = Clock(self._work.graph.summaries[node.build].job, events.Null())
        return self._finder.draft(node, self._work.plan(node.build), clock)

    def _judge(self, build: BuildId) -> None:
        cycle = self._nodes.find_cycle(build)
        if cycle is None:
            skipped = self._find_skip([build])
            self._verdicts[build] = (SKIPPED, skipped) if skipped else self._find_verdict(build)
            return
        # Its members are up to date together, or are all built in rounds, or none of them is.
        members = self._nodes.cycles[cycle].members
        skipped = self._find_skip(members)
        if skipped:
            self._verdicts |= dict.fromkeys(members, (SKIPPED, skipped))
            return
        outer = {build: self._find_reason(build, frozenset(members)) for build in members}
        found = None if any(outer.values()) or self._is_forced(members) else self._find_resting(cycle)
        failed = None if any(outer.values()) or found else self._find_failed_member(cycle)
        if not found and not failed:
            self._find_conflicts(cycle)
        for member in members:
            if found is not None:
                self._verdicts[member] = FRESH, ""
                self._view.add(Node(member), found[member].packages)
            elif failed:
                because = f"because of {self._work.graph.summaries[failed[0]].job}"
                self._verdicts[member] = (FAILS, failed[1]) if member == failed[0] else (SKIPPED, because)
            else:
                own = self._find_own(member)
                because = own or outer[member] or "it is in a cycle with what changed"
                self._verdicts[member] = (WILL if own else MAY), because

    def _find_skip(self, builds: Iterable[BuildId]) -> str:
        """Return because of which failure builds are skipped; empty where they are not."""
        for build in builds:
            for need in self._work.graph.needs(build):
                verdict, because = self._verdicts.get(need, (FRESH, ""))
                if verdict == SKIPPED:
                    return because
                if verdict == FAILS:
                    return f"because of {self._work.graph.summaries[need].job}"
        return ""

    def _find_failed_member(self, cycle: int) -> tuple[BuildId, str] | None:
        """Return a member of a cycle that failed before, and how; None where its rounds do not get so far by the cache.

        What its rounds need of one another is in the cache, if that is how it came to the failure.
        """
        graph, members = self._work.graph, self._nodes.cycles[cycle].members
        if self._failed.isdisjoint(graph.summaries[build].job for build in members):
            return None
        number = 0
        while number < MOST_ROUNDS and (number < 2 or self._view.find_changed(cycle, number)):
            number += 1
            known, following = self._walk_round(cycle, number)
            for node in following:
                if failure := self._find_failure(node):
                    return node.build, failure
            if len(known) < len(members):
                return None
        return None

    def _walk_round(self, cycle: int, number: int) -> tuple[dict[BuildId, BuiltPackages], list[Node]]:
        """Return the members that the cache has as a round would make them, and those that would come next."""
        graph, inside = self._work.graph, frozenset(self._nodes.cycles[cycle].members)
        known: dict[BuildId, BuiltPackages] = {}
        following = []
        for build in graph.order:
            if build in inside and known.keys() >= inside.intersection(graph.needs(build)):
                node = Node(build, number)
                found = self._finder.find(node)
                if found:
                    self._view.add(node, found.packages)
                    known[build] = found.packages
                else:
                    following.append(node)
        return known, following

    def _find_conflicts(self, cycle: int) -> None:
        """Find what does not go together in the first round of a cycle."""
        members = self._nodes.cycles[cycle].members
        known, _ = self._walk_round(cycle, 1)
        summaries = self._work.graph.summaries
        made = {
            build: known.get(build) or self._fresh.find_origin(summaries[build], summaries[build].environment_arch)
            for build in members
        }
        self._conflicts |= self._conflict_finder.find(members, made)

    def _find_failure(self, node: Node) -> str:
        """Return how a build failed before, with the same inputs, where a run does not try it again; else nothing."""
        summary = self._work.graph.summaries[node.build]
        if summary.job not in self._failed:
            return ""
        key = self._finder.recall_key(node)
        failure = self._finder.find_key_failure(key) if key else None
        if not key:
            with suppress(MelpyError):  # the run tells it
                failure = self._finder.find_failure(self._draft(node))
        if failure is None:
            return ""
        self._remembered.add(node.build)
        return _describe_failure(failure, summary.job)

    def _is_forced(self, members: tuple[BuildId, ...]) -> bool:
        return any(self._finder.is_forced(Node(build)) for build in members)

    def _find_resting(self, cycle: int) -> Mapping[BuildId, Known] | None:
        return self._finder.find_resting(self._nodes, cycle)

    def _find_verdict(self, build: BuildId) -> tuple[str, str]:
        node, summary = Node(build), self._work.graph.summaries[build]
        if self._finder.is_forced(node):
            return WILL, "--force"
        reason = self._find_reason(build, frozenset()) if self._means.options.stale == "inputs" else ""
        own = self._find_own(build)
        known = None if reason else self._finder.find(node)
        failure = "" if reason or known else self._find_failure(node)
        if failure:
            return FAILS, failure
        # What is not there is built, so that nothing is resolved for it; the key tells of what is.
        if known is None and (reason or (own and self._fresh.find_version(summary) is None)):
            return (WILL, own) if own else (MAY, reason)
        try:
            if known is None and self._means.options.stale == "inputs":
                known = self._finder.find_drafted(node, self._draft(node))
        except MelpyError as error:
            return FAILS, str(error)
        if known is None:
            return WILL, own or "its environment or sources changed"
        self._view.add(node, known.packages)
        return (FRESH, "") if known.outcome is JobOutcome.UP_TO_DATE else (CACHED, "the result cache has its packages")

    def _find_reason(self, build: BuildId, inside: frozenset[BuildId]) -> str:
        """Return because of which build, outside of some, the environment of a build may change."""
        for need in self._work.graph.needs(build):
            if need not in inside and self._verdicts.get(need, (FRESH, ""))[0] not in {FRESH, CACHED}:
                return f"because of {self._work.graph.summaries[need].job}"
        return ""

    def _find_own(self, build: BuildId) -> str:
        """Return why a build is made whatever becomes of others; empty where it need not be."""
        summary = self._work.graph.summaries[build]
        known = self._fresh.find_version(summary)
        if known is None:
            return self._find_absence(summary)
        if self._means.options.stale == "version" or self._fresh.find_recipe(summary):
            return ""
        return "its recipe changed, or it was made elsewhere"

    def _find_absence(self, summary: Summary) -> str:
        published = map(self._fresh.find_published, summary.arches)
        older = [package for one in published for package in one.find_origin(summary.name)]
        versions = sorted({package.package.version for package in older} - {summary.version})
        if versions:
            return f"the repository has {', '.join(versions[-3:])}, not {summary.version}"
        return "the repository does not have all its packages" if older else "the repository does not have it"


def _describe_failure(failure: Failure, job: str) -> str:
    """Return in one line how a build failed before."""
    step = make_error(failure).message.removeprefix(f"{job}: ")
    cause = find_cause([line for line in failure.details if line.lstrip().startswith("| ")])
    return f"failed before: {step}{f': {cause}' if cause else ''}"
