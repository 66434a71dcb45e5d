"""What builds leave behind is cleaned away, and is no hindrance to others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.factories.project import Project, shell_recipe


def test_what_cannot_be_removed_hinders_no_build_and_nothing_else(project: Project) -> None:
    """Such as what another user left, or, here, what something is mounted on."""
    project.write("one.yaml", shell_recipe())
    easy, hard = (project.directory / "cache/work" / name for name in ("two-x86_64-a", "two-x86_64-b"))
    for directory in (easy, hard):
        (directory / "workspace").mkdir(parents=True)
    flags = "-m" if os.geteuid() == 0 else "-rm"
    prefix = ("unshare", flags, "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hard / "workspace"))
    run = project.melpy("clean", prefix=prefix)
    assert run.returncode == 22, run.stderr
    assert run.stdout.startswith(f"{easy}  ")
    assert run.stdout.count("\n") == 1
    assert f"error: {hard}: cannot be removed\nhint: remove it as its owner\n1 directory removed" in run.stderr
    run = project.melpy("build", "one.yaml", prefix=prefix)
    assert run.returncode == 0, run.stderr


def test_caches_of_builds_go_when_nobody_uses_them(project: Project) -> None:
    script = "cd /var/cache/melange\nmkdir kept\necho > kept/file\nbusybox chown -R 33:33 kept || true\n"
    project.write("one.yaml", shell_recipe(runs=script + "test -e mended"))
    assert project.melpy("build", "one.yaml", "--build-cache", "recipe").returncode == 60
    cache = project.directory / "cache/build-cache/x86_64/recipe-one"
    command = [sys.executable, "-m", "melpy", "shell", "one", "--", "sh", "-c", "echo in; read a"]
    environment = project.full_environment()
    with subprocess.Popen(
        command, cwd=project.directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"in\n"
        run = project.melpy("clean", "--build-cache")
        assert run.returncode == 22
        assert f"error: {cache.parent.parent}: a build uses it\n" in run.stderr
        shell.send_signal(signal.SIGTERM)
    assert "0 directories would be removed" in project.melpy("clean", "--dry-run", "--only-killed").stderr
    run = project.melpy("clean", "--build-cache", "--only-killed")
    assert run.stdout.startswith(f"{cache}  ")
    assert run.stdout.endswith("  cache of builds\n")
    assert not cache.exists()
    # A shell makes an empty one, as the steps found it.
    assert project.melpy("shell", "one", "--", "ls", "/var/cache/melange").stdout == ""


def test_nothing_is_there_to_be_cleaned(project: Project) -> None:
    run = project.melpy("clean", "--build-cache")
    assert (run.returncode, run.stdout) == (0, "")
    assert not Path(project.directory, "cache/build-cache").exists()
