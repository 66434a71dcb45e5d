"""Environments follow from what their snapshots say, whatever else this machine holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from melpy.arch import parse_arch
from melpy.environment.layer import open_environment
from melpy.environment.model import EnvironmentSpec, RepositorySpec, StoreSpec
from melpy.environment.repository import Repositories
from melpy.environment.resolution import find_snapshot, resolve, resolve_environment
from melpy.errors import PackageFormatError, RepositoryError, SignatureError, UnreachableError, UnresolvableError
from melpy.events import Null
from melpy.repo.model import Location, parse_location
from melpy.repo.remote import ServerCache
from melpy.rootfs.account import make_build_root
from melpy.rootfs.model import RootSpec
from tests.factories.repository import Repository, make_repository
from tests.factories.supply import Goods, Store

if TYPE_CHECKING:
    from pathlib import Path

    from melpy.environment.model import Supply
    from melpy.solve.model import Solution


def make_repositories(
    tmp_path: Path, *found: Repository, supply: Supply | None = None, own: Repository | None = None
) -> Repositories:
    return Repositories(
        RepositorySpec(
            own=own.root if own else tmp_path / "out",
            servers=ServerCache(tmp_path / "cache"),
            locations=tuple(Location(str(one.root)) for one in found),
            keyring=tuple(str(one.public_key) for one in found),
            local=(tmp_path / "reachable",),
            supply=supply,
        )
    )


def spec(*world: str) -> EnvironmentSpec:
    return EnvironmentSpec(RootSpec("x86_64", world))


def names(solution: Solution) -> list[str]:
    return list(map(str, solution.offers))


GOODS = {
    "compiler": Goods(depends=("libc",)),
    "libc": Goods(provides=("so:libc.so.6=6",)),
    "tool": Goods("9-r0", depends=("libc",)),
    "fast-awk": Goods(provides=("awk=3",)),
    "awk": Goods("1-r0"),
    "old-awk": Goods(provides=("awk=2",), depends=("libc",)),
    "helper": Goods(),
}


@pytest.mark.parametrize("before", [[], ["tool"], ["fast-awk", "old-awk"], ["tool", "fast-awk", "libc"]])
def test_what_the_supply_made_for_another_environment_is_out_of_sight(tmp_path: Path, before: list[str]) -> None:
    """A newer `tool` that was made for another build, or one that provides `awk`, is not taken now."""
    repository = make_repository(tmp_path / "repository")
    repository.add("tool", version="1-r0", depends=("awk",))
    supply = Store(make_repository(tmp_path / "supply"), GOODS)
    other = make_repositories(tmp_path, supply=supply)
    for name in before:
        resolve_environment(spec(name), other, where="")
    repositories = make_repositories(tmp_path, repository, supply=supply)
    found = resolve_environment(spec("tool", "compiler"), repositories, where="")
    assert names(found.solution) == ["awk-1-r0", "libc-1-r0", "compiler-1-r0", "tool-1-r0"]
    resolve_environment(spec("fast-awk"), repositories, where="")
    assert resolve_environment(spec("tool", "compiler"), repositories, where="") == found


def test_the_supply_is_asked_for_all_names_where_the_repositories_own_cannot_be_had(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    repository.add("tool", version="1-r0", depends=("nowhere",))
    for before in ([], ["helper", "fast-awk"]):
        supply = Store(make_repository(tmp_path / f"supply-{len(before)}"), GOODS)
        for name in before:
            supply.extend([name], parse_arch("x86_64"))
        found = resolve_environment(spec("tool"), make_repositories(tmp_path, repository, supply=supply), where="")
        assert names(found.solution) == ["libc-1-r0", "tool-9-r0"]
        assert [package.name for package in found.snapshot.supplied] == ["libc", "tool"]


def test_a_snapshot_stays_true_when_the_directory_changes(tmp_path: Path) -> None:
    own, repository = make_repository(tmp_path / "own"), make_repository(tmp_path / "repository")
    repository.add("tool", version="1-r0")
    own.add("tool", version="2-r0")
    repositories = make_repositories(tmp_path, repository, own=own)
    snapshot = find_snapshot(spec("tool"), repositories)
    own.add("tool", version="3-r0")
    assert names(resolve(["tool"], snapshot, repositories)) == ["tool-2-r0"]
    later = find_snapshot(spec("tool"), repositories)
    assert names(resolve(["tool"], later, repositories)) == ["tool-3-r0"]
    assert names(resolve(["tool"], snapshot, repositories)) == ["tool-2-r0"]


def test_a_snapshot_is_json_and_names_nothing_of_the_machine_but_the_repositories(tmp_path: Path) -> None:
    own, repository = make_repository(tmp_path / "own"), make_repository(tmp_path / "repository")
    entry = own.add("mine")
    repository.add("tool")
    repositories = make_repositories(tmp_path, repository, own=own)
    snapshot = find_snapshot(spec("tool"), repositories)
    value = json.loads(json.dumps(snapshot.to_json()))
    (index,) = value["indexes"]
    assert (len(index.pop("digest")), index) == (64, {"location": {"address": str(repository.root), "tag": ""}})
    assert value["own"] == [{"name": "mine", "version": "1-r0", "checksum": entry.checksum}]
    assert str(own.root) not in json.dumps(value)
    assert find_snapshot(spec("tool"), make_repositories(tmp_path, repository, own=own)) == snapshot
    repository.add("tool", version="2-r0")
    assert find_snapshot(spec("tool"), make_repositories(tmp_path, repository, own=own)) != snapshot


def test_each_job_sees_the_own_packages_that_it_is_told_and_the_large_universe_is_shared(tmp_path: Path) -> None:
    own, repository = make_repository(tmp_path / "own"), make_repository(tmp_path / "repository")
    repository.add("tool", version="1-r0")
    for version in ("2-r0", "3-r0"):
        own.add("tool", version=version)
    repositories = make_repositories(tmp_path, repository, own=own)
    everything = repositories.find_own("x86_64")
    assert [package.version for package in everything] == ["2-r0", "3-r0"]
    universes = set()
    for visible, expected in ((everything, "3-r0"), (everything[:1], "2-r0"), ((), "1-r0")):
        snapshot = find_snapshot(spec("tool"), repositories, own=visible)
        assert names(resolve(["tool"], snapshot, repositories)) == [f"tool-{expected}"]
        universes.add(repositories.find_universe(snapshot).layers[1])
    assert len(universes) == 1


def test_what_is_in_no_index_yet_can_be_seen_where_it_lies(tmp_path: Path) -> None:
    own, staged = make_repository(tmp_path / "own"), make_repository(tmp_path / "staged")
    own.add("tool")
    entry = staged.add("fresh", depends=("tool",))
    repositories = make_repositories(tmp_path, own=own)
    with pytest.raises(UnresolvableError):
        resolve_environment(spec("fresh"), repositories, where="")
    visible = (*repositories.find_own("x86_64"), *repositories.add_own(staged.root, "x86_64", [entry]))
    found = resolve_environment(spec("fresh"), repositories, own=visible, where="").solution
    assert [offer.location for offer in found.offers] == [
        str(own.root / "x86_64/tool-1-r0.apk"),
        str(staged.root / "x86_64/fresh-1-r0.apk"),
    ]
    stranger = make_repositories(tmp_path, own=own)
    with pytest.raises(RepositoryError, match=r"own/repository/x86_64: has no fresh-1-r0 with the checksum Q1"):
        resolve_environment(spec("fresh"), stranger, own=visible, where="")


def test_an_environment_has_repositories_and_keys_of_its_own(tmp_path: Path) -> None:
    one, other = make_repository(tmp_path / "one"), make_repository(tmp_path / "reachable/other")
    one.add("tool")
    other.add("more", depends=("tool",))
    repositories = make_repositories(tmp_path, one)
    location = parse_location(f"@edge {other.root}/")
    environment = EnvironmentSpec(RootSpec("x86_64", ("more@edge",)), (location,), (str(other.public_key),))
    assert names(resolve_environment(environment, repositories, where="").solution) == ["tool-1-r0", "more-1-r0"]
    unsigned = EnvironmentSpec(environment.root, (location,))
    (tmp_path / "elsewhere").mkdir()
    unreachable = EnvironmentSpec(environment.root, (Location(str(tmp_path / "elsewhere")),))
    with pytest.raises(SignatureError):
        resolve_environment(unsigned, repositories, where="")
    with pytest.raises(UnreachableError, match="where recipes may not reach"):
        resolve_environment(unreachable, repositories, where="")


def test_a_root_that_is_no_builds_has_no_user_of_builds(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    repository.add("tool")
    repositories = make_repositories(tmp_path, repository)
    store = StoreSpec(tmp_path / "cache", repositories.spec.servers)
    solution = resolve_environment(spec("tool"), repositories, where="").solution
    accounts = {}
    for root in (RootSpec("x86_64", ("tool",)), make_build_root("x86_64", ("tool",))):
        with open_environment(solution, root, store, Null(), "test") as layers:
            lines = (layers[-1] / "etc/passwd").read_text().splitlines()
            accounts[root] = [line.partition(":")[0] for line in lines]
    assert list(accounts.values()) == [[], ["root", "build"]]


def test_an_index_that_is_broken_is_an_error_every_time(tmp_path: Path) -> None:
    own = make_repository(tmp_path / "own")
    own.add("tool")
    (own.root / "x86_64/APKINDEX.tar.gz").write_bytes(b"broken")
    repositories = make_repositories(tmp_path, own=own)
    for _ in range(2):
        with pytest.raises(PackageFormatError, match="is not gzip"):
            find_snapshot(spec("tool"), repositories)
    own.add("tool")
    assert names(resolve_environment(spec("tool"), repositories, where="").solution) == ["tool-1-r0"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("compilr", "did you mean 'compiler'?"), ("xyzzy", "nothing has a similar name; correct it, or add a repository")],
)
def test_what_nobody_has_is_explained_by_what_the_supply_could_make(tmp_path: Path, name: str, hint: str) -> None:
    supply = Store(make_repository(tmp_path / "supply"), GOODS)
    for repositories in (make_repositories(tmp_path, supply=supply), make_repositories(tmp_path, supply=supply)):
        with pytest.raises(UnresolvableError, match=f"no repository has '{name}'") as caught:
            resolve_environment(spec(name), repositories, where="")
        assert hint in (caught.value.hint or "")
        resolve_environment(spec("tool"), repositories, where="")


@pytest.mark.parametrize(
    ("text", "address", "tag"),
    [
        ("https://example.org/os/", "https://example.org/os", ""),
        ("@edge  /srv/packages/ ", "/srv/packages", "edge"),
        ("@edge", "", "edge"),
        ("/", "/", ""),
    ],
)
def test_locations_are_read(text: str, address: str, tag: str) -> None:
    assert parse_location(text) == Location(address, tag)


def test_what_outside_offers(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    repository.add("curl", provides=("cmd:curl=8",))
    own = make_repository(tmp_path / "out")
    own.add("greet")
    supply = Store(make_repository(tmp_path / "supply"), GOODS)
    repositories = make_repositories(tmp_path, repository, supply=supply, own=own)
    offered = ("curl", "cmd:curl", "compiler", "so:libc.so.6")
    assert [name for name in (*offered, "greet", "nothing", "cmd:wget") if repositories.offers(name, "x86_64")] == list(
        offered
    )
    assert supply.asked == []  # nothing is made
    assert not make_repositories(tmp_path, repository).offers("compiler", "x86_64")
