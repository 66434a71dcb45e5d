"""The built-in pipelines: tests/golden/pipelines.txt has what recipes rely on. `UPDATE_GOLDEN=1` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from melpy.errors import MelpyError
from melpy.plan.library import BUILT_IN, Library
from melpy.recipe.step import PipelineModel
from tests.factories.recipe import built_in_use, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from melpy.recipe.step import Step

GOLDEN = Path(__file__).parents[2] / "golden" / "pipelines.txt"
LIBRARY = Library()
NAMES = LIBRARY.names
DEMANDING = [name for name in NAMES if any(one.required for one in LIBRARY.find(name).model.inputs.values())]
ALLOWED = set(PipelineModel.model_fields) | {"network", "working-directory", "if"}


def describe(name: str) -> Iterator[str]:
    """Yield what a recipe may rely on, one fact in a line."""
    model = LIBRARY.find(name).model
    yield f"{name} needs {' '.join(sorted(model.needs.packages)) or 'nothing'}"
    if raw(name).get("network"):
        yield f"{name} uses the network"
    for key, declared in sorted(model.inputs.items()):
        mark, default = "*" if declared.required else "", f"={declared.default}" if declared.default else ""
        yield f"{name}: {key}{mark}{default}"


def raw(name: str) -> dict[str, object]:
    data = yaml.load((BUILT_IN / f"{name}.yaml").read_text(), yaml.BaseLoader)
    assert isinstance(data, dict)
    return data


def test_inputs_defaults_and_needs() -> None:
    text = "".join(f"{line}\n" for name in NAMES for line in describe(name))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_definition(name: str) -> None:
    model = LIBRARY.find(name).model
    assert set(raw(name)) <= ALLOWED, "an unknown key is passed over, so a slip would go unnoticed"
    assert model.name
    assert not model.name.endswith(".")
    for key, declared in model.inputs.items():
        assert declared.description, key
        assert not declared.description.endswith("."), key
        assert not (declared.required and declared.default), key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arch", ["x86_64", "riscv64"])
def test_it_compiles_with_what_it_requires(name: str, arch: str) -> None:
    found = plan(built_in_use(name), arch=arch)
    steps = found.packages[1].steps
    assert steps
    assert not [step for step in steps if "${{" in step.script]
    needed = {package for package in LIBRARY.find(name).model.needs.packages if "$" not in package}
    assert set(found.environment.packages) >= needed


@pytest.mark.parametrize("name", DEMANDING)
def test_it_says_what_it_requires(name: str) -> None:
    with pytest.raises(MelpyError, match=f"{name}.*needs the input"):
        plan(f"pipeline: [{{uses: {name}}}]\n")


@pytest.mark.parametrize("name", NAMES)
def test_its_scripts_name_it_in_their_messages(name: str) -> None:
    def scripts(steps: list[Step]) -> Iterator[str]:
        for step in steps:
            yield step.runs
            yield from scripts(step.pipeline)

    lines = [line for script in scripts(LIBRARY.find(name).model.pipeline) for line in script.splitlines()]
    for line in lines:
        if ">&2" in line and "echo" in line:
            assert f'"{name}: ' in line or '"${{inputs.by}}: ' in line


def test_packages_of_an_input_are_needed() -> None:
    text = "pipeline: [{uses: go/build, with: {go-package: go-1.99, packages: ., output: x}}]\n"
    assert set(plan(text).environment.packages) == {"go-1.99", "build-base", "busybox", "ca-certificates-bundle"}
    text = "pipeline: [{uses: npm/install, with: {npm-package: pnpm, package: x, version: '1'}}]\n"
    assert set(plan(text).environment.packages) == {"busybox", "nodejs", "pnpm", "npm"}
    assert set(plan("pipeline: [{uses: go/build/v2}]\n").environment.packages) == {
        *("busybox", "ca-certificates-bundle", "binutils", "scanelf"),
    }
