"""What processes that were killed leave, and what becomes of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from melpy.files import scratch_directory
from tests.factories.project import Project, shell_recipe

if TYPE_CHECKING:
    from pathlib import Path


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
