"""Where no overlay can be mounted, the root is copied, and packages are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.apk.model import PackageInfo
from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from pathlib import Path

RUNS = """\
echo new > /usr/new
rm /etc/apk/world
mkdir -p ${{targets.destdir}}/usr/share/one
cd ${{targets.destdir}}/usr/share/one
find / -xdev -not -path '/home/*' -not -path '/tmp/*' -not -path '/proc*' | sort > files
"""
SECOND = """\
  - name: second
    runs: |
      cat /usr/new >> ${{targets.destdir}}/usr/share/one/files
      test ! -e /etc/apk/world
"""
# The upper layer of an overlay cannot lie on an overlay.
MOUNT = """\
mkdir -p lower upper work cache
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr cache || exit 99
exec "$@"
"""


# No range of ids, either: only the user's own is known there.
OWNERS = "mkdir -p ${{targets.destdir}}\ntouch ${{targets.destdir}}/a\nchown 8:8 ${{targets.destdir}}/a\n"


def test_a_build_that_gives_files_to_others_needs_their_ids(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs=OWNERS))
    run = project.melpy("build", "one.yaml", prefix=("unshare", "--user", "--map-root-user"))
    assert run.returncode == 60
    said = "warning: there are no ids but this user's, so files cannot be given to others, as 'runs' may want to"
    assert said in run.stderr
    assert "hint: files can be given to others only where the machine grants ids for it" in run.stderr
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=("unshare", "--user", "--map-root-user"))
    assert run.returncode == 0
    assert "no ids" not in run.stderr


def test_a_root_that_is_copied_makes_the_same_package(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs=RUNS, tail=SECOND))
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")
    run = project.melpy("build", "one.yaml", prefix=prefix)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("warning: the kernel mounts no overlay here, so the build root is copied") == 1
    assert "step 'runs' changed the build root: /etc/apk/world, /usr/new\n" in run.stderr
    copied = project.packages()
    run = project.melpy("build", "one.yaml")
    assert "overlay" not in run.stderr
    assert project.packages() == copied
    assert list(copied) == ["x86_64/one-1.0-r0.apk"]


def test_what_fills_a_root_that_is_copied_counts_and_the_copy_does_not(project: Project) -> None:
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")
    project.write("one.yaml", shell_recipe(runs="sleep 3"))
    run = project.melpy("build", "one.yaml", "--disk", "1M", prefix=prefix)  # busybox alone is larger
    assert run.returncode == 0, run.stderr
    project.write("one.yaml", shell_recipe(runs="head -c 30000000 /dev/zero > /usr/big; sleep 100"))
    run = project.melpy("build", "one.yaml", "--disk", "10M", prefix=prefix)
    assert run.returncode == 60
    assert "of disk, and the build may fill 10.0 MB" in run.stderr


def test_an_environment_of_more_packages_than_an_overlay_has_layers_is_mounted(
    project: Project, tmp_path: Path
) -> None:
    names = [f"part{number}" for number in range(520)]
    for name in names:
        (tmp_path / name / "usr/share/parts").mkdir(parents=True)
        (tmp_path / name / "usr/share/parts" / name).write_text(name)
    project.repository.add_all([(PackageInfo(name, "1-r0", "x86_64", origin=name), tmp_path / name) for name in names])
    project.repository.add("all", depends=tuple(names))
    runs = "test $(ls /usr/share/parts | wc -l) = 520\ngrep -q part519 /usr/share/parts/part519\nrm -r /usr/share/parts"
    recipe = shell_recipe(runs=f"{runs}\nmkdir -p /usr/share/parts\nls -A /usr/share/parts | wc -l | grep -x 0")
    project.write("one.yaml", recipe.replace("- busybox", "- busybox\n      - all"))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 0, run.stderr
    assert "overlay" not in run.stderr
