"""From constraints to exact packages: functions of a world and a snapshot, not of what a directory holds just then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.atom import parse_dependency
from melpy.environment.model import Resolution
from melpy.errors import PackageFormatError, UnresolvableError
from melpy.solve.resolver import solve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from melpy.environment.model import EnvironmentSpec, Snapshot, VisiblePackage
    from melpy.environment.repository import Repositories
    from melpy.solve.model import Solution
    from melpy.solve.universe import Universe


def resolve(
    world: Sequence[str], snapshot: Snapshot, repositories: Repositories, *, where: str = "", choosy: bool = False
) -> Solution:
    """Return the exact packages that satisfy a world, of those that a snapshot sees.

    Args:
        world: constraints, as in /etc/apk/world.
        snapshot: what may be seen; it names the architecture.
        repositories: the indexes that the snapshot names.
        where: who asks, for messages.
        choosy: see `melpy.solve.resolver.solve`.

    Raises:
        UnresolvableError: there is no such set of packages.
    """
    return solve(world, repositories.find_universe(snapshot), where=where, choosy=choosy)


def resolve_environment(
    environment: EnvironmentSpec,
    repositories: Repositories,
    *,
    own: tuple[VisiblePackage, ...] | None = None,
    origins: tuple[str, ...] = (),
    where: str,
    choosy: bool = False,
) -> Resolution:
    """Return the exact packages of an environment; the supply makes those that are missing.

    Args:
        environment: the environment.
        repositories: where packages come from.
        own: packages built here that it may see; None for those that the index of their repository has.
        origins: recipes whose packages are taken from `own` and not from the repositories.
        where: who asks, for messages.
        choosy: see `melpy.solve.resolver.solve`.

    Raises:
        UnresolvableError: there is no such set of packages.
        RepositoryError: a repository cannot be read.
    """
    world = environment.root.world
    snapshot = find_snapshot(environment, repositories, own=own, origins=origins)
    try:
        return Resolution(snapshot, resolve(world, snapshot, repositories, where=where, choosy=choosy))
    except UnresolvableError:
        # What there is of a name may need what nobody has; the supply's own package of that name need not.
        atoms = map(parse_dependency, world)
        extended = repositories.ask_supply({atom.name for atom in atoms if not atom.conflict}, snapshot)
        if extended == snapshot:
            raise
        return Resolution(extended, resolve(world, extended, repositories, where=where, choosy=choosy))


def find_snapshot(
    environment: EnvironmentSpec,
    repositories: Repositories,
    *,
    own: tuple[VisiblePackage, ...] | None = None,
    origins: tuple[str, ...] = (),
) -> Snapshot:
    """Return what an environment may see, when the supply has made what it asks for and nobody else has.

    Raises:
        RepositoryError: a repository cannot be read.
    """
    world = environment.root.world
    snapshot = repositories.take_snapshot(environment, own, origins)
    asked: set[str] = set()
    while repositories.spec.supply:
        # The supply is asked every time, since it also sees to it that what it has is still as it would make it.
        missing = find_missing(world, repositories.find_universe(snapshot)) - asked
        if not missing:
            break
        snapshot = repositories.ask_supply(missing, snapshot)
        asked |= missing
    return snapshot


def find_missing(world: Iterable[str], universe: Universe) -> set[str]:
    """Return the names that a world asks for, directly or through dependencies, and that nothing has."""
    missing: set[str] = set()
    seen: set[str] = set()
    pending = list(world)
    while pending:
        try:
            atom = parse_dependency(pending.pop())
        except PackageFormatError:
            continue  # the resolver reports it
        if atom.conflict or atom.name in seen:
            continue
        seen.add(atom.name)
        offers = universe.providers(atom.name)
        if not offers:
            missing.add(atom.name)
        pending += [text for offer, _ in offers for text in offer.entry.info.depends]
    return missing
