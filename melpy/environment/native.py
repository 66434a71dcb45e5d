"""Native tools for a foreign build: this machine's packages are found, and the programs put in place, once.

They are kept beside the store, `<cache>/tools-1/<digest>/`, and are whole when they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from melpy import events
from melpy.arch import host_arch, parse_arch
from melpy.digest import identity
from melpy.environment.layer import open_packages
from melpy.environment.model import ToolChoice
from melpy.environment.resolution import find_snapshot
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
    from melpy.environment.model import EnvironmentSpec, StoreSpec
    from melpy.environment.repository import Repositories
    from melpy.solve.model import Offer, Solution
    from melpy.solve.universe import Universe


@dataclass(frozen=True)
class Foreign:
    """An environment for another architecture than this machine's.

    Attributes:
        arch: its architecture.
        solution: its packages.
        layers: their files, in the same order.
    """

    arch: Arch
    solution: Solution
    layers: Sequence[Path]

    @property
    def files(self) -> dict[str, Path]:
        """The files of each package, by its name."""
        return dict(zip((offer.name for offer in self.solution.offers), self.layers, strict=False))


def choose_tools(
    environment: EnvironmentSpec, solution: Solution, repositories: Repositories, monitor: events.Monitor, job: str
) -> ToolChoice | None:
    """Return packages for native tools of a foreign environment; None where none can be had for this machine.

    It does without them: where repositories have nothing for this machine, or cannot be asked, it is only told.

    Args:
        environment: what was asked for.
        solution: its packages.
        repositories: where packages come from.
        monitor: is told what is found.
        job: whose environment it is, for messages.
    """
    rules = _find_rules(solution, parse_arch(environment.root.arch))
    if not rules:
        return None
    try:
        return _choose_tools(environment, rules, repositories, monitor, job)
    except (RepositoryError, SeedError, UnreachableError, UnresolvableError) as error:
        text = f"native tools cannot be had, so all is emulated: {error}"
        monitor.emit(events.Warning(job, text, error.hint or ""))
        return None


def _find_rules(solution: Solution, arch: Arch) -> dict[str, tuple[Tool, Offer]]:
    """Return the packages of an environment that the table has, by name."""
    return {offer.name: (tool, offer) for offer in solution.offers if (tool := find_tool_rule(offer.name, arch))}


def _choose_tools(
    environment: EnvironmentSpec,
    rules: Mapping[str, tuple[Tool, Offer]],
    repositories: Repositories,
    monitor: events.Monitor,
    job: str,
) -> ToolChoice | None:
    host = host_arch()
    universe = repositories.find_universe(find_snapshot(environment.with_world(rules, host.apk), repositories))
    chosen = {name: offer for name, rule in rules.items() if (offer := _find_offer(*rule, universe))}
    left = sorted(rules.keys() - chosen.keys())
    if left:
        monitor.emit(events.Note(job, f"not of one version for {host}, so emulated: {', '.join(left)}"))
    if not chosen:
        return None
    world = [f"{name}={offer.version}" for name, offer in chosen.items()]
    native = solve(world, universe, where=f"native tools for {environment.root.arch}")
    return ToolChoice(tuple(chosen.items()), native)


def make_tools(
    choice: ToolChoice, foreign: Foreign, store: StoreSpec, monitor: events.Monitor, job: str
) -> NativeTools | None:
    """Make native tools, or take those that were made before; None where none of them would run.

    Args:
        choice: the packages that they are made of.
        foreign: the environment.
        store: where packages and tools are kept.
        monitor: is told of what takes long.
        job: whose environment it is, for messages.

    Raises:
        PackageFormatError: a package is damaged or is not the one that the index means.
        OutputError: they cannot be written.
    """
    with open_packages(choice.solution, store, monitor, job) as layers:
        return _make_tools(choice, foreign, layers, store.tools)


def _make_tools(choice: ToolChoice, foreign: Foreign, native_layers: Sequence[Path], tools: Path) -> NativeTools | None:
    host = host_arch()
    rules, files = _find_rules(foreign.solution, foreign.arch), foreign.files
    natively = dict(zip((offer.name for offer in choice.solution.offers), native_layers, strict=True))
    parts = []
    for name, native in choice.chosen:
        tool, offer = rules[name]
        made = _ensure_layer(ToolPackage(tool, files[name], natively[name]), offer, native, foreign.arch, tools)
        needed = read_needed(made)
        libraries = find_libraries(needed, native_layers, host) if needed else None
        if libraries is not None:
            parts.append(_Part(tool, native, made, libraries))
    return _put_together(parts, foreign.layers, tools) if parts else None


@dataclass(frozen=True)
class _Part:
    """A package whose programs are replaced: what was wanted and found, the layer, and the libraries that it needs."""

    tool: Tool
    native: Offer
    directory: Path
    libraries: Mapping[str, Path]


def _ensure_layer(package: ToolPackage, foreign: Offer, native: Offer, arch: Arch, tools: Path) -> Path:
    host = host_arch()
    digest = identity([VERSION, package.tool.to_json(), foreign.entry.checksum, native.entry.checksum, host.apk])
    return _ensure(tools / digest, lambda directory: make_layer(package, arch, host, directory))


def _put_together(parts: Sequence[_Part], layers: Sequence[Path], directory: Path) -> NativeTools:
    host = host_arch()
    tools = [part.tool for part in parts]
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
    made = _ensure(directory / digest, lambda path: make_native(libraries, tools, kept, host, path))
    names = tuple(sorted(f"{part.native.name}={part.native.version}" for part in parts))
    return NativeTools((*replaced, made / "layer"), made / "native", made / "cache", names)


def _ensure(directory: Path, make: Callable[[Path], None]) -> Path:
    """Return a directory that is made once, whole or not at all."""
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


def _find_offer(tool: Tool, own: Offer, universe: Universe) -> Offer | None:
    """Return this machine's package of the same name and version, the same release if there is one."""
    offers = [
        offer
        for offer, _ in universe.providers(own.name)
        if offer.name == own.name and not offer.tag and tool.accepts(own.version, offer.version)
    ]
    return next((offer for offer in offers if offer.version == own.version), next(iter(offers), None))
