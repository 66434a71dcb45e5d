"""Files that steps give to others belong to them in the package, wherever ids are granted."""

from __future__ import annotations

import tarfile

import pytest

from melpy.sandbox.identity import find_id_range
from tests.factories.project import Project, shell_recipe

RUNS = """\
mkdir -p ${{targets.destdir}}/var/mail/private
cd ${{targets.destdir}}/var/mail
touch own mailed rooted private/file
chown 8:12 mailed
chmod 4640 mailed
chown 0:0 rooted
chown -R 33:33 private
chmod 700 private
ln -s own link
chown -h 8:8 link
mkdir -m 700 /tmp/left /home/build/left
chown 5:5 /tmp/left /home/build/left
"""
AS_ROOT = """\
  accounts:
    run-as: root
"""


@pytest.fixture
def ids() -> None:
    if find_id_range() is None:
        pytest.skip("this machine grants this user no ids")


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize("accounts", ["", AS_ROOT])
def test_owners(project: Project, accounts: str) -> None:
    recipe = shell_recipe(runs=RUNS).replace("environment:\n", f"environment:\n{accounts}")
    project.write("one.yaml", recipe)
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 0, run.stderr
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        found = {
            item.name.rpartition("var/mail")[2]: (item.uid, item.gid, oct(item.mode))
            for item in tar
            if "var/mail" in item.name
        }
    assert found == {
        "": (0, 0, "0o755"),
        "/link": (8, 8, "0o777"),
        "/mailed": (8, 12, "0o4640"),
        "/own": (0, 0, "0o644"),
        "/private": (33, 33, "0o700"),
        "/private/file": (33, 33, "0o644"),
        "/rooted": (0, 0, "0o644"),
    }
    assert list((project.directory / "cache/work").iterdir()) == []
