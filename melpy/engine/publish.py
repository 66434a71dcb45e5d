"""From results to a repository: packages become visible to the builds to come, and in the end they are published.

`stage` takes no key and writes nothing; `publish` signs, and is the only place that the signing key is used at.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.archive import sign_package
from melpy.apk.segment import read_segments
from melpy.bound import open_file
from melpy.codec import replace
from melpy.engine.model import BuildResult, BuiltPackage, Visible
from melpy.errors import MelpyError
from melpy.files import output_error, scratch_directory
from melpy.repo.repository import place_entry, publish_packages, sort_packages
from melpy.repo.signing import LOST_HINT
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Signer
    from melpy.engine.clock import Clock
    from melpy.engine.job import Job
    from melpy.engine.model import PublishSpec
    from melpy.engine.result import Result
    from melpy.environment.model import VisiblePackage
    from melpy.environment.repository import Repositories
    from melpy.repo.model import Publication


@dataclass(frozen=True)
class Staged:
    """A build whose packages are not published yet.

    Attributes:
        job: what was built.
        result: what it came to.
        stages: seconds of each stage, those of its preparation included.
    """

    job: Job
    result: Result
    stages: tuple[tuple[str, float], ...]


@dataclass
class Stage:
    """The packages of a run that are built and not published.

    Attributes:
        repositories: the repositories of the run, which environments are resolved from.
        results: directory of the run's results.
        builds: what was built, in order.
    """

    repositories: Repositories
    results: Path
    builds: list[Staged] = field(default_factory=list)
    _packages: dict[str, dict[tuple[str, str], VisiblePackage]] = field(default_factory=dict)

    def add(self, job: Job, result: Result, clock: Clock) -> None:
        """Make the packages of a build visible to those to come."""
        arch = job.inputs.plan.arch
        entries = [place_entry(entry, arch) for entry in result.packages]
        added = self.repositories.add_own(job.run.locations.results, arch, entries)
        visible = self._packages.setdefault(arch, {})
        visible.update({(package.name, package.version): package for package in added})
        self.builds.append(Staged(job, result, tuple(clock.seconds.items())))

    def visible(self, arch: str) -> Visible:
        """Return the packages of one's own that a build for an architecture may have: published or staged.

        Raises:
            RepositoryError: the index of the repository cannot be read.
        """
        own = str(self.repositories.spec.own)
        roots = tuple(build.job.run.locations.results for build in reversed(self.builds))
        staged = self._packages.get(arch, {})
        if not staged:
            return Visible(None, roots, frozenset({own, *map(str, roots)}))
        there = {(package.name, package.version): package for package in self.repositories.find_own(arch)}
        packages = sort_packages({**there, **staged}.values(), lambda package: (package.name, package.version))
        return Visible(tuple(packages), roots, frozenset({own, *map(str, roots)}))


def publish(builds: Sequence[Staged], spec: PublishSpec, monitor: events.Monitor) -> tuple[BuildResult, ...]:
    """Sign the packages of builds and publish them: first all packages, then each index once.

    Raises:
        OutputError: the repository cannot be written. The error names the builds that are not published.
        PackageFormatError: the index that is there is broken; likewise.
    """
    results: list[BuildResult] = []
    for arch in dict.fromkeys(build.job.inputs.plan.arch for build in builds):
        own = [build for build in builds if build.job.inputs.plan.arch == arch]
        try:
            placed = _publish(arch, own, spec, monitor)
        except MelpyError as error:
            done = {result.job for result in results}
            left = [build.job.name for build in builds if build.job.name not in done]
            error.details = (*error.details, f"  built and not published: {shorten_list(left)}")
            raise
        results += [_describe_result(build, placed, spec.root / arch) for build in own]
        for build in own:
            shutil.rmtree(build.job.run.locations.results, ignore_errors=True)
    return tuple(results)


def _describe_result(build: Staged, placed: Sequence[IndexEntry], directory: Path) -> BuildResult:
    names = {entry.info.file_name for entry in build.result.packages}
    packages = (BuiltPackage(entry, directory / entry.info.file_name) for entry in placed)
    own = tuple(package for package in packages if package.path.name in names)
    return BuildResult(build.job.name, own, build.stages, build.job.run.locations.log)


def _publish(arch: str, builds: Sequence[Staged], spec: PublishSpec, monitor: events.Monitor) -> list[IndexEntry]:
    directory = spec.root / arch
    jobs: dict[str, str] = {}
    entries: dict[str, IndexEntry] = {}
    try:
        with scratch_directory(directory) as scratch:
            for build in builds:
                mtime = build.job.inputs.revision.epoch
                for entry in build.result.packages:
                    name = entry.info.file_name
                    size = _sign(build.job.run.locations.results / arch / name, scratch / name, spec.signer, mtime)
                    entries[name] = replace(entry, size=size)
                    jobs[name] = build.job.name
            published = publish_packages(spec.root, arch, scratch, list(entries.values()), signer=spec.signer)
    except OSError as error:
        raise output_error(directory, error) from None
    for warning in _describe(published, jobs):
        monitor.emit(warning)
    return list(entries.values())


def _sign(unsigned: Path, target: Path, signer: Signer | None, mtime: int) -> int:
    """Write a package with its signature, and return its bytes."""
    with open_file(unsigned) as source, target.open("xb") as stream:
        segments = read_segments(source, where=str(unsigned))
        stream.write(sign_package(segments.control, signer, mtime))
        source.seek(segments.data_offset)
        shutil.copyfileobj(source, stream, 1 << 20)
        stream.flush()
        os.fchmod(stream.fileno(), 0o644)
        os.fsync(stream.fileno())  # before the package gets its name, so that a power cut leaves the old or the new
        return stream.tell()


def _describe(published: Publication, jobs: Mapping[str, str]) -> Iterator[events.Warning]:
    """Yield what clients will not take of packages: other content under a known version, or an older version."""
    for job in dict.fromkeys(jobs.values()):
        replaced = [entry for entry in published.replaced if jobs[entry.info.file_name] == job]
        if replaced:
            names = shorten_list([entry.info.full_name for entry in replaced])
            text = f"published before with other content: {names}; clients that have installed it will not upgrade"
            yield events.Warning(job, text, "raise the epoch in the recipe")
    for key in published.lost:
        yield events.Warning("", f"{published.index} was signed with {key}, and is not any more", LOST_HINT)
    for error in published.damaged:
        hint = error.hint or "build it again, or remove the file"
        yield events.Warning("", f"{error}; it is left out of the index", hint)
    for entry, newer in published.outdated:
        text = (
            f"{entry.info.full_name} is older than {newer.info.full_name} of the repository; clients will not take it"
        )
        hint = "remove the newer one, or raise the version or the epoch"
        yield events.Warning(jobs[entry.info.file_name], text, hint)
