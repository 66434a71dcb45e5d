"""Native tools for a foreign build: this machine's packages are found, and the programs put in place, once.

They are kept beside the store, `<cache>/tools-1/<digest>/`, and are whole when they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy import events
from melpy.arch import host_arch
from melpy.digest import identity
from melpy.engine.environment import open_packages, supplied_universe
from melpy.errors import RepositoryError, SeedError, UnreachableError, UnresolvableError
from melpy.files import output_error, scratch_directory
from melpy.sandbox.model import NativeTools
from melpy.sandbox.native import (
    VERSION,
    ToolPackage,
    find_kept,
    find_libraries,
    make_layer,
    make_native,
    read_needed,
)
from melpy.sandbox.tooltable import Tool, find_tool_rule
from melpy.solve.resolver import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from melpy.arch import Arch
    from melpy.engine.environment import Repositories
    from melpy.engine.model import BuildContext, Job
    from melpy.solve.model import Offer, Solution
    from melpy.solve.universe import Universe

TOOLS = "tools-1"
"""Directory of native tools in the cache."""


def find_tools(
    job: Job, solution: Solution, layers: Sequence[Path], repositories: Repositories, monitor: events.Monitor
) -> NativeTools | None:
    """Return native tools for a build's environment; None where none of its packages can be had for this machine.

    A build does without them: where repositories have nothing for this machine, or cannot be asked, it is only told.

    Args:
        job: what is built.
        solution: packages of its environment.
        layers: their files, in the same order.
        repositories: where packages come from.
        monitor: is told what is found.
    """
    rules = {
        offer.name: _Wanted(tool, offer, layer)
        for offer, layer in zip(solution.offers, layers, strict=False)
        if (tool := find_tool_rule(offer.name, job.arch))
    }
    if not rules:
        return None
    try:
        return _find_tools(job, rules, layers, repositories, monitor)
    except (RepositoryError, SeedError, UnreachableError, UnresolvableError) as error:
        text = f"native tools cannot be had, so all is emulated: {error}"
        monitor.emit(events.Warning(job.plan.job, text, error.hint or ""))
        return None


def _find_tools(
    job: Job,
    rules: Mapping[str, _Wanted],
    layers: Sequence[Path],
    repositories: Repositories,
    monitor: events.Monitor,
) -> NativeTools | None:
    host, context = host_arch(), repositories.context
    environment = job.plan.environment.with_packages(rules)
    universe = supplied_universe(environment, host, repositories)
    chosen = {name: offer for name, wanted in rules.items() if (offer := _find_offer(wanted, universe))}
    left = sorted(rules.keys() - chosen.keys())
    if left:
        monitor.emit(events.Note(job.plan.job, f"not of one version for {host}, so emulated: {', '.join(left)}"))
    if not chosen:
        return None
    world = [f"{name}={offer.version}" for name, offer in chosen.items()]
    native = solve(world, universe, where=f"native tools for {job.arch}")
    with open_packages(native, context, monitor, job.plan.job) as native_layers:
        return _make_tools(chosen, rules, native, native_layers, layers, job.arch, context)


def _make_tools(
    chosen: Mapping[str, Offer],
    rules: Mapping[str, _Wanted],
    native: Solution,
    native_layers: Sequence[Path],
    layers: Sequence[Path],
    arch: Arch,
    context: BuildContext,
) -> NativeTools | None:
    host = host_arch()
    place = dict(zip((offer.name for offer in native.offers), native_layers, strict=True))
    parts = []
    for name, offer in chosen.items():
        wanted = rules[name]
        made = _ensure_layer(ToolPackage(wanted.tool, wanted.layer, place[name]), wanted.offer, offer, arch, context)
        needed = read_needed(made)
        libraries = find_libraries(needed, native_layers, host) if needed else None
        if libraries is not None:
            parts.append(_Part(wanted, offer, made, libraries))
    return _put_together(parts, layers, context) if parts else None


@dataclass(frozen=True)
class _Part:
    """A package whose programs are replaced: what was wanted and found, the layer, and the libraries that it needs."""

    wanted: _Wanted
    native: Offer
    directory: Path
    libraries: Mapping[str, Path]


def _ensure_layer(package: ToolPackage, foreign: Offer, native: Offer, arch: Arch, context: BuildContext) -> Path:
    host = host_arch()
    digest = identity([VERSION, package.tool.to_json(), foreign.entry.checksum, native.entry.checksum, host.apk])
    return _ensure(context, digest, lambda directory: make_layer(package, arch, host, directory))


def _put_together(parts: Sequence[_Part], layers: Sequence[Path], context: BuildContext) -> NativeTools:
    host = host_arch()
    tools = [part.wanted.tool for part in parts]
    libraries = {soname: place for part in parts for soname, place in part.libraries.items()}
    replaced = [part.directory / "layer" for part in parts]
    top_first = tuple(reversed(layers))
    kept = {
        path: next(layer / program for layer in top_first if (layer / program).is_file())
        for path, program in find_kept(tools, top_first, replaced).items()
    }
    digest = identity(
        [
            VERSION,
            [tool.to_json() for tool in tools],
            {soname: str(place) for soname, place in libraries.items()},
            {path: str(place) for path, place in kept.items()},
        ]
    )
    made = _ensure(context, digest, lambda directory: make_native(libraries, tools, kept, host, directory))
    names = tuple(sorted(f"{part.native.name}={part.native.version}" for part in parts))
    return NativeTools((*replaced, made / "layer"), made / "native", made / "cache", names)


def _ensure(context: BuildContext, digest: str, make: Callable[[Path], None]) -> Path:
    """Return a directory that is made once, whole or not at all."""
    directory = context.cache_dir / TOOLS / digest
    if directory.is_dir():
        return directory
    try:
        with scratch_directory(directory.parent) as temporary:
            temporary.chmod(0o755)
            make(temporary)
            temporary.rename(directory)
    except OSError as error:
        if not directory.is_dir():  # another process was quicker, with the same files
            raise output_error(directory, error) from None
    return directory


@dataclass(frozen=True)
class _Wanted:
    """A package of the environment that the table has: what it says, which package, and its files."""

    tool: Tool
    offer: Offer
    layer: Path


def _find_offer(wanted: _Wanted, universe: Universe) -> Offer | None:
    """Return this machine's package of the same name and version, the same release if there is one."""
    own = wanted.offer
    offers = [
        offer
        for offer, _ in universe.providers(own.name)
        if offer.name == own.name and not offer.tag and wanted.tool.accepts(own.version, offer.version)
    ]
    return next((offer for offer in offers if offer.version == own.version), next(iter(offers), None))
