"""Where melpy runs: PID namespaces of its own, and what containers withhold, each made for real.

`melpy build` and `melpy doctor` meet the same, so they say the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.project import ROOT, Project, shell_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

# An ordinary user makes them in a user namespace, in which that user is root.
OWN = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--mount")
OWN_PID = (*OWN, "--pid", "--fork")
PID_NAMESPACES = {"its own /proc": (*OWN_PID, "--mount-proc"), "the /proc around it": OWN_PID}


def refused(*calls: str) -> tuple[str, ...]:
    """Return what starts a program whose system calls are refused, as containers do it."""
    program = str(ROOT / "tests/factories/restrict.py")
    return (sys.executable, program, *(f"--refuse={call}" for call in calls), "--")


def covered(path: str) -> tuple[str, ...]:
    """Return what starts a program that sees an empty directory on a part of /proc."""
    return (*OWN, "sh", "-c", f'mount -t tmpfs none {path} && exec "$@"', "sh")


@pytest.mark.parametrize("how", PID_NAMESPACES)
def test_a_build_in_a_pid_namespace(project: Project, how: str) -> None:
    project.write("one.yaml", shell_recipe())
    outside = project.melpy("build", "one.yaml")
    assert outside.returncode == 0, outside.stderr
    packages = project.packages()
    shutil.rmtree(project.out)
    inside = project.melpy("build", "one.yaml", prefix=PID_NAMESPACES[how])
    assert inside.returncode == 0, inside.stderr
    assert project.packages() == packages
    assert project.melpy("doctor", prefix=PID_NAMESPACES[how]).returncode == 0


@pytest.mark.parametrize("how", PID_NAMESPACES)
def test_a_foreign_step_in_a_pid_namespace(project: Project, require: Callable[..., None], how: str) -> None:
    require("qemu-aarch64-static")
    run = project.melpy("doctor", "--json", "--arch", "x86_64,aarch64", prefix=PID_NAMESPACES[how])
    checks = {check["name"]: check for check in json.loads(run.stdout)}
    assert checks["steps of x86_64"]["state"] == "good", checks
    assert checks["steps of aarch64"]["state"] == "good", checks
    assert checks["steps of aarch64"]["text"].startswith("run by /")


FREEZE = """
import sys
from pathlib import Path, PurePosixPath
from melpy.sandbox.model import Root, SandboxSpec
from melpy.sandbox.runner import run_sandbox

directory, layer = map(Path, sys.argv[1:3])
root = Root((layer,), directory / "upper", directory / "work", directory / "root")
spec = SandboxSpec(root, ("/bin/attempts", "freeze"), PurePosixPath("/"), (), directory / "state")
print(run_sandbox(spec, lambda line: None).stopped)
"""


@pytest.mark.parametrize("how", PID_NAMESPACES)
def test_a_step_that_freezes_its_sandbox_is_ended_there_too(
    tmp_path: Path, attempts: Path, require: Callable[..., None], how: str
) -> None:
    """melpy looks at processes in /proc, which may know them by other numbers."""
    require("bwrap", "unshare")
    (tmp_path / "layer/bin").mkdir(parents=True)
    shutil.copy(attempts, tmp_path / "layer/bin/attempts")
    (tmp_path / "state").mkdir()
    (tmp_path / "freeze.py").write_text(FREEZE)
    command = [*PID_NAMESPACES[how], sys.executable, tmp_path / "freeze.py", tmp_path, tmp_path / "layer"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.stdout == "left its sandbox unable to end\n", run.stderr


FILTER = r"a seccomp filter refuses it: .+"
WITHHELD = {
    "unshare": (
        refused("unshare"),
        "this machine does not let you make user namespaces: operation not permitted",
        FILTER,
    ),
    "mount": (refused("mount"), "the sandbox cannot be set up: mount-namespace: Operation not permitted", FILTER),
    "pivot_root": (refused("pivot_root"), "bubblewrap could not set up the sandbox", FILTER),
    "sethostname": (refused("sethostname"), "bubblewrap could not set up the sandbox", FILTER),
    "a part of /proc": (
        covered("/proc/bus"),
        "the sandbox cannot have a /proc of its own: operation not permitted",
        r"something covers parts of /proc \(.*/proc/bus.*\): .+",
    ),
    "no /proc": (
        covered("/proc"),
        "/proc is not mounted, or does not know this process",
        r"mount it: mount -t proc proc /proc .+",
    ),
}


@pytest.mark.parametrize("what", WITHHELD)
def test_build_and_doctor_name_what_is_withheld(project: Project, what: str) -> None:
    prefix, text, hint = WITHHELD[what]
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=prefix)
    assert run.returncode == 50, run.stderr
    assert text in run.stderr
    assert re.search(rf"^hint: {hint}$", run.stderr, re.MULTILINE), run.stderr
    assert project.leftovers() == []
    doctor = project.melpy("doctor", "--json", prefix=prefix)
    assert doctor.returncode == 50, doctor.stdout
    (check,) = [check for check in json.loads(doctor.stdout) if check["state"] == "bad"]
    assert (check["name"], check["text"].partition(";")[0]) == ("sandbox", text)
    assert re.fullmatch(hint, check["hint"])


def test_a_low_limit_on_open_files_is_named(project: Project) -> None:
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=("prlimit", "--nofile=12"))
    assert "too many open files\n" in run.stderr
    hint = "hint: raise the limit on open files (ulimit -n, 12 now; containers: --ulimit nofile=...)\n"
    assert hint in run.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel does not count root's processes")
def test_a_low_limit_on_processes_is_named(project: Project) -> None:
    """melpy itself starts with a few more than there are; the first limit is sought that lets it come to a sandbox."""
    project.write("one.yaml", shell_recipe())
    found = ""
    there = sum(task.owner() == Path("/proc/self").owner() for task in Path("/proc").glob("[0-9]*/task/*"))
    for limit in range(max(there - 2, 1), there + 40):
        found = project.melpy("build", "one.yaml", prefix=("prlimit", f"--nproc={limit}")).stderr
        if "the sandbox cannot be set up" in found:
            break
    assert re.search(r"^hint: raise the limit on processes of this user \(ulimit -u, \d+ now; ", found, re.MULTILINE)


def test_keys_that_are_withheld_are_no_matter(project: Project) -> None:
    """Filters of containers refuse keyctl; sandboxes refuse it themselves."""
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=refused("keyctl"))
    assert run.returncode == 0, run.stderr


def test_a_step_that_fails_with_bubblewraps_words_is_a_step_that_fails(project: Project) -> None:
    project.write("one.yaml", shell_recipe(runs="echo 'bwrap: pivot_root: Operation not permitted'\nexit 1\n"))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 60, run.stderr
    assert "ended with status 1" in run.stderr


def test_privileges_that_programs_cannot_gain(project: Project) -> None:
    """As with a container's no-new-privileges: newuidmap could not do its work, and builds do without it."""
    prefix = ("setpriv", "--no-new-privs")
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=prefix)
    assert run.returncode == 0, run.stderr
    checks = {check["name"]: check for check in json.loads(project.melpy("doctor", "--json", prefix=prefix).stdout)}
    if os.geteuid() and shutil.which("newuidmap"):
        assert checks["ids"]["state"] == "poor"


def test_ids_that_are_granted_but_do_not_exist_here(project: Project) -> None:
    """As for the user of a container: /etc/subuid names a range, and the user namespace has not so many ids."""
    project.write("one.yaml", shell_recipe())
    prefix = ("unshare", "--user", "--map-current-user")
    run = project.melpy("build", "one.yaml", prefix=prefix)
    assert run.returncode == 0, run.stderr


@pytest.fixture
def overlay(tmp_path: Path, project: Project) -> tuple[str, ...]:
    """What starts a program that sees the project's directory on an overlay, as a container's files are."""
    for name in ("above", "work"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={project.directory},upperdir={tmp_path / 'above'},workdir={tmp_path / 'work'}"
    script = f'mount -t overlay -o {options} none {project.directory} && cd {project.directory} && exec "$@"'
    prefix = (*OWN, "sh", "-c", script, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user mounts no overlay here")
    return prefix


def test_an_overlay_on_an_overlay_is_told_and_done_without(project: Project, overlay: tuple[str, ...]) -> None:
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=overlay)
    assert run.returncode == 0, run.stderr
    text = "the cache is on an overlay itself, as a container's root is, and the kernel mounts none on one"
    assert f"the build root is copied, which takes longer: {text}" in run.stderr
    checks = {check["name"]: check for check in json.loads(project.melpy("doctor", "--json", prefix=overlay).stdout)}
    assert (checks["overlay"]["state"], checks["overlay"]["text"]) == ("poor", text)
    assert "--cache-dir" in checks["overlay"]["hint"]
    assert checks["steps of x86_64"]["state"] == "good"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")
def test_a_chroot(project: Project) -> None:
    """The kernel makes no user namespace in one, whatever else is allowed."""
    root = project.directory / "root"
    seen = ["/usr", "/proc", "/dev", "/etc", str(ROOT), str(project.directory.parent)]
    seen += [path for path in (sys.base_prefix, sys.prefix) if not Path(path).is_relative_to("/usr")]
    script = "".join(f"mkdir -p {root}{path} && mount --rbind {path} {root}{path} && " for path in seen)
    script += f'ln -s usr/bin usr/lib usr/lib64 usr/sbin {root}/ && exec chroot {root} "$@"'
    project.write("one.yaml", shell_recipe())
    run = project.melpy("doctor", "--json", "--cache-dir", "/cache", prefix=(*OWN, "sh", "-c", script, "sh"))
    (check,) = [check for check in json.loads(run.stdout) if check["state"] == "bad"]
    assert check["text"] == "this machine does not let you make user namespaces: operation not permitted"
    assert check["hint"].startswith("no user namespace can be made in a chroot: ")
