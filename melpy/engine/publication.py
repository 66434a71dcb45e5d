"""When the packages of a run are published, and which of them are not.

Held back are builds that would take a name away from packages which could not be built again, and those that have other
content than a repository which clients use already has under the same version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.index import read_entries
from melpy.arch import NOARCH
from melpy.codec import replace
from melpy.engine.consistency import find_held
from melpy.engine.publish import publish
from melpy.engine.published import Made
from melpy.engine.schedule import JobOutcome
from melpy.environment.model import EnvironmentSpec
from melpy.environment.repository import Repositories
from melpy.errors import MelpyError
from melpy.repo.repository import load_index
from melpy.rootfs.model import RootSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from melpy.engine.model import BuildResult, JobReport, PublishSpec, RunSpec
    from melpy.engine.publish import Staged
    from melpy.engine.published import Memo
    from melpy.graph.model import BuildId


class Publisher:
    """Publishes the packages of a run.

    Attributes:
        staged: builds whose packages the repository has not, or had not before this run, in order of settling.
        problem: why packages could not be published; None where they could.
    """

    def __init__(
        self,
        spec: PublishSpec,
        options: RunSpec,
        repositories: Repositories,
        memo: Memo,
        monitor: events.Monitor,
    ) -> None:
        self._spec, self._options, self._memo, self._monitor = spec, options, memo, monitor
        used = replace(repositories.spec, locations=options.published, supply=None)
        self._used = Repositories(used) if options.published else None
        self._results: dict[str, BuildResult] = {}
        self._held: dict[str, str] = {}
        self.staged: dict[BuildId, Staged] = {}
        self.problem: MelpyError | None = None

    def take(self, build: BuildId, staged: Staged) -> None:
        """Take the packages of a build that is settled; publish them if each build is published by itself."""
        self.staged[build] = staged
        if self._options.publish == "each":
            self._publish([staged])

    def finish(self, reports: Mapping[BuildId, JobReport]) -> tuple[JobReport, ...]:
        """Publish what is left; return the reports with what was published and what was held back.

        What goes wrong is kept as the problem.
        """
        if self._options.publish == "consistent":
            try:
                self._held |= self._find_broken(reports)
            except MelpyError as error:
                self.problem = self.problem or error
        left = [staged for staged in self.staged.values() if staged.job not in self._results]
        # By name, whichever ended first: messages are the same each time.
        self._publish(sorted(left, key=lambda staged: staged.job))
        return tuple(map(self._complete, reports.values()))

    def _publish(self, builds: Sequence[Staged]) -> None:
        try:
            for staged in builds:
                reason = self._find_other(staged)
                if reason:
                    self._held[staged.job] = reason
            found = [staged for staged in builds if staged.job not in self._held]
            self._results |= {result.job: result for result in publish(found, self._spec, self._monitor)}
            self._memo.add_made(
                {
                    package.entry.checksum: Made(staged.key, package.content)
                    for staged in found
                    for package in staged.packages
                }
            )
        except MelpyError as error:
            text = "  what was built is in the result cache: the same command publishes it once this is mended"
            error.details = (*error.details, text)
            if self.problem is None:
                self.problem = error
            else:
                self._monitor.emit(events.Warning("", str(error), error.hint or ""))

    def _complete(self, report: JobReport) -> JobReport:
        if report.job in self._held:
            return replace(report, outcome=JobOutcome.HELD_BACK.value, because=self._held[report.job])
        if report.job not in self._results:
            return report
        result = self._results[report.job]
        return replace(report, stages=result.stages or report.stages, packages=result.packages)

    def _find_other(self, staged: Staged) -> str:
        """Return that a repository which clients use has a version with other content; empty where none has.

        Raises:
            RepositoryError: such a repository cannot be read.
        """
        if self._used is None:
            return ""
        for arch in staged.arches:
            snapshot = self._used.take_snapshot(EnvironmentSpec(RootSpec(arch)), ())
            universe = self._used.find_universe(snapshot)
            for entry in (package.entry for package in staged.packages):
                name, version = entry.info.name, entry.info.version
                for offer, _ in universe.providers(name):
                    if (offer.name, offer.version) == (name, version) and offer.entry.checksum != entry.checksum:
                        text = f"{offer.repository} has {entry.info.full_name} with other content"
                        return f"{text}: raise the epoch in the recipe"
        return ""

    def _find_broken(self, reports: Mapping[BuildId, JobReport]) -> dict[str, str]:
        """Return the builds that would break packages which could not be built again.

        Raises:
            MelpyError: the index cannot be read.
        """
        held: dict[str, str] = {}
        todo = {arch for staged in self.staged.values() for arch in staged.arches}
        while todo:
            arch = min(todo)
            todo.remove(arch)
            failed = {
                build.recipe
                for build, report in reports.items()
                if build.arch in {arch, NOARCH} and not JobOutcome(report.outcome).good
            }
            builds = {
                staged.job: [package.entry for package in staged.packages]
                for staged in self.staged.values()
                if arch in staged.arches
            }
            if failed or not held.keys().isdisjoint(builds):
                known = read_entries(load_index(self._spec.root, arch, keyring=None))
                found = find_held(known, builds, failed, held)
                # What is held back for the sake of one architecture is held back for all that it is built for.
                new = [staged for staged in self.staged.values() if staged.job in found.keys() - held.keys()]
                todo.update(other for staged in new for other in staged.arches if other != arch)
                held |= found
        return held
