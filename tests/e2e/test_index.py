"""`melpy index` as a user runs it: files, repositories, several processes, and one that is killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from melpy.apk.index import read_entries, read_index
from melpy.apk.signature import load_keyring, write_key_pair
from melpy.repo import inventory
from melpy.repo.inventory import read_records
from melpy.repo.layout import list_packages
from melpy.repo.memory import stamp_files
from tests.factories.project import Project
from tests.factories.repository import make_repository

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 25


@pytest.fixture
def project(tmp_path: Path) -> Project:
    repository = make_repository(tmp_path)
    for name in ("a", "b", "c"):
        repository.add(name)
    return Project(tmp_path / "project", repository)


def names(project: Project, index: Path) -> list[str]:
    """Return the packages of an index that is whole and signed."""
    keyring = load_keyring([project.repository.public_key])
    return [entry.info.name for entry in read_entries(read_index(index.read_bytes(), keyring=keyring, where="index"))]


def test_files_with_melanges_flags(project: Project) -> None:
    packages = sorted(map(str, project.repository.root.glob("x86_64/*.apk")))
    index = project.directory / "APKINDEX.tar.gz"
    run = project.melpy("index", packages[0])
    assert (run.returncode, run.stderr) == (0, "APKINDEX.tar.gz: 1 package\n")
    run = project.melpy("index", "-m", "-a", "x86_64", packages[1])
    assert (run.returncode, names(project, index)) == (0, ["a", "b"])
    run = project.melpy("index", "--merge", "-s", "APKINDEX.tar.gz", "-o", "more/INDEX", packages[2], "--json")
    assert json.loads(run.stdout) == [
        {
            "index": "more/INDEX",
            "packages": 3,
            "read": 1,
            "written": True,
            "signed": True,
            "left_out": [],
            "repeated": [],
        }
    ]
    assert names(project, project.directory / "more/INDEX") == ["a", "b", "c"]


def test_a_directory_is_a_repository_or_a_part_of_one(project: Project) -> None:
    root = project.repository.root
    index = root / "x86_64/APKINDEX.tar.gz"
    right = index.read_bytes()
    for place in (root, root / "x86_64"):
        index.unlink()
        run = project.melpy("index", str(place))
        assert (run.returncode, run.stderr) == (0, f"{index}: 3 packages\n")
        assert index.read_bytes() == right
    run = project.melpy("index", "-o", "all", str(root / "x86_64"))
    assert (run.returncode, names(project, project.directory / "all")) == (0, ["a", "b", "c"])


def test_what_is_signed_is_merged_only_with_what_was_signed(project: Project) -> None:
    package = str(next(project.repository.root.glob("x86_64/a-*.apk")))
    write_key_pair(project.directory / "evil.rsa", 2048)
    assert project.melpy("index", "-o", "evil", package, "--signing-key", "evil.rsa").returncode == 0
    merge = ("index", "-m", "-s", "evil", "-o", "good", package)
    run = project.melpy(*merge)
    assert run.returncode != 0
    assert "signed with 'evil.rsa.pub'" in run.stderr
    assert not (project.directory / "good").exists()
    assert project.melpy(*merge, "-k", "evil.rsa.pub").returncode == 0
    assert project.melpy(*merge, "--ignore-signatures").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-s", "old", "x.apk"), "--source goes with --merge"),
        (("-m",), "--merge goes with packages"),
        (("--out-dir", "r", "x.apk"), "--out-dir names the repository, and packages are named, too"),
        (("nowhere/",), "nowhere: cannot be read: no such file or directory"),
        (("--out-dir", "nowhere"), "nowhere: no such directory"),
        ((".", "x.apk"), "holds no packages"),
        (("x.apk",), "x.apk: cannot be read: no such file or directory"),
        (("-a", "x86_64,aarch64", "x.apk"), "an index is for one architecture"),
        (("-m", "-s", "none", "x.apk"), "none: cannot be read: no such file or directory"),
    ],
)
def test_wrong_input_is_told(project: Project, arguments: tuple[str, ...], message: str) -> None:
    run = project.melpy("index", *arguments)
    assert run.returncode != 0
    assert message in run.stderr
    assert not (project.directory / "APKINDEX.tar.gz").exists()


def test_a_key_that_can_be_read_once_signs_every_architecture(project: Project) -> None:
    project.repository.add("a", arch="aarch64")
    project.environment["KEY"] = (project.repository.public_key.with_suffix("")).read_text()
    flags = ("--signing-key", "env:KEY", "--signing-key-name", "test.rsa.pub")
    for arch in ("x86_64", "aarch64"):
        (project.repository.root / arch / "APKINDEX.tar.gz").unlink()
    run = project.melpy("index", str(project.repository.root), *flags)
    assert run.returncode == 0, run.stderr
    assert names(project, project.repository.root / "aarch64/APKINDEX.tar.gz") == ["a"]


def test_an_architecture_whose_packages_are_gone_has_an_empty_index(project: Project) -> None:
    project.repository.add("a", arch="aarch64")
    (project.repository.root / "aarch64/a-1-r0.apk").unlink()
    run = project.melpy("index", str(project.repository.root))
    assert run.returncode == 0, run.stderr
    assert names(project, project.repository.root / "aarch64/APKINDEX.tar.gz") == []


def test_one_index_is_for_one_architecture_merged_or_not(project: Project) -> None:
    project.repository.add("arm", arch="aarch64")
    root = project.repository.root
    merge = (
        "index",
        "-m",
        "-s",
        str(root / "x86_64/APKINDEX.tar.gz"),
        "-o",
        "both",
        str(root / "aarch64/arm-1-r0.apk"),
    )
    run = project.melpy(*merge)
    assert run.returncode != 0
    assert f"is for aarch64, and {root}/x86_64/APKINDEX.tar.gz for x86_64" in run.stderr
    run = project.melpy("index", "-o", "none", "-a", "x86_64", str(root / "aarch64/arm-1-r0.apk"))
    assert run.returncode != 0
    assert "none of the packages is for x86_64" in run.stderr
    assert not (project.directory / "none").exists()


def test_an_index_that_loses_its_signature_is_told(project: Project) -> None:
    project.write("none/melpy.toml", "")
    root = str(project.repository.root)
    run = project.melpy("index", root, "--config", "none/melpy.toml")
    assert run.returncode == 0
    key = project.repository.public_key.name
    assert f"APKINDEX.tar.gz: was signed with {key}, and is not any more\nhint: name the key with" in run.stderr
    assert project.melpy("index", root).returncode == 0
    assert names(project, project.repository.root / "x86_64/APKINDEX.tar.gz") == ["a", "b", "c"]


def test_only_an_index_is_signed_as_one(project: Project) -> None:
    package = project.repository.root / "x86_64/a-1-r0.apk"
    before = package.read_bytes()
    key = str(project.repository.public_key.with_suffix(""))
    run = project.melpy("sign-index", "--force", "--signing-key", key, str(package))
    assert run.returncode != 0
    assert "is not an index" in run.stderr
    assert package.read_bytes() == before


def test_several_processes_read_what_one_would(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = project.repository.root / "x86_64"
    (directory / "broken.apk").write_bytes(b"no package")
    monkeypatch.setattr(inventory, "_PARALLEL_FROM", 2)
    monkeypatch.setattr(inventory, "_CHUNK", 1)
    time.sleep(0.2)  # files that changed a moment ago have no stamp yet
    stamps = stamp_files(str(directory), list_packages(directory))
    assert read_records(str(directory), stamps, {}, 2) == read_records(str(directory), stamps, {}, 1)


def test_whoever_is_killed_leaves_the_old_index_or_the_new(project: Project) -> None:
    directory = project.repository.root / "x86_64"
    index = directory / "APKINDEX.tar.gz"
    package = directory / "c-1-r0.apk"
    content = package.read_bytes()
    command = [sys.executable, "-m", "melpy", "index", str(project.repository.root)]
    start = time.monotonic()
    subprocess.run(command, cwd=project.directory, check=True, stderr=subprocess.DEVNULL)
    whole = time.monotonic() - start
    rng = random.Random(5)
    seen = set()
    for number in range(KILLS):
        # Each run has something to write: a package comes, or goes.
        package.write_bytes(content) if number % 2 else package.unlink()
        process = subprocess.Popen(command, cwd=project.directory, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.1, 1.5) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        found = names(project, index)
        assert found in (["a", "b"], ["a", "b", "c"])
        seen.add((len(found), process.returncode))
    assert any(code == -signal.SIGKILL for _, code in seen)
    assert any(code == 0 for _, code in seen)
    assert project.melpy("index", str(project.repository.root)).returncode == 0
    assert names(project, index) == [path.name[0] for path in sorted(directory.glob("*.apk"))]
    assert not list(directory.glob(".*"))
