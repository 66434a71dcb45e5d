"""`melpy doctor` tries what builds need."""

from __future__ import annotations

import json
import re

import pytest

from tests.factories.project import Project, shell_recipe

LIMITED = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'


def test_a_machine_that_can_build(project: Project) -> None:
    run = project.melpy("doctor", "--json")
    assert run.returncode == 0, run.stdout
    checks = {check["name"]: check for check in json.loads(run.stdout)}
    for name in ("bubblewrap", "seccomp", "sandbox", "overlay", "signing key"):
        assert checks[name]["state"] == "good", checks[name]
    text = project.melpy("doctor").stdout
    assert "✓ sandbox" in text
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
    assert "✗ sandbox" in run.stdout
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
