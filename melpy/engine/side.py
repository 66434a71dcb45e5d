"""The members of a cycle come to an environment from one side each: built here, or from a repository.

What is built here counts, unless the environment asks for what only a repository has of a member, such as an earlier
version that a recipe pins to begin with, or a package that it makes no more. Then all of that member comes from there:
packages of one origin belong together. Where no such choice satisfies the environment, both sides count. The supply has
packages of others' making, which this says nothing of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.environment.resolution import resolve_environment
from melpy.errors import UnresolvableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from melpy.environment.model import EnvironmentSpec, Resolution, VisiblePackage
    from melpy.environment.repository import Repositories


def resolve_sides(
    environment: EnvironmentSpec,
    repositories: Repositories,
    own: tuple[VisiblePackage, ...],
    origins: Mapping[str, tuple[VisiblePackage, ...]],
    where: str,
) -> Resolution:
    """Return the exact packages of an environment in which each origin comes from one side.

    Args:
        environment: the environment.
        repositories: where packages come from.
        own: packages built here that it may see.
        origins: of these, the packages of each origin that comes from one side.
        where: who asks, for messages.

    Raises:
        UnresolvableError: there is no such set of packages.
        RepositoryError: a repository cannot be read.
    """
    here = dict(origins)
    while True:
        left = {package for origin, packages in origins.items() if origin not in here for package in packages}
        visible = tuple(package for package in own if package not in left)
        try:
            return resolve_environment(environment, repositories, own=visible, origins=tuple(here), where=where)
        except UnresolvableError as error:
            elsewhere = _find_offering(error.missing, here, environment, repositories)
            if not elsewhere:
                break
            here = {origin: packages for origin, packages in here.items() if origin not in elsewhere}
    return resolve_environment(environment, repositories, own=own, where=where)


def _find_offering(
    names: Iterable[str], origins: Collection[str], environment: EnvironmentSpec, repositories: Repositories
) -> set[str]:
    """Return those origins of which a repository offers one of some names."""
    universe = repositories.find_universe(repositories.take_snapshot(environment, ()))
    found = {offer.entry.info.origin for name in names for offer, _ in universe.providers(name)}
    return found.intersection(origins)
