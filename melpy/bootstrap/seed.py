"""The seed: a signed APK repository made of the packages of a Debian suite that are asked for.

    <directory>/<suite>/key/                   the seed's own key
    <directory>/<suite>/apt/<architecture>/    apt's private state
    <directory>/<suite>/repository/<arch>/     packages, APKINDEX.tar.gz, seed.json

Every function takes a `SeedSpec`. What names mean is said in suites/<suite>.yaml. Packages of an earlier state of
the suite stay on disk, out of the index.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from melpy.bootstrap.lock import lock_seed
from melpy.bootstrap.manifest import Manifest, is_current, load_manifest
from melpy.bootstrap.model import SeedReport, SeedRepository, SeedSpec, WantedSource
from melpy.bootstrap.request import reduce_requests
from melpy.bootstrap.table import recipe_digest
from melpy.codec import replace
from melpy.events import Null

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from melpy.arch import Arch
    from melpy.events import Monitor

__all__ = [
    "SeedReport",
    "SeedRepository",
    "SeedSpec",
    "WantedSource",
    "extend_seed",
    "find_answers",
    "find_near",
    "find_state",
    "seed_repository",
]


def seed_repository(spec: SeedSpec) -> SeedRepository:
    """Return where the seed's repository and its public key are; nothing is read or made."""
    return spec.repository


def extend_seed(
    spec: SeedSpec, names: Iterable[str], arch: Arch, monitor: Monitor | None = None, *, update: bool = False
) -> SeedReport:
    """Make sure that packages are in the seed, with everything they depend on.

    When all of them were asked for before, nothing but two files is read. Otherwise the suite's lists are read
    (and fetched the first time), and what is missing is fetched and converted.

    Args:
        spec: where the seed is.
        names: what is needed, as recipes write it: `zlib-dev`, `go>=1.22`, `so:libz.so.1`, `cmd:awk`, `pc:zlib`.
        arch: for which architecture.
        monitor: is told what happens.
        update: fetch the suite's lists anew and make the whole seed follow them.

    Raises:
        PackageFormatError: a name is not an atom.
        SeedError: there is no table for the suite, the mirror has not the suite, or the suite has moved on.
        ToolMissingError: this machine has no apt.
        UnreachableError: the mirror does not answer.
        OutputError: the seed cannot be written.
    """
    started = time.monotonic()
    requests = reduce_requests(names)
    manifest = _load_settled(spec, arch)
    if update or manifest is None or not all(map(manifest.knows, requests)):
        with lock_seed(spec):
            # Another process may have done the work while this one waited; what it did is reused.
            # A delayed import: what follows needs Debian's lists, scanners and processes, and is rare.
            from melpy.bootstrap.extension import extend_index  # noqa: PLC0415

            report = extend_index(spec, requests, arch, monitor or Null(), update=update)
    else:
        unknown = {name: manifest.unknown[name] for name in requests if name in manifest.unknown}
        report = SeedReport(reused=len(manifest.packages), answers=_pick(manifest, requests), unknown=unknown)
    return replace(report, seconds=time.monotonic() - started)


def find_answers(spec: SeedSpec, names: Iterable[str], arch: Arch) -> Mapping[str, str]:
    """Return the APK package that answers each name, of those that are there; nothing is fetched or made.

    Raises:
        PackageFormatError: a name is not an atom.
    """
    requests = reduce_requests(names)
    directory = spec.repository.root / arch.apk
    manifest = load_manifest(directory)
    if not is_current(directory, manifest):
        return {}
    answers = _pick(manifest, requests)
    if not all(map(manifest.knows, requests)):
        from melpy.bootstrap.extension import find_present  # noqa: PLC0415  # see above

        answers |= find_present(spec, [name for name in requests if not manifest.knows(name)], arch)
    return answers


def find_state(spec: SeedSpec, arch: Arch) -> str:
    """Return a digest of the suite and of the rules by which packages are made of it, or nothing without a seed."""
    manifest = load_manifest(spec.repository.root / arch.apk)
    return f"{manifest.release} {recipe_digest(spec.suite)}" if manifest.release else ""


def find_answered(spec: SeedSpec, arch: Arch) -> frozenset[str]:
    """Return the names that were asked for before and have an answer; no list of the suite is read."""
    manifest = _load_settled(spec, arch)
    return frozenset(manifest.requests) if manifest else frozenset()


def find_near(spec: SeedSpec, name: str, arch: Arch) -> tuple[str, ...]:
    """Return names that were perhaps meant by one that was asked for in vain."""
    return load_manifest(spec.repository.root / arch.apk).unknown.get(name, ())


def _pick(manifest: Manifest, requests: Iterable[str]) -> dict[str, str]:
    return {name: manifest.requests[name] for name in requests if name in manifest.requests}


def _load_settled(spec: SeedSpec, arch: Arch) -> Manifest | None:
    """Return the state of a seed that is whole and made the way this melpy would make it, or None."""
    directory = spec.repository.root / arch.apk
    manifest = load_manifest(directory)
    if manifest.recipe != recipe_digest(spec.suite) or not is_current(directory, manifest):
        return None
    return manifest
