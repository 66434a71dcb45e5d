"""`melpy doctor` tries what builds need."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys

import pytest

from tests.factories.project import Project, shell_recipe

LIMITED = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'


def test_a_machine_that_can_build(project: Project) -> None:
    run = project.melpy("doctor", "--json", "--arch", "x86_64,aarch64")
    assert run.returncode == 0, run.stdout
    checks = {check["name"]: check for check in json.loads(run.stdout)}
    for name in ("bubblewrap", "seccomp", "steps for x86_64", "steps for aarch64", "overlay", "signing key"):
        assert checks[name]["state"] == "good", checks[name]
    text = project.melpy("doctor").stdout
    assert "✓ steps for x86_64" in text
    assert "\x1b" not in text


def test_what_is_missing_is_told_with_what_to_do(project: Project) -> None:
    project.environment = {"PATH": "/nowhere"}
    run = project.melpy("doctor")
    assert run.returncode == 50
    assert "✗ bubblewrap" in run.stdout
    assert "install bubblewrap (apt install bubblewrap)" in run.stdout
    assert "! git" in run.stdout


def test_a_cache_that_cannot_be_and_all_else_are_told(project: Project) -> None:
    project.write("file", "")
    run = project.melpy("doctor", "--cache-dir", "file/cache")
    assert run.returncode == 50
    assert "✗ disk" in run.stdout
    assert "cannot write: not a directory" in run.stdout
    assert "✓ bubblewrap" in run.stdout
    assert "✓ signing key" in run.stdout


def test_a_user_without_a_name(project: Project) -> None:
    run = project.melpy("doctor", prefix=("unshare", "--user", "--map-user=54321", "--map-group=54321"))
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(r"--add-subgids [0-9]+-[0-9]+ 54321\n", run.stdout)


def test_a_kernel_that_allows_no_namespaces(project: Project) -> None:
    """As in a container without them: a namespace of its own in which no further one may be made."""
    run = project.melpy("doctor", prefix=NO_NAMESPACES["max_user_namespaces"])
    assert run.returncode == 50
    assert "✗ steps for x86_64" in run.stdout
    assert "this machine does not let you make user namespaces" in run.stdout
    assert "sysctl user.max_user_namespaces=10000" in run.stdout


NO_NAMESPACES = {
    "max_user_namespaces": ("unshare", "--user", "--map-root-user", "sh", "-c", LIMITED, "sh"),
    "a container": ("bwrap", "--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--"),
}


@pytest.mark.parametrize("how", NO_NAMESPACES)
def test_a_build_where_no_namespaces_can_be_made_is_refused(project: Project, how: str) -> None:
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=NO_NAMESPACES[how])
    assert run.returncode == 50, run.stderr
    assert "error: this machine does not let you make user namespaces: " in run.stderr
    assert "hint: " in run.stderr
    assert project.leftovers() == []


def test_a_seed_that_there_is_no_table_for(project: Project) -> None:
    run = project.melpy("doctor", "--seed", "nope")
    assert run.returncode == 50
    assert "✗ seed" in run.stdout
    assert "there is no table for the Debian suite 'nope'" in run.stdout


OWN_PROCESSES = {
    "with a /proc": ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"),
    "with the /proc of outside": ("unshare", "--user", "--map-root-user", "--pid", "--fork"),
}


@pytest.mark.parametrize("how", OWN_PROCESSES)
def test_a_pid_namespace_of_its_own(project: Project, how: str) -> None:
    project.write("one.yaml", shell_recipe(runs="echo $$ $(ls /proc | grep -c '^[0-9]')"))
    run = project.melpy("build", "-v", "one.yaml", prefix=OWN_PROCESSES[how])
    assert run.returncode == 0, run.stderr
    numbers = next(line.partition("| ")[2].split() for line in run.stderr.splitlines() if "| " in line)
    assert int(numbers[1]) <= 5  # the step's own processes, and no others
    assert "✓ steps for x86_64  one ran" in project.melpy("doctor", prefix=OWN_PROCESSES[how]).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a range of ids without newuidmap")
@pytest.mark.parametrize("proc", [(), ("--mount-proc",)])
def test_a_pid_namespace_of_its_own_with_a_range_of_ids(project: Project, proc: tuple[str, ...]) -> None:
    project.write("one.yaml", shell_recipe(runs="touch /tmp/x && chown 12:34 /tmp/x && ls -n /tmp/x"))
    run = project.melpy("build", "-v", "one.yaml", prefix=("unshare", "--mount", "--pid", "--fork", *proc))
    assert run.returncode == 0, run.stderr
    assert " 12 " in run.stderr


HIDDEN_PROC = 'mount --bind /dev/null /proc/uptime && exec "$@"'


def test_a_proc_of_which_parts_are_hidden(project: Project) -> None:
    """As in a container: the kernel gives no namespace a /proc that shows more than the one around it."""
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", HIDDEN_PROC, "sh")
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=prefix)
    assert run.returncode == 50
    assert "error: the sandbox cannot have a /proc of its own: operation not permitted\n" in run.stderr
    assert "hint: in a container, show all of /proc: --security-opt unmask=ALL (podman)" in run.stderr
    assert project.leftovers() == []
    told = project.melpy("doctor", prefix=prefix).stdout
    assert "✗ steps for x86_64  the sandbox cannot have a /proc of its own" in told
    assert "--security-opt unmask=ALL" in told


ON_OVERLAY = (
    "mkdir below above work && mount -t overlay overlay -o lowerdir=below,upperdir=above,workdir=work,userxattr below "
    '&& exec "$@"'
)


def test_a_cache_on_an_overlay(project: Project) -> None:
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_OVERLAY, "sh")
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", "--cache-dir", "below/cache", prefix=prefix)
    assert run.returncode == 0, run.stderr
    text = "the build root cannot be mounted as an overlay, since the cache is on one itself"
    assert f"the build root is copied, which takes longer: {text}" in run.stderr
    assert (project.out / "x86_64/one-1.0-r0.apk").is_file()
    shutil.rmtree(project.directory / "work")
    for name in ("below", "above"):
        (project.directory / name).rename(project.directory / f"{name}-1")
    told = project.melpy("doctor", "--cache-dir", "below/cache", prefix=prefix)
    assert told.returncode == 0
    assert "✓ steps for x86_64  one ran, in a root that is copied\n" in told.stdout
    assert f"! overlay           {text}; roots are copied instead" in told.stdout


def test_a_program_that_may_not_name_its_host(project: Project) -> None:
    """As the filters of containers have it."""
    project.write("one.yaml", shell_recipe())
    run = project.melpy("build", "one.yaml", prefix=(sys.executable, "-c", NO_HOSTNAME))
    assert run.returncode == 50, run.stderr
    assert "error: the sandbox cannot have a host name of its own\n" in run.stderr
    assert "hint: in a container, allow it: --security-opt seccomp=unconfined (podman, docker)" in run.stderr


NO_HOSTNAME = """
import ctypes, os, sys
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
program = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(0x7FFF0000)))
number = seccomp.seccomp_syscall_resolve_name(b"sethostname")
assert seccomp.seccomp_rule_add(program, ctypes.c_uint32(0x00050001), number, 0) == 0
assert seccomp.seccomp_load(program) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""
