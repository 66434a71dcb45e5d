"""`melpy lock`, and builds that take what was locked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from melpy.apk.index import read_entries, read_index, write_index
from melpy.apk.segment import read_segments
from melpy.apk.signature import load_keyring, load_signer, write_key_pair
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import Repository, add_busybox, make_repository

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = shell_recipe().replace("      - busybox\n", "      - busybox\n      - tool\n")
TEST = """
test:
  environment:
    contents:
      packages: [checker]
  pipeline:
    - runs: true
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = make_repository(tmp_path)
    add_busybox(found, tmp_path)
    for name in ("tool", "checker"):
        found.add(name)
    return found


@pytest.fixture
def project(tmp_path: Path, repository: Repository) -> Project:
    found = Project(tmp_path / "project", repository)
    found.write("one.yaml", RECIPE + TEST)
    return found


def environment(project: Project) -> list[str]:
    """Return the packages that the package was built in."""
    with (project.out / "x86_64/one-1.0-r0.apk").open("rb") as stream:
        inputs = json.loads(read_segments(stream, where="").files[".melpy.json"])
    return [f"{package['name']}={package['version']}" for package in inputs["environment"]]


def test_a_build_takes_what_was_locked(project: Project, repository: Repository) -> None:
    run = project.melpy("lock", "one.yaml")
    assert (run.returncode, run.stderr) == (0, "melpy-x86_64.lock: 1 recipe, 3 packages\n")
    text = (project.directory / "melpy-x86_64.lock").read_text()
    repository.add("tool", version="2-r0")
    assert project.melpy("build", "--lock", "one.yaml").returncode == 0
    assert environment(project) == ["busybox=1-r0", "tool=1-r0"]
    assert project.melpy("build", "one.yaml").returncode == 0
    assert environment(project) == ["busybox=1-r0", "tool=2-r0"]
    assert project.melpy("lock", "one.yaml").returncode == 0
    assert (project.directory / "melpy-x86_64.lock").read_text() != text


def test_a_lock_says_who_signed_and_has_the_tests(project: Project, repository: Repository) -> None:
    assert project.melpy("lock", "one.yaml").returncode == 0
    lock = json.loads((project.directory / "melpy-x86_64.lock").read_text())
    keyring = load_keyring([repository.public_key])
    assert lock["repositories"] == {str(repository.root): {"key": "test.rsa.pub", "pem": keyring.pem("test.rsa.pub")}}
    assert [package["name"] for package in lock["recipes"]["one"]["packages"]] == ["busybox", "tool"]
    # The package that is tested is not built yet.
    assert [package["name"] for package in lock["recipes"]["one"]["tests"]["one"]["packages"]] == ["checker"]
    assert project.melpy("build", "one.yaml").returncode == 0
    assert project.melpy("lock", "one.yaml").returncode == 0
    tested = json.loads((project.directory / "melpy-x86_64.lock").read_text())["recipes"]["one"]["tests"]["one"]
    assert {package["name"]: package["repository"] for package in tested["packages"]} == {
        "checker": str(repository.root),
        "one": "out-dir",
    }


def test_what_flags_name_is_locked_and_not_asked_for_again(project: Project, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "other.rsa", 2048)
    other = Repository(tmp_path / "other", load_signer(tmp_path / "other.rsa"), tmp_path / "other.rsa.pub")
    other.add("tool", version="3-r0")
    run = project.melpy("lock", "one.yaml", "-r", str(other.root), "-k", str(other.public_key))
    assert run.returncode == 0, run.stderr
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode == 0, run.stderr
    assert environment(project) == ["busybox=1-r0", "tool=3-r0"]


def test_a_locked_package_is_signed_by_the_locked_key(project: Project, repository: Repository, tmp_path: Path) -> None:
    assert project.melpy("lock", "one.yaml").returncode == 0
    write_key_pair(tmp_path / "evil.rsa", 2048)
    tool = repository.root / "x86_64/tool-1-r0.apk"
    assert project.melpy("sign", str(tool), "--signing-key", str(tmp_path / "evil.rsa")).returncode == 0
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode != 0
    assert f"{tool}: signed with 'evil.rsa.pub' (RSA256), which is not trusted" in run.stderr
    assert project.melpy("build", "--lock", "one.yaml", "-k", str(tmp_path / "evil.rsa.pub")).returncode == 0
    assert project.melpy("build", "--lock", "--ignore-signatures", "one.yaml").returncode == 0
    assert project.melpy("lock", "--ignore-signatures", "one.yaml").returncode == 0
    run = project.melpy("build", "--lock", "one.yaml")
    assert f"melpy-x86_64.lock: has no key for {repository.root}" in run.stderr


def test_packages_for_every_architecture_are_locked(project: Project, repository: Repository) -> None:
    entry = repository.add("tool", version="2-r0", arch="noarch")
    index = repository.root / "x86_64/APKINDEX.tar.gz"
    keyring = load_keyring([repository.public_key])
    others = read_entries(read_index(index.read_bytes(), keyring=keyring, where=""))
    index.write_bytes(write_index([*others, entry], signer=repository.signer))
    assert project.melpy("lock", "one.yaml").returncode == 0
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode == 0, run.stderr
    assert environment(project) == ["busybox=1-r0", "tool=2-r0"]


def test_a_repository_below_the_lock_file_may_move_with_it(project: Project, repository: Repository) -> None:
    moved = project.directory / "packages"
    repository.root.rename(moved)
    settings = (project.directory / "melpy.toml").read_text().replace(str(repository.root), "packages")
    project.write("melpy.toml", settings)
    assert project.melpy("lock", "one.yaml").returncode == 0
    assert str(project.directory) not in (project.directory / "melpy-x86_64.lock").read_text()
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode == 0, run.stderr


def test_what_is_not_as_it_was_locked_is_refused(project: Project, repository: Repository) -> None:
    assert project.melpy("lock", "one.yaml").returncode == 0
    tool = repository.root / "x86_64/tool-1-r0.apk"
    repository.add("tool", description="another of the same name")
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode == 36
    assert f"error: {tool}: is another tool-1-r0 than melpy-x86_64.lock locks" in run.stderr
    tool.unlink()
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode == 36
    assert "tool-1-r0 is not there any more\n  it is locked in melpy-x86_64.lock\n" in run.stderr
    project.write("one.yaml", RECIPE.replace("- tool", "- tool>0"))
    run = project.melpy("build", "--lock", "one.yaml")
    assert run.returncode == 36
    assert "locks another environment of one" in run.stderr
    assert "  tool>0 is asked for now\n" in run.stderr
    lock = project.directory / "melpy-x86_64.lock"
    project.write("one.yaml", RECIPE)
    repository.add("tool", depends=("checker",))
    assert project.melpy("lock", "one.yaml").returncode == 0
    text = lock.read_text()
    (line,) = [line for line in text.splitlines() if '"name": "checker"' in line]
    lock.write_text(text.replace(f"{line}\n", ""))
    run = project.melpy("build", "--lock", "one.yaml")
    assert "locks packages for one that do not go together\n  tool-1-r0 needs checker\n" in run.stderr
    project.write("two.yaml", shell_recipe().replace("name: one", "name: two"))
    run = project.melpy("build", "--lock", "two.yaml")
    assert "melpy-x86_64.lock: does not lock two for x86_64" in run.stderr
    run = project.melpy("build", "--lock", "--arch", "aarch64", "one.yaml")
    assert "melpy-aarch64.lock: no such lock file" in run.stderr
    run = project.melpy("build", "--lock", "--lock-file", "melpy-x86_64.lock", "--arch", "aarch64", "one.yaml")
    assert "is for x86_64, not for aarch64" in run.stderr
