"""Native tools are looked for, and a build does without them where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.arch import host_arch, parse_arch
from melpy.engine.environment import Repositories, resolve_environment
from melpy.engine.model import BuildContext, Job
from melpy.engine.native import find_tools
from melpy.events import Tape
from tests.factories.recipe import plan, recipe
from tests.factories.repository import make_repository

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = parse_arch("x86_64" if host_arch().apk == "aarch64" else "aarch64")


def test_a_repository_that_has_nothing_for_this_machine(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    for name in ("sed", "other"):
        repository.add(name, arch=FOREIGN.apk)
    repositories = Repositories(
        BuildContext(
            tmp_path / "out",
            tmp_path / "cache",
            repositories=(str(repository.root),),
            keyring=(str(repository.public_key),),
        )
    )
    said = []
    for name in ("sed", "other"):
        text = f"environment: {{contents: {{packages: [{name}]}}}}"
        job = Job(recipe(text), plan(text, arch=FOREIGN.apk), FOREIGN)
        solution = resolve_environment(job.plan.environment, FOREIGN, repositories, where="here")
        tape = Tape()
        assert find_tools(job, solution, (tmp_path,), repositories, tape) is None
        said.append([getattr(event, "text", "") for event in tape.events])
    expected = f"native tools cannot be had, so all is emulated: {repository.root}: has no index for {host_arch()}"
    assert said == [[expected], []]  # for a package that none would replace, nobody is asked
