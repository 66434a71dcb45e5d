"""`melpy verify` on what melpy built."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from melpy.apk.signature import write_key_pair
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_busybox, make_repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    found = Project(tmp_path / "project", repository)
    for name in ("one", "two"):
        found.write(f"recipes/{name}.yaml", shell_recipe(name))
    built = found.melpy("build", "recipes")
    assert built.returncode == 0, built.stderr
    return found


def test_a_repository_packages_and_an_index(project: Project) -> None:
    for paths in ([], ["out"], ["out/x86_64"]):
        run = project.melpy("verify", *paths)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "3 files verified\n")
    run = project.melpy(
        "verify", "out/x86_64/one-1.0-r0.apk", "out/x86_64/APKINDEX.tar.gz", str(project.repository.root)
    )
    assert run.returncode == 0, run.stderr


def test_what_is_not_as_it_should_be(project: Project) -> None:
    directory = project.out / "x86_64"
    package = directory / "one-1.0-r0.apk"
    content = bytearray(package.read_bytes())
    content[-30] ^= 1  # in the data, which only its hash in the signed part vouches for
    package.write_bytes(content)
    (directory / "two-1.0-r0.apk").unlink()
    run = project.melpy("verify", "--json")
    found = {item["where"].rpartition("/")[2]: item["message"] for item in json.loads(run.stdout)}
    assert found["two-1.0-r0.apk"] == "is in the index and not there"
    assert "its data member has SHA-256" in found["one-1.0-r0.apk"]
    assert run.returncode == 33
    assert project.melpy("verify", "out/x86_64/one-1.0-r0.apk").returncode not in {0, 33}


def test_a_package_in_the_place_of_another(project: Project) -> None:
    directory = project.out / "x86_64"
    shutil.copy(directory / "two-1.0-r0.apk", directory / "one-1.0-r0.apk")
    run = project.melpy("verify")
    assert run.returncode != 0
    assert "one-1.0-r0.apk: is not the package that the index names" in run.stderr


def test_a_key_that_is_not_trusted(project: Project, tmp_path: Path) -> None:
    other = write_key_pair(tmp_path / "other.rsa", 2048)
    project.write("elsewhere/melpy.toml", f'keyring = ["{other}"]\n')
    run = project.melpy("verify", "out/x86_64/one-1.0-r0.apk", "--config", "elsewhere/melpy.toml")
    assert (run.returncode, "which is not trusted" in run.stderr) == (33, True)
    project.write("elsewhere/melpy.toml", "")
    assert project.melpy("verify", "out", "--config", "elsewhere/melpy.toml").returncode == 20


def test_settings_are_those_of_the_current_directory(project: Project, tmp_path: Path) -> None:
    """What a repository says of the keys to be trusted counts for nothing."""
    moved = tmp_path / "elsewhere/out"
    moved.parent.mkdir()
    shutil.copytree(project.out, moved)
    assert project.melpy("verify", str(moved)).stderr == "3 files verified\n"
    assert project.melpy("verify", "../elsewhere/out/x86_64/one-1.0-r0.apk").returncode == 0
    key = project.repository.public_key
    (moved / "melpy.toml").write_text(f'keyring = ["{key}"]\n')
    here = Project(tmp_path / "here", project.repository)
    (here.directory / "melpy.toml").unlink()
    run = here.melpy("verify", str(moved))
    assert (run.returncode, "no key is trusted" in run.stderr) == (20, True), run.stderr
    # Those of a directory above it do where there are no others.
    (moved.parent / "melpy.toml").write_text(f'keyring = ["{key}"]\n')
    assert here.melpy("verify", str(moved)).returncode == 0
    # Of another project's recipe, its own settings come first, and then those of the current directory.
    shutil.copytree(project.directory / "recipes", tmp_path / "loose")
    said = json.loads(project.melpy("config", "--json", "../loose").stdout)
    assert said["out-dir"]["value"] == str(project.out)
    (tmp_path / "loose/melpy.toml").write_text("")
    assert json.loads(project.melpy("config", "--json", "../loose").stdout)["out-dir"]["origin"] == "default"


def test_what_is_not_there(project: Project) -> None:
    run = project.melpy("verify", "nowhere", "recipes")
    assert "nowhere: is not there" in run.stderr
    assert "recipes: is no repository" in run.stderr
