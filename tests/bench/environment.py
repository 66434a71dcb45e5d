"""From the packages of an environment to the first instruction in its sandbox."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from melpy import events
from melpy.apk.index import write_index
from melpy.apk.model import IndexEntry, PackageInfo
from melpy.apk.signature import load_signer, write_key_pair
from melpy.arch import host_arch
from melpy.environment.layer import open_environment
from melpy.environment.model import EnvironmentSpec, RepositorySpec
from melpy.environment.repository import Repositories
from melpy.environment.resolution import resolve_environment
from melpy.files import write_file
from melpy.repo.layout import index_path
from melpy.repo.model import Location
from melpy.repo.remote import ServerCache
from melpy.rootfs.account import make_build_root
from melpy.rootfs.environment import make_root
from melpy.rootfs.layout import STORE
from melpy.sandbox.identity import find_id_range
from melpy.sandbox.model import SandboxSpec
from melpy.sandbox.runner import run_sandbox
from tests.bench.packages import write_large_index

if TYPE_CHECKING:
    from melpy.engine.model import BuildSpec
    from melpy.rootfs.model import RootSpec
    from melpy.solve.model import Solution

_ASSEMBLED = r"[0-9a-f]{64}"


@dataclass
class Environment:
    """An environment, all of whose packages are in the store."""

    spec: BuildSpec
    root: RootSpec
    solution: Solution

    def start(self) -> float:
        """Return the seconds from the packages to the first line that a program in the sandbox prints."""
        lines: list[float] = []
        with tempfile.TemporaryDirectory(dir=self.spec.cache_dir) as name:
            directory = Path(name)
            start = time.perf_counter()
            with open_environment(self.solution, self.root, self.spec.store, events.Null(), "bench") as layers:
                spec = SandboxSpec(
                    root=make_root(layers, directory),
                    command=("/bin/sh", "-c", "echo first"),
                    workdir=PurePosixPath("/"),
                    environment=(("PATH", "/usr/bin"),),
                    state=directory / "state",
                    ids=find_id_range(),
                )
                outcome = run_sandbox(spec, lambda _: lines.append(time.perf_counter()))
            assert outcome.status == 0, outcome.tail
        return lines[0] - start

    def forget(self) -> None:
        """Remove what was assembled before; the packages stay."""
        for directory in (self.spec.cache_dir / STORE).iterdir():
            if re.fullmatch(_ASSEMBLED, directory.name):
                shutil.rmtree(directory)


def make_environment(spec: BuildSpec, packages: tuple[str, ...]) -> Environment:
    """Find the packages of an environment, and see to it that they are in the store."""
    root = make_build_root(host_arch().apk, packages)
    found = resolve_environment(EnvironmentSpec(root), Repositories(spec.repositories), where="bench")
    environment = Environment(spec, root, found.solution)
    environment.start()
    return environment


def make_large_repositories(directory: Path, own: int) -> Repositories:
    """Write the index of a large repository, and one of packages that were built here."""
    key = directory / "repository.rsa"
    public = write_key_pair(key, 2048)
    write_file(index_path(directory / "repository", "x86_64"), write_large_index(load_signer(key)))
    entries = [
        IndexEntry(PackageInfo(f"own-{number}", "1-r0", "x86_64"), f"Q1{number:026d}=", 1) for number in range(own)
    ]
    write_file(index_path(directory / "own", "x86_64"), write_index(entries))
    location = Location(str(directory / "repository"))
    servers = ServerCache(directory / "cache")
    return Repositories(RepositorySpec(directory / "own", servers, (location,), (str(public),)))
