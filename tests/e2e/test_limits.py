"""Limits of a build are kept, and what exceeded them is told."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.factories.project import Project, shell_recipe


def build(project: Project, runs: str, *arguments: str, head: str = "", user: int | None = None) -> tuple[int, str]:
    project.write("one.yaml", shell_recipe(runs=runs, head=head))
    run = project.melpy("build", "-v", "one.yaml", *arguments, user=user)
    return run.returncode, run.stderr


def test_time(project: Project) -> None:
    start = time.monotonic()
    status, text = build(project, "echo begun\nsleep 100 & sleep 100\n", "--timeout", "1s")
    assert status == 60
    assert "step 1 of 1, 'runs', took longer than the 1 s that the build may take" in text
    assert "begun" in text
    assert time.monotonic() - start < 60


def test_a_recipe_limits_itself(project: Project) -> None:
    head = "  timeout: 1s\n"
    assert build(project, "sleep 100\n", head=head)[0] == 60
    assert build(project, "sleep 2\n", "--timeout", "0", head=head)[0] == 0


def test_memory(project: Project) -> None:
    # sort keeps what it sorts.
    runs = "head -c 300000000 /dev/zero | tr '\\\\0' 'a' | sort > /dev/null\n"
    status, text = build(project, runs, "--memory", "100M")
    assert status == 60
    assert "hint: a process may have 100.0 MB of memory; allow more with --memory or in melpy.toml" in text


def test_processes(project: Project) -> None:
    runs = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all\n"
    status, text = build(project, runs, "--processes", "20")
    assert (status, "the kernel does not count root's processes" in text) == (60, False), text
    assert "hint: the build may have 20 processes; allow more with --processes or in melpy.toml" in text
    status, text = build(project, runs.replace("sleep 5", "sleep 0.1"), "--processes", "200")
    assert status == 0
    assert "] | all\n" in text


def test_disk(project: Project) -> None:
    status, text = build(project, "head -c 30000000 /dev/zero > full\nsleep 100\n", "--disk", "10M")
    assert status == 60
    assert "of disk, and the build may fill 10.0 MB" in text


def test_files_with_holes_and_the_log_count(project: Project) -> None:
    out = "${{targets.destdir}}"
    status, text = build(
        project, f"mkdir -p {out}\nbusybox truncate -s 900G {out}/hole\nln {out}/hole {out}/again", "--disk", "10M"
    )
    assert status != 0
    assert "error: one: its files are 966.4 GB, and the build may fill 10.0 MB of disk\n" in text
    status, text = build(project, "tr '\\\\0' x < /dev/zero", "--disk", "10M")
    assert status == 60
    assert "of disk, and the build may fill 10.0 MB" in text


def test_processors(project: Project) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one")
    assert "] | 1\n" in build(project, "nproc\n", "--cpu", "0.5")[1]
    assert f"] | {len(os.sched_getaffinity(0))}\n" in build(project, "nproc\n", "--cpu", "0")[1]


def test_what_a_recipe_asks_for_is_no_limit(project: Project) -> None:
    head = "  resources:\n    cpu: '1'\n    memory: 1Mi\n    disk: 1M\n"
    runs = "nproc\nhead -c 5000000 /dev/zero > full\n"
    status, said = build(project, runs, head=head)
    assert status == 0, said
    assert f"] | {len(os.sched_getaffinity(0))}\n" in said
    record = json.loads((project.out / "logs/x86_64/one-1.0-r0.json").read_text())
    assert record["requests"] == {"processors": 1.0, "memory": 1 << 20, "disk": 1_000_000}
    assert record["limits"] == {"seconds": 0, "processors": 0, "memory": 0, "disk": 0, "processes": 0}


def test_limits_of_the_settings(project: Project) -> None:
    (project.directory / "melpy.toml").write_text((project.directory / "melpy.toml").read_text() + 'disk = "10M"\n')
    status, said = build(project, "head -c 30000000 /dev/zero > full\nsleep 100\n")
    assert status == 60
    assert "of disk, and the build may fill 10.0 MB" in said
    assert build(project, "head -c 30000000 /dev/zero > full\n", "--disk", "0")[0] == 0
    project.environment["MELPY_MEMORY"] = "much"
    status, said = build(project, "true\n")
    assert status == 20
    assert "error: memory, of MELPY_MEMORY: not a size: 'much'\n" in said


@pytest.mark.parametrize("text", ["12X", "-1"])
def test_a_limit_that_is_none(project: Project, text: str) -> None:
    status, said = build(project, "true\n", f"--memory={text}")
    assert status == 20
    assert (
        f"error: --memory: not a size: {text!r}\nhint: write a number and kB, MB, GB, TB, or Ki, Mi, Gi, Ti: " in said
    )


def test_a_shell_has_all_processors(project: Project) -> None:
    """Whoever looks into a build is not held to the limits of its steps."""
    project.write("one.yaml", shell_recipe(runs="false"))
    assert project.melpy("build", "--cpu", "1", "one.yaml").returncode == 60
    run = project.melpy("shell", "one", "--", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert run.returncode == 0, run.stderr
    allowed = next(line for line in Path("/proc/self/status").read_text().splitlines() if "Cpus_allowed_list" in line)
    assert run.stdout.split() == allowed.split()
