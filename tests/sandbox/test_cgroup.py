"""Workers and control groups. The kernel's files are stood for by plain ones."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FORKS = """
import os, sys
from pathlib import Path
from melpy.engine.worker import start_workers
from melpy.sandbox.cgroup import find_parent, limited
from melpy.sandbox.model import Limits

own, mount, counted = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "counted"
find_parent.__defaults__ = (own, mount)
group = mount / "user"
with start_workers(counted=counted):
    print(*(f"{path.name}:{(path / 'cgroup.procs').read_text()}" for path in group.glob("melpy-*")))
    if not counted:
        sys.exit()
    (leaf,) = group.glob("melpy-*")
    own.write_text(f"0::/user/{leaf.name}\\n")
    (group / "cgroup.subtree_control").write_text("memory pids\\n")
    sys.stdout.flush()
    if os.fork() == 0:
        with limited(Limits(memory=1 << 20), find_parent(), "one/x86_64.1") as found:
            print(found.path.parent == group, found.path.name == f"{leaf.name}-one_x86_64.1", flush=True)
        os._exit(0)
    os.wait()
print(os.getpid())
"""


def test_workers_are_forked_into_the_group_that_melpy_left_for(tmp_path: Path) -> None:
    """Otherwise they would be in the one that limits are to reach from, which the kernel does not allow then."""
    own, group = tmp_path / "own", tmp_path / "user"
    own.write_text("0::/user\n")
    group.mkdir()
    (group / "cgroup.controllers").write_text("cpu memory pids\n")
    (group / "cgroup.subtree_control").write_text("\n")
    command = [sys.executable, "-c", FORKS, str(own), str(tmp_path)]
    assert subprocess.check_output([*command, "uncounted"], text=True) == "\n"
    before, child, process = subprocess.check_output([*command, "counted"], text=True).split("\n")[:3]
    assert before.startswith(f"melpy-{process}-")
    assert before.endswith(":0")
    assert child == "True True"
