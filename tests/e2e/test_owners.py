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


@pytest.mark.usefixtures("ids")
def test_hard_links_have_one_owner(project: Project) -> None:
    """Which of the names the file system lists first does not matter."""
    script = "mkdir -p ${{targets.destdir}}/a ${{targets.destdir}}/z\ncd ${{targets.destdir}}\n"
    script += "for i in 1 2 3 4 5 6 7 8; do touch a/$i; ln a/$i z/$i; chown 33:12 a/$i; chmod 4755 a/$i; done\n"
    project.write("one.yaml", shell_recipe(runs=script))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 0, run.stderr
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        found = {item.name: (item.uid, item.gid, oct(item.mode)) for item in tar if item.name[:2] in {"a/", "z/"}}
    assert found == {f"{directory}/{number}": (33, 12, "0o4755") for directory in "az" for number in range(1, 9)}


@pytest.mark.usefixtures("ids")
def test_owners_when_a_build_goes_on(project: Project) -> None:
    """What was kept belongs to whom it did before it was packed."""
    first = "mkdir -p ${{targets.destdir}}\ncd ${{targets.destdir}}\ntouch mail news\nchown 8:8 mail news\n"
    second = "  - name: second\n    working-directory: ${{targets.destdir}}\n    runs: "
    project.write("one.yaml", shell_recipe(runs=first + "chmod 4755 mail\n", tail=f"{second}'true'\n"))
    assert project.melpy("build", "--keep", "one.yaml").returncode == 0
    shell = project.melpy("shell", "one", "--", "busybox", "stat", "-c", "%u:%g %a", "mail")
    assert shell.stdout == "8:8 4755\n"
    script = "test $(busybox stat -c %u mail) = 8; rm news; touch news"
    project.write("one.yaml", shell_recipe(runs=first + "chmod 4755 mail\n", tail=f"{second}{script}\n"))
    run = project.melpy("build", "--from-step", "2", "one.yaml")
    assert run.returncode == 0, run.stderr
    with tarfile.open(project.out / "x86_64/one-1.0-r0.apk", ignore_zeros=True) as tar:
        found = {item.name: (item.uid, item.gid, oct(item.mode)) for item in tar if item.name in {"mail", "news"}}
    assert found == {"mail": (8, 8, "0o4755"), "news": (0, 0, "0o644")}
