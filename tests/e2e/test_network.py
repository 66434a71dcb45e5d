"""The network: there for steps of pipelines that ask for it, and for no others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.factories.project import shell_recipe

if TYPE_CHECKING:
    from tests.factories.project import Project

PIPELINE = """
network: true
runs: |
  echo "with: $(sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev | sort | tr '\\n' ' ')"
  cat /etc/resolv.conf > ${{targets.contextdir}}/resolver
"""
PLAIN = """\
  - uses: own/net
  - runs: |
      echo "without: $(sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev | sort | tr '\\n' ' ')"
"""


def test_only_a_pipeline_that_says_so_sees_the_network(project: Project) -> None:
    """Interfaces tell which network it is; on a machine that has a loopback alone both are the same."""
    project.write("pipelines/own/net.yaml", PIPELINE)
    project.write("one.yaml", shell_recipe(runs="mkdir -p ${{targets.destdir}}", tail=PLAIN))
    run = project.melpy("build", "one.yaml")
    assert run.returncode == 0, run.stderr
    log = next(iter(project.out.rglob("*.log"))).read_text()
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    interfaces = sorted(line.partition(":")[0].strip() for line in lines)
    assert f"with: {' '.join(interfaces)} \n" in log
    assert "without: lo \n" in log
