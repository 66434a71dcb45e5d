"""From results to a repository: packages become visible to the builds to come, and in the end they are published.

`stage` takes no key and writes nothing; `publish` signs, and is the only place that the signing key is used at.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec import Struct

from melpy import events
from melpy.apk.archive import sign_package
from melpy.apk.segment import read_segments
from melpy.bound import open_file
from melpy.codec import replace
from melpy.engine.model import BuildResult, BuiltPackage
from melpy.errors import MelpyError
from melpy.files import output_error, scratch_directory
from melpy.repo.repository import place_entry, publish_packages
from melpy.repo.signing import LOST_HINT
from melpy.text import shorten_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from melpy.apk.model import IndexEntry
    from melpy.apk.signature import Signer
    from melpy.engine.model import PublishSpec
    from melpy.engine.result import UnsignedPackage
    from melpy.repo.model import Publication


_SIGNING = 4  # packages that are signed at the same time: signing takes no lock of Python's, nor does waiting for disks
_FEW = 8  # packages for which no thread is worth it


class Staged(Struct, frozen=True):
    """A build whose packages are not published yet.

    Attributes:
        job: name of the build.
        arch: architecture, in APK's spelling, or `noarch`.
        arches: architectures in whose directories they are published.
        epoch: time of its packages, in seconds since 1970.
        root: repository of its unsigned packages, without an index.
        packages: its packages.
        log: file with the output of its steps.
        stages: seconds of each stage, those of its preparation included.
        key: key of its inputs; empty where its packages have none.
    """

    job: str
    arch: str
    arches: tuple[str, ...]
    epoch: int
    root: Path
    packages: tuple[UnsignedPackage, ...]
    log: Path
    stages: tuple[tuple[str, float], ...] = ()
    key: str = ""


def publish(builds: Sequence[Staged], spec: PublishSpec, monitor: events.Monitor) -> tuple[BuildResult, ...]:
    """Sign the packages of builds and publish them: first all packages, then each index once.

    Raises:
        OutputError: the repository cannot be written. The error names the builds that are not published.
        PackageFormatError: the index that is there is broken; likewise.
    """
    placed: dict[str, Mapping[str, IndexEntry]] = {}
    told: set[events.Warning] = set()
    for arch in dict.fromkeys(arch for build in builds for arch in build.arches):
        try:
            placed[arch], warnings = _publish(arch, [build for build in builds if arch in build.arches], spec)
        except MelpyError as error:
            left = [build.job for build in builds if not placed.keys() >= set(build.arches)]
            error.details = (*error.details, f"  built and not published: {shorten_list(left)}")
            raise
        for warning in warnings:
            if warning not in told:  # of `noarch` packages once
                monitor.emit(warning)
        told.update(warnings)
    return tuple(_describe_result(build, placed, spec.root) for build in builds)


def _describe_result(build: Staged, placed: Mapping[str, Mapping[str, IndexEntry]], root: Path) -> BuildResult:
    own = dict.fromkeys(package.entry.info.file_name for package in build.packages)
    first = placed[build.arches[0]]
    packages = [BuiltPackage(first[name], tuple(root / arch / name for arch in build.arches)) for name in own]
    return BuildResult(build.job, tuple(packages), build.stages, build.log)


def _publish(
    arch: str, builds: Sequence[Staged], spec: PublishSpec
) -> tuple[Mapping[str, IndexEntry], list[events.Warning]]:
    """Publish packages in the directory of an architecture.

    Returns:
        Their entries by the names of their files, and warnings of what clients will not take.
    """
    directory = spec.root / arch
    jobs: dict[str, str] = {}
    entries: dict[str, IndexEntry] = {}
    try:
        with scratch_directory(directory) as scratch:
            packages = [(build, package.entry) for build in builds for package in build.packages]
            for (build, entry), size in zip(packages, _sign_all(packages, scratch, spec.signer), strict=True):
                entries[entry.info.file_name] = replace(entry, size=size)
                jobs[entry.info.file_name] = build.job
            listed = [place_entry(entry, arch) for entry in entries.values()]
            published = publish_packages(spec.root, arch, scratch, listed, signer=spec.signer)
    except OSError as error:
        raise output_error(directory, error) from None
    return entries, list(_describe(published, jobs))


def _sign_all(packages: Sequence[tuple[Staged, IndexEntry]], scratch: Path, signer: Signer | None) -> list[int]:
    """Write packages with their signatures, and return the bytes of each."""

    def sign(package: tuple[Staged, IndexEntry]) -> int:
        build, entry = package
        name = entry.info.file_name
        return _sign(build.root / build.arch / name, scratch / name, signer, build.epoch)

    if len(packages) < _FEW:
        return list(map(sign, packages))
    with ThreadPoolExecutor(_SIGNING) as pool:
        return list(pool.map(sign, packages))


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
    replaced: dict[str, list[str]] = {job: [] for job in jobs.values()}
    for entry in published.replaced:
        replaced[jobs[entry.info.file_name]].append(entry.info.full_name)
    for job, names in replaced.items():
        if names:
            text = f"published before with other content: {shorten_list(names)};"
            text += " clients that have installed it will not upgrade"
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
