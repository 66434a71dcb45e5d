"""Native tools are looked for, and a build does without them where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.arch import host_arch, parse_arch
from melpy.environment.model import EnvironmentSpec, RepositorySpec
from melpy.environment.native import choose_tools
from melpy.environment.repository import Repositories
from melpy.environment.resolution import resolve_environment
from melpy.events import Tape
from melpy.repo.model import Location
from melpy.repo.remote import ServerCache
from melpy.rootfs.model import RootSpec
from tests.factories.repository import make_repository

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = parse_arch("x86_64" if host_arch().apk == "aarch64" else "aarch64")


def test_a_repository_that_has_nothing_for_this_machine(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    for name in ("sed", "other"):
        repository.add(name, arch=FOREIGN.apk)
    servers = ServerCache(tmp_path / "cache")
    locations, keyring = (Location(str(repository.root)),), (str(repository.public_key),)
    repositories = Repositories(RepositorySpec(tmp_path / "out", servers, locations, keyring))
    said = []
    for name in ("sed", "other"):
        environment = EnvironmentSpec(RootSpec(FOREIGN.apk, (name,)))
        solution = resolve_environment(environment, repositories, where="here").solution
        tape = Tape()
        assert choose_tools(environment, solution, repositories, tape, "one") is None
        said.append([getattr(event, "text", "") for event in tape.events])
    expected = f"native tools cannot be had, so all is emulated: {repository.root}: has no index for {host_arch()}"
    assert said == [[expected], []]  # for a package that none would replace, nobody is asked
