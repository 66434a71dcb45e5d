"""Nothing is published that clients would refuse or misread: whole builds, and apk where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from melpy.apk.segment import read_entry
from tests.factories.elf import elf
from tests.factories.package import open_data, walk_as_apko
from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from pathlib import Path

TAIL = """\
subpackages:
  - name: one-tools
    pipeline:
      - runs: |
"""


def build(project: Project, runs: str, tail: str = "", version: str = "1.0") -> str:
    """Build a recipe and return what melpy said."""
    project.write("one.yaml", shell_recipe(runs=runs, tail=tail).replace("version: 1.0", f"version: {version}"))
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_a_name_that_apk_refuses_ends_the_build(project: Project) -> None:
    runs = "mkdir -p ${{targets.destdir}}/usr\nprintf x > \"${{targets.destdir}}/usr/a$(printf '\\nb')\""
    project.write("one.yaml", shell_recipe(runs=runs))
    result = project.melpy("build", "one.yaml")
    assert "error: one: usr/a\\nb has a control character in its name, which apk refuses" in result.stderr
    assert result.returncode != 0
    assert project.packages() == {}


def test_hidden_files_and_overlaps_are_warnings(project: Project) -> None:
    runs = "mkdir -p ${{targets.destdir}}/usr\necho 1 > ${{targets.destdir}}/usr/x\n: > ${{targets.destdir}}/.profile"
    tail = TAIL + "          mkdir -p ${{targets.subpkgdir}}/usr\n          echo 2 > ${{targets.subpkgdir}}/usr/x\n"
    said = build(project, runs, tail)
    assert "one: apk does not install what begins with a dot at the top: .profile" in said
    assert "one and one-tools differ in usr/x; where both are installed, those of the last one stay" in said


def test_what_leads_into_the_build_or_cannot_be_provided_is_a_warning(project: Project) -> None:
    runs = """\
        mkdir -p ${{targets.destdir}}/usr/bin
        printf '#!/bin/sh\\n' > ${{targets.destdir}}/usr/bin/prog~
        chmod 755 ${{targets.destdir}}/usr/bin/prog~
        ln -s $PWD/x ${{targets.destdir}}/usr/bin/x"""
    said = build(project, "\n".join(line.strip() for line in runs.split("\n")))
    assert "one: symlinks lead into directories that only the build has: usr/bin/x -> /home/build/x" in said
    assert "one: usr/bin/prog~: cannot be written as a dependency or provide: cmd:prog~=1.0-r0" in said
    assert read_entry(project.out / "x86_64/one-1.0-r0.apk").info.provides == ()


def test_a_file_for_another_architecture_is_a_warning(project: Project) -> None:
    project.write("one/README", "")
    (project.directory / "one/foreign").write_bytes(elf(machine=183, needed=["libc.so.6"], soname="libx.so.1"))
    build(project, "mkdir -p ${{targets.destdir}}/usr/lib\ncp foreign ${{targets.destdir}}/usr/lib/libx.so.1")
    info = read_entry(project.out / "x86_64/one-1.0-r0.apk").info
    assert (info.depends, info.provides) == ((), ())


def test_a_subpackage_depends_on_the_sibling_whose_library_it_links(project: Project) -> None:
    project.write("one/README", "")
    (project.directory / "one/libvend.so.1").write_bytes(elf(soname="libvend.so.1"))
    (project.directory / "one/tool").write_bytes(elf(needed=["libvend.so.1"], runpath="/usr/lib/one"))
    (project.directory / "one/tool").chmod(0o755)
    runs = "mkdir -p ${{targets.destdir}}/usr/lib/one\ncp libvend.so.1 ${{targets.destdir}}/usr/lib/one"
    tail = (
        TAIL + "          mkdir -p ${{targets.subpkgdir}}/usr/bin\n          cp tool ${{targets.subpkgdir}}/usr/bin\n"
    )
    build(project, runs, tail)
    assert read_entry(project.out / "x86_64/one-tools-1.0-r0.apk").info.depends == ("one=1.0-r0",)


def test_links_and_empty_directories_of_the_recipe_reach_the_steps(project: Project, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    project.write("one/file", "x")
    (project.directory / "one/link").symlink_to("file")
    (project.directory / "one/out").symlink_to(tmp_path / "secret")
    (project.directory / "one/empty").mkdir()
    runs = """\
        mkdir -p ${{targets.destdir}}/usr
        test "$(cat link)" = x
        test -d empty
        if cat out; then exit 1; fi
        cp -a link out empty ${{targets.destdir}}/usr"""
    build(project, "\n".join(line.strip() for line in runs.split("\n")))
    with open_data(project.out / "x86_64/one-1.0-r0.apk") as tar:
        links = {item.name: item.linkname for item in tar if item.issym()}
        assert tar.getmember("usr/empty").isdir()
    assert links == {"usr/link": "file", "usr/out": str(tmp_path / "secret")}


def test_other_bytes_under_a_name_and_version_are_a_warning(project: Project) -> None:
    runs = "mkdir -p ${{targets.destdir}}/usr\necho %s > ${{targets.destdir}}/usr/x"
    warning = "[one-1.0-r0/x86_64] warning: published before with other content: one-1.0-r0;"
    assert "published before" not in build(project, runs % 1)
    assert "published before" not in build(project, runs % 1)
    said = build(project, runs % 2)
    assert warning in said
    assert "clients that have installed it will not upgrade (raise the epoch in the recipe)" in said


def test_an_older_version_beside_a_newer_is_a_warning(project: Project) -> None:
    runs = "mkdir -p ${{targets.destdir}}/usr"
    assert "is older than" not in build(project, runs, version="1.9")
    assert "is older than" not in build(project, runs, version="1.10")
    said = build(project, runs, version="1.2")
    assert "one-1.2-r0 is older than one-1.10-r0 of the repository; clients will not take it" in said


needs_apk = pytest.mark.skipif(
    shutil.which("apk") is None or os.geteuid() != 0, reason="apk is not installed, or may not give files to others"
)


def install(project: Project, root: Path, *packages: str) -> subprocess.CompletedProcess[str]:
    """Install packages of the project with apk into a new root."""
    root.mkdir()
    command = ["apk", "add", "--root", str(root), "--initdb", "--arch", "x86_64", "--no-network", "--no-cache"]
    command += ["--keys-dir", str(project.repository.public_key.parent), "--repositories-file", "/dev/null"]
    command += ["--repository", str(project.out), *packages]
    return subprocess.run(command, check=False, capture_output=True, text=True)


LINKED = (
    TAIL
    + """\
          mkdir -p ${{targets.subpkgdir}}/usr/bin
          printf '#!/bin/sh\\n' > ${{targets.subpkgdir}}/usr/bin/cat
          chmod 755 ${{targets.subpkgdir}}/usr/bin/cat
  - name: one-user
    dependencies:
      runtime: ["cmd:cat"]
"""
)


@needs_apk
def test_apk_installs_links_to_commands_with_the_commands(project: Project, tmp_path: Path) -> None:
    runs = """\
        mkdir -p ${{targets.destdir}}/usr/bin
        printf '#!/bin/sh\\n' > ${{targets.destdir}}/usr/bin/box
        chmod 755 ${{targets.destdir}}/usr/bin/box
        ln -s box ${{targets.destdir}}/usr/bin/cat
        ln -s box ${{targets.destdir}}/usr/bin/ls"""
    build(project, "\n".join(line.strip() for line in runs.split("\n")), LINKED)
    assert read_entry(project.out / "x86_64/one-1.0-r0.apk").info.provides == ("cmd:box=1.0-r0",)
    for number, names in enumerate([("one", "one-tools"), ("one", "one-user"), ("one-user",)]):
        said = install(project, tmp_path / f"root{number}", *names)
        assert said.returncode == 0, said.stdout + said.stderr
    # The dependency selects the package that has the program.
    assert (tmp_path / "root2/usr/bin/cat").is_file()
    assert not (tmp_path / "root2/usr/bin/box").exists()


@needs_apk
def test_apk_fails_where_a_directory_and_a_link_are_a_warning(project: Project, tmp_path: Path) -> None:
    runs = "mkdir -p ${{targets.destdir}}/usr/lib64\necho > ${{targets.destdir}}/usr/lib64/x"
    tail = (
        TAIL + "          mkdir -p ${{targets.subpkgdir}}/usr\n          ln -s lib ${{targets.subpkgdir}}/usr/lib64\n"
    )
    said = build(project, runs, tail)
    assert "one and one-tools differ in usr/lib64: a directory in one of them only; apk cannot install both" in said
    done = install(project, tmp_path / "root", "one", "one-tools")
    assert done.returncode != 0
    assert "failed to commit usr/lib64: Is a directory" in done.stdout + done.stderr


@needs_apk
def test_apk_installs_what_was_built(project: Project, tmp_path: Path) -> None:
    runs = "mkdir -p ${{targets.destdir}}/usr/share/ü/empty\necho > '${{targets.destdir}}/usr/share/ü/a b'"
    build(project, runs)
    root = tmp_path / "root"
    assert install(project, root, "one").returncode == 0
    assert {path for path in walk_as_apko(project.out / "x86_64/one-1.0-r0.apk") if not (root / path).exists()} == set()
