"""What processes that were killed leave, and what becomes of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from melpy.files import scratch_directory
from tests.factories.project import Project, shell_recipe


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    """Neither a file that it was writing nor, once the next one comes, a directory that it worked in."""
    code = """
import os, signal, sys
from pathlib import Path
from melpy.files import replace_file, scratch_directory
place = Path(sys.argv[1])
with replace_file(place / "file") as stream, scratch_directory(place / "out") as directory:
    stream.write(b"half")
    stream.flush()
    (directory / "below").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (left,) = (tmp_path / "out").iterdir()
    with scratch_directory(tmp_path / "out") as directory:
        assert list((tmp_path / "out").iterdir()) == [directory]
        assert directory != left
    assert list((tmp_path / "out").iterdir()) == []


def test_a_build_removes_what_a_killed_one_left_in_the_repository(project: Project) -> None:
    left = project.out / "x86_64/.new-left/below"
    left.mkdir(parents=True)
    project.write("one.yaml", shell_recipe())
    result = project.melpy("build", "one.yaml")
    assert result.returncode == 0, result.stderr
    assert project.leftovers() == ["x86_64/APKINDEX.tar.gz", "x86_64/one-1.0-r0.apk"]


POOL = """
import sys, time
from melpy.pool import open_pool
with open_pool(2, sys.argv[1]) as pool:
    done = [pool.submit(time.sleep, 0.2) for _ in range(2)]
    [one.result() for one in done]
    print(*pool._processes, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_the_processes_of_a_pool_end_with_the_killed_one(method: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", POOL, method], stdout=subprocess.PIPE, text=True)
    with program:
        assert program.stdout
        processes = [Path("/proc", number) for number in program.stdout.readline().split()]
        assert len(processes) == 2
        program.kill()
        end = time.monotonic() + 20
        while time.monotonic() < end and any(map(is_running, processes)):
            time.sleep(0.05)
        assert not any(map(is_running, processes))


def is_running(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
