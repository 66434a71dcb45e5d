"""The scripts of all built-in pipelines are shell as every shell reads it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from melpy.build.frame import step_script
from melpy.plan.library import Library
from tests.factories.recipe import built_in_use, plan
from tests.factories.repository import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable

SHELLS = {"busybox": (str(BUSYBOX), "sh"), "bash": ("bash", "--posix"), "dash": ("dash",)}


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_parse(shell: str, require: Callable[..., None]) -> None:
    command = SHELLS[shell]
    if shell == "dash" and not shutil.which("dash"):
        pytest.skip("dash is one more opinion, where it is")
    require(command[0])
    for name in Library().names:
        for step in plan(built_in_use(name)).packages[1].steps:
            result = subprocess.run(
                [*command, "-n"], input=step_script(step), text=True, capture_output=True, check=False
            )
            assert (result.returncode, result.stderr) == (0, ""), name


@pytest.mark.parametrize("shell", SHELLS)
def test_a_slip_would_be_seen(shell: str) -> None:
    if shutil.which(SHELLS[shell][0]):
        result = subprocess.run(
            [*SHELLS[shell], "-n"], input="if true; then\n", text=True, capture_output=True, check=False
        )
        assert result.returncode != 0
