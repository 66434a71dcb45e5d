"""Keys do not depend on the order in which independent builds finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melpy.apk.model import PackageInfo
from melpy.arch import parse_arch
from melpy.build.tree import load_tree
from melpy.codec import replace
from melpy.engine.history import Revision
from melpy.engine.inputs import Distribution, Inputs, describe_environment, job_identity, job_key
from melpy.engine.job import Job, Locations, Run
from melpy.engine.result import Result, UnsignedPackage
from melpy.engine.stage import Stage
from melpy.environment.model import EnvironmentSpec, RepositorySpec, StoreSpec
from melpy.environment.repository import Repositories
from melpy.environment.resolution import resolve_environment
from melpy.pack.package import write_package
from melpy.plan.library import Library
from melpy.plan.planner import plan_recipe
from melpy.recipe.load import parse_recipe
from melpy.repo.remote import ServerCache
from melpy.rootfs.model import RootSpec
from melpy.solve.model import Solution
from tests.factories.project import shell_recipe

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
WORLD = ("alpha", "thing", "so:libshared.so.1", "gamma")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stage")


@pytest.fixture(scope="module")
def built(root: Path) -> dict[str, tuple[Job, Result]]:
    """Five builds that do not need one another; two of them provide the same name."""
    provided = {"beta": ("so:libshared.so.1=1",), "delta": ("thing=2",), "epsilon": ("thing=1",)}
    servers = ServerCache(root / "cache")
    made = {}
    for name in NAMES:
        text = shell_recipe(name)
        recipe = parse_recipe(text, root / f"{name}.yaml")
        inputs = Inputs(
            plan=plan_recipe(recipe, parse_arch("x86_64"), Library(())),
            environment=(),
            sources=(),
            files=(),
            distribution=Distribution(),
            network=False,
            build_cache="none",
            revision=Revision("", 0),
        )
        results = root / "results" / name
        store = StoreSpec(root / "cache", servers)
        job = Job(inputs, Run(Locations(store, None, results, root / "log"), Solution(())))
        files = root / "trees" / name
        files.mkdir(parents=True)
        (files / name).write_text(name)
        info = PackageInfo(name, "1.0-r0", "x86_64", origin=name, provides=provided.get(name, ()))
        entry = write_package(load_tree(name, files), info, results / "x86_64", mtime=1, inputs={"key": name})
        made[name] = (job, Result(job.name, (UnsignedPackage(entry, name, name),)))
    return made


def keys(root: Path, built: dict[str, tuple[Job, Result]], order: tuple[str, ...]) -> tuple[str, str]:
    """Return key and identity of a build whose environment has what was built in this order."""
    stage = Stage(Repositories(RepositorySpec(root / "out", ServerCache(root / "cache"))))
    made = {
        name: stage.take_unsigned(job.run.locations.results, ["x86_64"], result.packages)
        for name, (job, result) in ((name, built[name]) for name in order)
    }
    visible = stage.see(made[name] for name in sorted(made))
    environment = EnvironmentSpec(RootSpec("x86_64", WORLD))
    found = resolve_environment(environment, stage.repositories, own=visible.packages, where="here")
    inputs = replace(
        built["alpha"][0].inputs, environment=describe_environment(found.solution, visible.own, visible.contents)
    )
    return job_key(inputs), job_identity(inputs)


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(NAMES))
def test_any_order_of_finishing_gives_equal_keys(
    root: Path, built: dict[str, tuple[Job, Result]], order: list[str]
) -> None:
    assert keys(root, built, tuple(order)) == keys(root, built, NAMES)


def test_what_was_built_counts(root: Path, built: dict[str, tuple[Job, Result]]) -> None:
    """Without it the property would hold for keys that say nothing."""
    less = tuple(name for name in NAMES if name != "delta")
    assert keys(root, built, less) != keys(root, built, NAMES)
