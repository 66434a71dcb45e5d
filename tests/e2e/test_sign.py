"""`melpy sign` and `melpy sign-index` on what melpy built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from melpy.apk.archive import read_segments
from melpy.apk.index import split_signatures
from melpy.apk.signature import write_key_pair
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_busybox, make_repository

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "out/x86_64/one-1.0-r0.apk"
INDEX = "out/x86_64/APKINDEX.tar.gz"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    repository = make_repository(tmp_path)
    add_busybox(repository, tmp_path)
    found = Project(tmp_path / "project", repository)
    found.write("one.yaml", shell_recipe())
    built = found.melpy("build", "one.yaml")
    assert built.returncode == 0, built.stderr
    write_key_pair(found.directory / "new.rsa", 2048)
    found.write("none/melpy.toml", "")
    return found


def trusted(project: Project, path: str) -> list[str]:
    """Return the keys, old and new, by which a file is verified."""
    keys = {"old": str(project.repository.public_key), "new": "new.rsa.pub"}
    bare = ("--config", "none/melpy.toml")
    return [name for name, key in keys.items() if project.melpy("verify", path, "-k", key, *bare).returncode == 0]


def test_another_key_in_the_place_of_the_first(project: Project) -> None:
    path = project.directory / PACKAGE
    with path.open("rb") as stream:
        before = read_segments(stream, where="")
        stream.seek(before.data_offset)
        data = stream.read()
    run = project.melpy("sign", PACKAGE, "--signing-key", "new.rsa")
    assert (run.returncode, run.stderr) == (0, "1 package signed with new.rsa.pub\n")
    assert trusted(project, PACKAGE) == ["new"]
    with path.open("rb") as stream:
        after = read_segments(stream, where="")
        stream.seek(after.data_offset)
        assert (after.control, stream.read()) == (before.control, data)


def test_one_key_more(project: Project) -> None:
    for _ in range(2):
        assert project.melpy("sign", PACKAGE, "--add", "--signing-key", "new.rsa").returncode == 0
        assert project.melpy("sign-index", INDEX, "--add", "--signing-key", "new.rsa").returncode == 0
    assert trusted(project, PACKAGE) == trusted(project, INDEX) == ["old", "new"]
    with (project.directory / PACKAGE).open("rb") as stream:
        assert len(read_segments(stream, where="").signatures) == 2
    assert len(split_signatures((project.directory / INDEX).read_bytes(), "")[0]) == 2


def test_the_same_key_gives_the_same_bytes(project: Project) -> None:
    files = [project.directory / PACKAGE, project.directory / INDEX]
    before = [file.read_bytes() for file in files]
    assert project.melpy("sign", PACKAGE).returncode == 0
    assert project.melpy("sign-index", INDEX, "--force").returncode == 0
    assert [file.read_bytes() for file in files] == before


def test_an_index_that_is_signed_stays_as_it_is(project: Project) -> None:
    run = project.melpy("sign-index", INDEX, "--signing-key", "new.rsa")
    assert (run.returncode, run.stderr) == (0, f"{INDEX}: is signed already\n")
    assert trusted(project, INDEX) == ["old"]
    assert project.melpy("sign-index", INDEX, "--signing-key", "new.rsa", "-f").returncode == 0
    assert trusted(project, INDEX) == ["new"]


def test_what_cannot_be_signed(project: Project) -> None:
    project.write("text.apk", "no package")
    assert "is not a gzip file" in project.melpy("sign", "text.apk").stderr
    assert "cannot be read" in project.melpy("sign", "nowhere.apk").stderr
    assert "is not an index" in project.melpy("sign-index", "text.apk", "--force").stderr
    run = project.melpy("sign", PACKAGE, "--config", "none/melpy.toml")
    assert (run.returncode, "no key is named" in run.stderr) == (20, True)
