"""Native tools for a foreign build: this machine's packages are found, and the programs put in place, once.

They are kept beside the store, `<cache>/tools-1/<digest>/`, and are whole when they are there.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from melpy import events
from melpy.arch import host_arch
from melpy.digest import identity
from melpy.engine.environment import ensure_environment, supplied_universe
from melpy.errors import UnresolvableError
from melpy.files import output_error
from melpy.sandbox.model import NativeTools
from melpy.sandbox.native import VERSION, ToolPackage, ToolSpec, make_tools
from melpy.sandbox.tooltable import Tool, find_tool_rule
from melpy.solve.resolver import solve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.engine.environment import Repositories
    from melpy.engine.model import Job
    from melpy.solve.model import Offer, Solution
    from melpy.solve.universe import Universe

TOOLS = "tools-1"
"""Directory of native tools in the cache."""


def find_tools(
    job: Job, solution: Solution, layers: Sequence[Path], repositories: Repositories, monitor: events.Monitor
) -> NativeTools | None:
    """Return native tools for a build's environment; None where none of its packages can be had for this machine.

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
    try:
        native = solve(world, universe, where=f"native tools for {job.arch}")
    except UnresolvableError as error:
        monitor.emit(events.Warning(job.plan.job, f"native tools do not go together, so all is emulated: {error}"))
        return None
    native_layers = ensure_environment(native, context, monitor, job.plan.job)
    place = dict(zip((offer.name for offer in native.offers), native_layers, strict=False))
    packages = tuple(ToolPackage(rules[name].tool, rules[name].layer, place[name]) for name in chosen)
    spec = ToolSpec(job.arch, host, packages, native_layers)
    digest = identity(
        {
            "version": VERSION,
            "rules": [package.tool.to_json() for package in packages],
            "foreign": [rules[name].offer.entry.checksum for name in chosen],
            "native": [offer.entry.checksum for offer in native.offers],
        }
    )
    directory = _ensure_tools(spec, context.cache_dir / TOOLS / digest)
    return NativeTools(directory / "layer", directory / "native", directory / "cache", tuple(sorted(world)))


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


def _ensure_tools(spec: ToolSpec, directory: Path) -> Path:
    if directory.is_dir():
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".new-"))
        temporary.chmod(0o755)
        try:
            make_tools(spec, temporary)
            temporary.rename(directory)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            if not directory.is_dir():  # another process was quicker, with the same files
                raise
    except OSError as error:
        raise output_error(directory, error) from None
    return directory
