"""What a seed answers without looking at the suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.arch import parse_arch
from melpy.bootstrap.apt import prepare_apt
from melpy.bootstrap.extension import load_resolver
from melpy.bootstrap.manifest import Made, Manifest, is_current, load_manifest, write_manifest
from melpy.bootstrap.seed import SeedSpec, extend_seed, find_answered, find_answers, seed_repository
from melpy.bootstrap.table import recipe_digest
from melpy.codec import replace
from melpy.digest import sha256_hex
from melpy.errors import PackageFormatError, SeedError
from melpy.events import Null
from melpy.files import write_file
from tests.unit.bootstrap.packages import stanza

if TYPE_CHECKING:
    from pathlib import Path

ARCH = parse_arch("x86_64")


def settle(spec: SeedSpec) -> Manifest:
    directory = seed_repository(spec).root / ARCH.apk
    manifest = Manifest(
        suite=spec.suite,
        recipe=recipe_digest(spec.suite),
        index=sha256_hex(b"index"),
        packages={"zlib1g": Made("zlib1g-1-r0.apk", "Q1x", "0" * 64, "zlib1g", "1", "amd64", "1" * 64)},
        requests={"zlib-dev": "zlib-dev"},
        unknown={"zlob": ("zlib",)},
    )
    write_manifest(directory, manifest)
    write_file(directory / "APKINDEX.tar.gz", b"index")
    return manifest


def test_paths_need_no_files(tmp_path: Path) -> None:
    repository = seed_repository(SeedSpec("trixie", tmp_path))
    assert repository.root == tmp_path / "trixie/repository"
    assert repository.public_key.name == "melpy-seed-trixie.rsa.pub"
    assert not repository.exists(ARCH)


def test_what_was_asked_for_before_is_answered_at_once(tmp_path: Path) -> None:
    # Unit tests may not start processes: apt would fail this test.
    spec = SeedSpec("trixie", tmp_path)
    settle(spec)
    report = extend_seed(spec, ["zlib-dev>=1.2", "zlob", "!other"], ARCH)
    assert (report.added, report.reused, dict(report.unknown)) == ((), 1, {"zlob": ("zlib",)})
    assert report.answers == find_answers(spec, ["zlib-dev", "zlob", "other"], ARCH) == {"zlib-dev": "zlib-dev"}
    assert seed_repository(spec).exists(ARCH)
    assert find_answered(spec, ARCH) == {"zlib-dev"}


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec = SeedSpec("trixie", tmp_path)
    manifest = settle(spec)
    directory = seed_repository(spec).root / ARCH.apk
    assert load_manifest(directory) == manifest
    assert is_current(directory, manifest)


def test_an_index_of_an_interrupted_run_is_not_trusted(tmp_path: Path) -> None:
    spec = SeedSpec("trixie", tmp_path)
    manifest = settle(spec)
    directory = seed_repository(spec).root / ARCH.apk
    write_file(directory / "APKINDEX.tar.gz", b"other")
    assert not is_current(directory, manifest)


@pytest.mark.parametrize("data", ["", "{", "[]", '{"format": 0}', '{"format": 1, "packages": {"a": {}}}'])
def test_a_broken_manifest_is_an_empty_one(tmp_path: Path, data: str) -> None:
    (tmp_path / "seed.json").write_text(data)
    assert load_manifest(tmp_path) == Manifest()


def test_an_unknown_suite_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="no table"):
        extend_seed(SeedSpec("hamm", tmp_path), ["a"], ARCH)


def test_what_is_no_atom_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PackageFormatError):
        extend_seed(SeedSpec("trixie", tmp_path), ["a b"], ARCH)


def test_without_lists_nothing_is_offered(tmp_path: Path) -> None:
    assert load_resolver(SeedSpec("trixie", tmp_path), ARCH, Null(), offline=True) is None


def test_what_the_lists_of_a_suite_offer(tmp_path: Path) -> None:
    spec = SeedSpec("trixie", tmp_path)
    lists = prepare_apt(spec, ARCH.debian).home / "lists"
    (lists / "mirror_dists_trixie_main_binary-amd64_Packages").write_text(stanza("zlib1g-dev", source="zlib"))
    resolver = load_resolver(spec, ARCH, Null(), offline=True)
    assert resolver
    assert [name for name in ("zlib-dev", "zlob-dev") if resolver.find_answer(name)] == ["zlib-dev"]


def test_a_seed_by_other_rules_has_no_answers(tmp_path: Path) -> None:
    spec = SeedSpec("trixie", tmp_path)
    write_manifest(seed_repository(spec).root / ARCH.apk, replace(settle(spec), recipe="other"))
    assert find_answered(spec, ARCH) == frozenset()
