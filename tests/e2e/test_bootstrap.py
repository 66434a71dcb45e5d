"""A seed is made from the real Debian archive, through the real apt."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from melpy.apk.index import read_entries
from melpy.apk.signature import load_keyring
from melpy.apk.version import compare_versions
from melpy.arch import parse_arch
from melpy.bootstrap.apt import prepare_apt, update_lists
from melpy.bootstrap.model import WantedSource
from melpy.bootstrap.seed import SeedSpec, extend_seed, find_answers, seed_repository
from melpy.bootstrap.source import OTHERS, find_sources
from melpy.bootstrap.version import map_version
from melpy.digest import file_digest
from melpy.errors import UnreachableError
from melpy.events import Null, Tape
from melpy.repo.repository import load_index
from melpy.run import run
from tests.factories.debian import debian_key
from tests.factories.project import Project
from tests.factories.repository import make_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELLO = "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b"
NEWER_HELLO = "0d5f60154382fee10b114a1c34e785d8b1f492073ae2d3a6f7b147687b366aa0"  # trixie has 2.10


@pytest.fixture
def spec(tmp_path: Path, require: Callable[..., None]) -> SeedSpec:
    require("apt-get", "/usr/share/keyrings/debian-archive-keyring.gpg")
    return SeedSpec("trixie", tmp_path)


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_a_seed_grows_by_what_is_asked_for_and_makes_nothing_twice(spec: SeedSpec, name: str) -> None:
    arch = parse_arch(name)
    repository = seed_repository(spec)
    first = extend_seed(spec, ["zlib-dev>=1.2", "zlob-dev"], arch)
    assert {"zlib-dev", "zlib1g-dev", "zlib1g", "libc6", "wolfi-baselayout"} <= set(first.added)
    assert list(first.unknown) == ["zlob-dev"]
    assert 5_000_000 < first.downloaded < 60_000_000

    found = read_entries(load_index(repository.root, arch.apk, keyring=load_keyring([repository.public_key])))
    entries = {entry.info.name: entry for entry in found}
    assert set(entries) == set(first.added)
    assert all(entry.info.arch == arch.apk for entry in found)
    provided = {item.partition("=")[0] for entry in found for item in entry.info.provides}
    assert {"so:libc.so.6", "so:libz.so.1", "pc:zlib"} <= provided
    depends = {item for entry in found for item in entry.info.depends}
    assert depends <= set(entries)

    files = {path: path.stat().st_mtime_ns for path in (repository.root / arch.apk).iterdir()}
    again = extend_seed(spec, ["zlib-dev", "zlob-dev"], arch)
    assert (again.added, again.reused, again.downloaded) == ((), len(entries), 0)
    assert again.seconds < 0.5
    more = extend_seed(spec, ["bzip2-dev", "so:libz.so.1"], arch)
    assert "libbz2-dev" in more.added
    assert "libc6" not in more.added
    assert not more.unknown
    assert all(path.stat().st_mtime_ns == time for path, time in files.items() if path.suffix == ".apk")


def test_the_answer_to_a_name_does_not_depend_on_what_was_asked_before(spec: SeedSpec, tmp_path: Path) -> None:
    arch = parse_arch("x86_64")
    names = ["so:libz.so.1", "so:libresolv.so.2", "pc:zlib", "cmd:cut"]
    expected = {"so:libz.so.1": "zlib1g", "so:libresolv.so.2": "libc6", "pc:zlib": "zlib1g-dev"}
    grown = SeedSpec(spec.suite, tmp_path / "grown")
    assert extend_seed(grown, ["coreutils"], arch).answers == {"coreutils": "coreutils"}  # it provides cmd:cut
    for seed in (spec, grown):
        for _ in range(2):
            report = extend_seed(seed, names, arch)
            assert (dict(report.answers), list(report.unknown)) == (expected, ["cmd:cut"])
            assert find_answers(seed, [*names, "bzip2"], arch) == expected
    # Offline, names that were never asked for are answered as well, where the package is there.
    assert find_answers(grown, ["libc6", "so:libm.so.6"], arch) == {"libc6": "libc6", "so:libm.so.6": "libc6"}


def test_an_environment_is_the_same_whatever_the_seed_has_made_for_others(spec: SeedSpec, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    repository.add("bzip2", version="0.1-r0", depends=("so:libz.so.1",))
    project = Project(tmp_path / "project", repository)
    with (project.directory / "melpy.toml").open("a") as stream:
        stream.write(f'seed = "{spec.suite}"\n')
    fresh = project.melpy("solve", "bzip2")
    assert fresh.returncode == 0, fresh.stderr
    assert "bzip2-0.1-r0" in fresh.stdout
    made = project.melpy("bootstrap", "bzip2", "zlib-dev")
    assert made.returncode == 0, made.stderr
    assert list(project.directory.glob("cache/seed/*/repository/x86_64/bzip2-1.*.apk"))
    assert project.melpy("solve", "bzip2").stdout == fresh.stdout
    assert project.melpy("solve", "bzip2", "--offline").stdout == fresh.stdout


def test_the_manifest_names_the_debian_packages(spec: SeedSpec) -> None:
    arch = parse_arch("x86_64")
    extend_seed(spec, ["zlib"], arch)
    manifest = json.loads((seed_repository(spec).root / arch.apk / "seed.json").read_bytes())
    package = manifest["packages"]["zlib1g"]
    assert (package["debian"], package["architecture"], len(package["sha256"])) == ("zlib1g", "amd64", 64)
    assert manifest["released"]


def test_what_was_interrupted_is_finished(spec: SeedSpec) -> None:
    arch = parse_arch("x86_64")
    extend_seed(spec, ["zlib"], arch)
    directory = seed_repository(spec).root / arch.apk
    before = (directory / "APKINDEX.tar.gz").read_bytes()
    (directory / "APKINDEX.tar.gz").unlink()
    assert extend_seed(spec, ["zlib"], arch).added == ()
    assert (directory / "APKINDEX.tar.gz").read_bytes() == before


def test_a_mirror_that_does_not_answer_is_an_error(spec: SeedSpec) -> None:
    nowhere = SeedSpec(spec.suite, spec.directory, "http://127.0.0.1:1/debian")
    with pytest.raises(UnreachableError, match="lists of the suite"):
        extend_seed(nowhere, ["zlib"], parse_arch("x86_64"))


def test_an_upstream_archive_is_found_by_its_digest(spec: SeedSpec, tmp_path: Path) -> None:
    hello = WantedSource("sha256", HELLO, "https://ftp.gnu.org/gnu/hello/hello-2.10.tar.gz")
    nothing = WantedSource("sha256", "0" * 64, "https://example.org/nothing-1.tar.gz")
    stored: dict[WantedSource, Path] = {}

    def store(path: Path, source: WantedSource) -> None:
        stored[source] = path.rename(tmp_path / "stored")

    monitor = Tape()
    assert find_sources(spec, [nothing, hello], store, monitor) == {hello: spec.suite}
    assert file_digest(stored[hello]) == HELLO
    assert monitor.events
    assert find_sources(spec, [], store, Null()) == {}


def test_an_archive_that_the_suite_has_not_is_found_in_another(spec: SeedSpec, tmp_path: Path) -> None:
    uri = "https://ftp.gnu.org/gnu/hello/hello-2.12.3.tar.gz"
    newer = WantedSource("sha256", NEWER_HELLO, uri)

    def store(path: Path, _source: WantedSource) -> None:
        path.rename(tmp_path / "stored")

    found = find_sources(spec, [newer], store, Null())
    assert found.keys() == {newer}
    assert found[newer] in OTHERS
    assert file_digest(tmp_path / "stored") == NEWER_HELLO


def test_all_versions_of_the_suite_keep_their_order(spec: SeedSpec, require: Callable[..., None]) -> None:
    """Epochs aside, as dpkg has it: each version is below the next, and no two are one."""
    require("dpkg")
    apt = prepare_apt(spec, "amd64")
    update_lists(apt)
    text = "".join(path.read_text(encoding="utf-8") for path in apt.lists)
    versions = sorted(set(re.findall(r"(?m)^Version: (\S+)$", text)), key=debian_key)
    assert len(versions) > 20_000
    for left, right in pairwise(versions):
        order = -1 if debian_key(left) < debian_key(right) else 0
        assert compare_versions(map_version(left), map_version(right)) == order, (left, right)
    plain = [version for version in versions if ":" not in version]
    for left, right in list(pairwise(plain))[::100]:
        operator = "lt" if debian_key(left) < debian_key(right) else "eq"
        assert run(["dpkg", "--compare-versions", left, operator, right], check=False).status == 0, (left, right)
