"""Capabilities and ACLs that steps give to files are in the package, without an id of this machine."""

from __future__ import annotations

import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from melpy.sandbox.identity import find_id_range
from tests.factories.project import Project, shell_recipe
from tests.factories.repository import add_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUT = "${{targets.destdir}}"
SETCAP = "setcap:\n  - path: {path}\n    add:\n      cap_net_raw: ep\n    reason: a test\n"
BIND = struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 0)
RAW = struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, 0)


@pytest.fixture(autouse=True)
def tools(project: Project, tmp_path: Path, require: Callable[..., None]) -> None:
    require("setfacl")
    if find_id_range() is None:
        pytest.skip("this machine grants this user no ids")
    for program in ("setcap", "setfacl"):
        add_program(project.repository, tmp_path, program)


def build(project: Project, script: str, *, head: str = "") -> dict[str, dict[str, bytes]]:
    """Build a recipe and return the extended attributes of each file of its package."""
    recipe = shell_recipe(runs=f"mkdir -p {OUT}\ncd {OUT}\n{script}", head=head)
    project.write("one.yaml", recipe.replace("- busybox", "- busybox\n      - setcap\n      - setfacl"))
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 0, result.stderr
    found = {}
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        for member in tar:
            records = {
                name.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape")
                for name, value in member.pax_headers.items()
                if name.startswith("SCHILY.xattr.")
            }
            if records:
                found[member.name.rstrip("/")] = records
    return found


def test_capabilities_of_a_step_have_the_root_of_every_machine(project: Project) -> None:
    script = "touch ping\nsetcap cap_net_bind_service=+ep ping\n"
    assert build(project, script) == {"ping": {"security.capability": BIND}}


def test_capabilities_stay_on_a_file_that_was_given_to_another_user(project: Project) -> None:
    script = "touch ping\nchown 8:12 ping\nsetcap cap_net_bind_service=+ep ping\nchmod 4755 ping\n"
    assert build(project, script) == {"ping": {"security.capability": BIND}}


def test_capabilities_of_a_step_are_on_all_hard_links(project: Project) -> None:
    script = "touch z\nln z a\nsetcap cap_net_bind_service=+ep z\n"
    assert build(project, script) == {key: {"security.capability": BIND} for key in ("a", "z")}


@pytest.mark.parametrize("path", ["a", "b", "directory/c"])
def test_capabilities_of_the_recipe_are_on_all_hard_links(project: Project, path: str) -> None:
    head = "".join(f"  {line}\n" for line in SETCAP.format(path=path).splitlines())
    script = "touch b\nln b a\nmkdir directory\nln b directory/c\n"
    assert build(project, script, head=head) == {key: {"security.capability": RAW} for key in ("a", "b", "directory/c")}


def test_the_recipe_has_the_last_word_on_capabilities(project: Project) -> None:
    head = "".join(f"  {line}\n" for line in SETCAP.format(path="ping").splitlines())
    script = "touch ping\nsetcap cap_net_bind_service=+ep ping\n"
    assert build(project, script, head=head) == {"ping": {"security.capability": RAW}}


def test_acls_name_the_ids_of_the_package(project: Project) -> None:
    script = "touch file\nchmod 640 file\nsetfacl -m u:8:r,u:1000:rw,g:12:r file\nmkdir d\nsetfacl -d -m u:33:rx d\n"
    found = build(project, script)

    def entries(value: bytes) -> list[tuple[int, int, int]]:
        assert value[:4] == b"\x02\0\0\0"
        return list(struct.iter_unpack("<HHI", value[4:]))

    none = 0xFFFFFFFF
    assert entries(found["file"]["system.posix_acl_access"]) == [
        *[(0x01, 6, none), (0x02, 6, 0), (0x02, 4, 8), (0x04, 4, none), (0x08, 4, 12), (0x10, 6, none), (0x20, 0, none)]
    ]
    assert (0x02, 5, 33) in entries(found["d"]["system.posix_acl_default"])


def test_an_acl_of_the_directory_of_the_cache_changes_nothing(project: Project) -> None:
    script = "touch file\nmkdir directory\n"
    assert build(project, script) == {}
    before = project.packages()
    subprocess.run(["setfacl", "-d", "-m", "u::rwx,g::rwx,o::rwx,u:8:rwx", project.directory / "cache"], check=True)
    subprocess.run(
        ["setfacl", "-d", "-m", "u::rwx,g::rwx,o::rwx,u:8:rwx", project.directory / "cache/work"], check=True
    )
    assert build(project, script) == {}
    assert project.packages() == before
