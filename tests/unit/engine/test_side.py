"""Members of a cycle come from one side each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.apk.model import PackageInfo
from melpy.engine.side import resolve_sides
from melpy.environment.model import EnvironmentSpec, RepositorySpec
from melpy.environment.repository import Repositories
from melpy.errors import UnresolvableError
from melpy.repo.model import Location
from melpy.repo.remote import ServerCache
from melpy.repo.repository import place_entry
from melpy.rootfs.model import RootSpec
from tests.factories.repository import make_repository

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.environment.model import VisiblePackage


def info(name: str, version: str, origin: str, **more: tuple[str, ...]) -> PackageInfo:
    return PackageInfo(name=name, version=version, arch="x86_64", origin=origin, **more)  # type: ignore[arg-type]  # lists


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    """A repository with first versions of two recipes, and with what needs one of them exactly."""
    outside = make_repository(tmp_path / "outside")
    old = [info(name, "1-r0", "lib") for name in ("lib", "lib-dev", "lib-old")]
    old += [info("tool", "1-r0", "tool"), info("exact", "1-r0", "exact", depends=("lib=1-r0",))]
    outside.add_all([(one, tmp_path / "nothing") for one in old])
    servers = ServerCache(tmp_path / "cache")
    spec = RepositorySpec(tmp_path / "own", servers, (Location(str(outside.root)),), (str(outside.public_key),))
    return Repositories(spec)


@pytest.fixture
def own(tmp_path: Path, repositories: Repositories) -> tuple[VisiblePackage, ...]:
    here = make_repository(tmp_path / "here")
    new = [info(name, "2-r0", "lib") for name in ("lib", "lib-dev")]
    entries = here.add_all([(one, tmp_path / "nothing") for one in new])
    return repositories.add_own(here.root, "x86_64", [place_entry(entry, "x86_64") for entry in entries])


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (["lib-dev", "lib", "tool"], ["lib-2-r0", "lib-dev-2-r0", "tool-1-r0"]),
        (["lib-dev=1-r0", "lib"], ["lib-1-r0", "lib-dev-1-r0"]),
        (["lib-old", "lib-dev"], ["lib-dev-1-r0", "lib-old-1-r0"]),
        (["exact", "lib-dev=2-r0"], ["exact-1-r0", "lib-1-r0", "lib-dev-2-r0"]),
    ],
)
def test_an_origin_comes_from_one_side_where_that_can_be(
    repositories: Repositories, own: tuple[VisiblePackage, ...], world: list[str], expected: list[str]
) -> None:
    environment = EnvironmentSpec(RootSpec("x86_64", tuple(world)))
    found = resolve_sides(environment, repositories, own, {"lib": own}, "here").solution
    assert sorted(f"{offer.name}-{offer.version}" for offer in found.offers) == expected


def test_what_nobody_has_is_an_error(repositories: Repositories, own: tuple[VisiblePackage, ...]) -> None:
    environment = EnvironmentSpec(RootSpec("x86_64", ("lib-dev=3-r0",)))
    with pytest.raises(UnresolvableError, match=r"no repository has 'lib-dev=3-r0'"):
        resolve_sides(environment, repositories, own, {"lib": own}, "here")
