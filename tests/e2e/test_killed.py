"""Runs over a tree that are killed at random moments, real compilers and all: the next one goes on.

More and longer: `MELPY_KILLS=100 MELPY_KILLED_RECIPES=200 pytest tests/e2e/test_killed.py`; `MELPY_KILL_SEED` repeats
the moments of a run. See `tests.factories.killing`, which can run melpy as another user, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.forest import ARCHES, write_forest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def compilers(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, require: Callable[..., None]) -> Path:
    """A cache in whose seed compilers are."""
    require("bwrap", "apt-get", "git", "qemu-aarch64-static")
    tree = tmp_path_factory.mktemp("compilers") / "tree"
    write_forest(tree, 1, plain=True)
    arguments = ["--arch", ",".join(ARCHES), "--cache-dir", str(shared_cache), "packages/t000.yaml"]
    made = subprocess.run(
        [sys.executable, "-m", "melpy", "build", "-q", *arguments],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return shared_cache


def test_killed_runs(tmp_path: Path, compilers: Path) -> None:
    kills, recipes = os.environ.get("MELPY_KILLS", "2"), os.environ.get("MELPY_KILLED_RECIPES", "4")
    command = ["--made", str(compilers), "--kills", kills, "--recipes", recipes, "--plain", str(tmp_path / "killing")]
    if seed := os.environ.get("MELPY_KILL_SEED"):
        command += ["--seed", seed]
    run = subprocess.run(
        [sys.executable, "-m", "tests.factories.killing", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout, run.stderr
    account = json.loads(run.stdout)
    assert account["left"] == [], f"seed {account['seed']}"
    assert account["wrong"] == [], f"seed {account['seed']}"
    assert account["kills"] + account["early"] == int(kills)
    assert set(account["statuses"]) == {"0"}
