"""Runs over a generated tree of real C recipes, for two architectures, undisturbed and killed at random moments.

More and longer: `MELPY_KILLS=100 MELPY_FOREST=200 pytest tests/e2e/test_forest.py`; `MELPY_KILL_SEED` repeats the
moments of a run. See `tests.factories.killing`, which can run melpy as another user, too.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from melpy.arch import host_arch
from tests.factories.forest import ARCHES, RING, Expectation, write_forest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent
RECIPES = os.environ.get("MELPY_FOREST", "22")
SOME_FAILED = 61


@pytest.fixture(scope="module")
def compilers(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, require: Callable[..., None]) -> Path:
    """A cache in whose seed compilers are."""
    require("bwrap", "apt-get", "git", "qemu-aarch64-static")
    tree = tmp_path_factory.mktemp("compilers") / "tree"
    write_forest(tree, 1, plain=True)
    made = melpy(tree, "build", "-q", "--cache-dir", str(shared_cache), "packages/t000.yaml")
    assert made.returncode == 0, made.stderr
    return shared_cache


def melpy(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "melpy", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def build(tree: Path) -> dict[str, dict[str, Any]]:
    """Build all, and return what became of each job."""
    run = melpy(tree, "build", "-q", "--json", "packages/")
    assert run.returncode == SOME_FAILED, run.stderr
    return {report["job"]: report for report in json.loads(run.stdout) if "outcome" in report}


def test_the_whole_tree(tmp_path: Path, compilers: Path) -> None:
    """From nothing to everything that can be built; then there is nothing to do."""
    tree = tmp_path / "tree"
    expected = write_forest(tree, int(RECIPES), made=compilers)
    reports = build(tree)
    check_outcomes(reports, expected, "built")
    assert not {name for name in reports if name.startswith("only-x86") and name.endswith("aarch64")}
    # The last builds of the ring had headers of the tree, not the first ones.
    if host_arch().apk == "x86_64":
        assert [call(tree, name) for name in RING] == [1] * len(RING)
    for name in ("codegen", "data"):
        one, other = (tree / f"out/{arch}/{name}-1.0.0-r0.apk" for arch in ARCHES)
        assert one.read_bytes() == other.read_bytes()
    packages = {path: path.read_bytes() for path in sorted(tree.glob("out/*/*.apk"))}
    check_outcomes(build(tree), expected, "up-to-date")
    assert {path: path.read_bytes() for path in sorted(tree.glob("out/*/*.apk"))} == packages
    assert melpy(tree, "verify", "out").returncode == 0
    bump_soname(tree, "ring-3")
    changed = sorted(f"{name}-1.0.0-r0/{arch}" for name in ("ring-2", "ring-3") for arch in ARCHES)
    assert list_built(build(tree)) == changed  # ring-2 alone sees it, and stays as it was
    assert list_built(build(tree)) == []


def bump_soname(tree: Path, name: str) -> None:
    """Let a library have another soname, which packages outside and recipes know nothing of."""
    recipe = tree / f"packages/{name}.yaml"
    recipe.write_text(recipe.read_text().replace(f"lib{name}.so.1", f"lib{name}.so.2"))


def list_built(reports: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(name for name, report in reports.items() if report["outcome"] == "built")


def check_outcomes(reports: dict[str, dict[str, Any]], expected: Expectation, outcome: str) -> None:
    assert sorted(name for name, report in reports.items() if report["outcome"] == outcome) == expected.built
    for name, report in reports.items():
        recipe, _, arch = name.replace("-1.0.0-r0", "").partition("/")
        if report["outcome"] == "skipped":
            assert report["because"] == f"{expected.skipped[recipe]}-1.0.0-r0/{arch}"
        elif report["outcome"] != outcome:
            assert (report["outcome"], recipe) == ("failed", *expected.fails)
    assert len(reports) == sum(map(len, expected.arches.values()))
    assert {name.rpartition("/")[2] for name in reports} == {*ARCHES, "noarch"}


def call(tree: Path, name: str) -> int:
    """Call the function of a library that was built."""
    with tarfile.open(tree / f"out/x86_64/{name}-1.0.0-r0.apk", ignore_zeros=True) as package:
        package.extract(f"usr/lib/lib{name}.so.1", tree, filter="data")
    value = getattr(ctypes.CDLL(str(tree / f"usr/lib/lib{name}.so.1")), name.replace("-", "_"))()
    assert isinstance(value, int)
    return value


def test_killed_runs(tmp_path: Path, compilers: Path) -> None:
    kills = os.environ.get("MELPY_KILLS", "2")
    command = ["--made", str(compilers), "--kills", kills, "--recipes", RECIPES, str(tmp_path / "killing")]
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
    assert set(account["statuses"]) == {str(SOME_FAILED)}
