"""From exact packages to the layers of a root: fetched, extracted and assembled once, and held against pruning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from melpy import events
from melpy.arch import parse_arch
from melpy.errors import FileConflictError, PackageFormatError
from melpy.meter import open_meter
from melpy.net import is_remote
from melpy.repo.remote import fetch_package
from melpy.rootfs.assembly import assemble
from melpy.rootfs.layout import layer_path, share_store
from melpy.rootfs.model import StoredPackage
from melpy.rootfs.store import ensure_layers, find_absent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from melpy.environment.model import StoreSpec
    from melpy.rootfs.model import RootSpec
    from melpy.solve.model import Offer, Solution

CONNECTIONS = 4
"""Packages that are fetched from a server at the same time."""


@contextmanager
def open_environment(
    solution: Solution, root: RootSpec, store: StoreSpec, monitor: events.Monitor, job: str
) -> Iterator[tuple[Path, ...]]:
    """Give the layers of an environment, topmost last, and keep them from being pruned meanwhile.

    What is not there yet is downloaded, extracted and assembled.

    Args:
        solution: its exact packages.
        root: its root beside their files.
        store: where packages are kept.
        monitor: is told of what takes long.
        job: whose environment it is, for messages.

    Raises:
        FileConflictError: two of the packages do not go together.
        PackageFormatError: a package is damaged or is not the one that the index means.
        StoreError: the store is damaged.
    """
    with share_store(store.store):
        layers = _ensure_packages(solution, store, monitor, job)
        checksums = [offer.entry.checksum for offer in solution.offers]
        try:
            held = assemble(store.store, checksums, root, big_endian=parse_arch(root.arch).big_endian)
        except FileConflictError as error:
            error.details = (*error.details, f"  environment of {job}")
            raise
    with closing(held):
        yield (*layers, held.layer)


@contextmanager
def open_packages(
    solution: Solution, store: StoreSpec, monitor: events.Monitor, job: str
) -> Iterator[tuple[Path, ...]]:
    """Give the files of packages, each in a layer of its own, and keep them from being pruned meanwhile.

    What is not there yet is downloaded and extracted.

    Raises:
        PackageFormatError: a package is damaged or is not the one that the index means.
    """
    with share_store(store.store):
        yield _ensure_packages(solution, store, monitor, job)


def _ensure_packages(solution: Solution, store: StoreSpec, monitor: events.Monitor, job: str) -> tuple[Path, ...]:
    absent = find_absent(store.store, [offer.entry.checksum for offer in solution.offers])
    missing = [offer for offer in solution.offers if offer.entry.checksum in absent]
    paths = _fetch_packages(missing, store, monitor, job) if missing else {}
    packages = [StoredPackage(paths[offer.entry.checksum], offer.entry.checksum) for offer in missing]
    try:
        ensure_layers(store.store, packages, monitor, job, store.workers)
    except PackageFormatError as error:
        damaged = next((offer for offer in missing if offer.location == error.where), None)
        if damaged and damaged.repository == str(store.own):
            error.hint = f"build {damaged.entry.info.origin or damaged.name} again, which replaces it"
        elif damaged and not error.hint:
            error.hint = f"the repository {damaged.repository} has a damaged file; get it whole from its origin"
        raise
    return tuple(layer_path(store.store, offer.entry.checksum) for offer in solution.offers)


def _fetch_packages(offers: Sequence[Offer], store: StoreSpec, monitor: events.Monitor, job: str) -> dict[str, Path]:
    """Return the files of packages, by their checksums: servers answer several requests at once."""
    paths: dict[str, Path] = {}
    size = sum(offer.entry.size for offer in offers if is_remote(offer.location))
    with open_meter(monitor, job, "fetching packages", size) as meter, ThreadPoolExecutor(CONNECTIONS) as pool:
        fetching = [
            pool.submit(fetch_package, offer.location, offer.entry.checksum, offer.entry.size, store.servers, meter)
            for offer in offers
        ]
        for offer, future in zip(offers, fetching, strict=True):
            paths[offer.entry.checksum] = future.result()
    if size:
        monitor.emit(events.Progress(job, "fetching packages", len(offers), len(offers)))
    return paths
