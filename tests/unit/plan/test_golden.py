"""Whole plans: tests/golden/plans/whole-<arch>.json. `UPDATE_GOLDEN=1` writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from melpy.arch import parse_arch
from melpy.cli.plan_view import describe_plan
from melpy.plan.compiled import render_compiled
from melpy.plan.library import Library
from melpy.plan.planner import PlanOptions, plan_recipe
from melpy.recipe.load import load_recipe, parse_recipe

PLANS = Path(__file__).parents[2] / "golden" / "plans"
LIBRARY = Library((PLANS / "pipelines",))


def compare(path: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_plan(arch: str) -> None:
    found = plan_recipe(load_recipe(PLANS / "whole.yaml"), parse_arch(arch), LIBRARY).to_json()
    compiled = found.pop("compiled")
    assert isinstance(compiled, str)
    whole = {**found, "compiled": json.loads(compiled)}
    compare(PLANS / f"whole-{arch}.json", json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def test_what_a_person_sees() -> None:
    found = plan_recipe(load_recipe(PLANS / "whole.yaml"), parse_arch("x86_64"), LIBRARY)
    compare(PLANS / "whole-x86_64.txt", "\n".join([*describe_plan(found, None), ""]))
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in describe_plan(found, 80))


def test_plan_with_an_option() -> None:
    found = plan_recipe(
        load_recipe(PLANS / "whole.yaml"), parse_arch("x86_64"), LIBRARY, PlanOptions(enabled=("fancy",))
    )
    assert "fancy-tools" in found.environment.packages
    assert "plain-tools" not in found.environment.packages
    assert "--with-flavour=fancy" in found.packages[0].steps[1].script
    assert "--with-FANCY" in found.packages[0].steps[1].script


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_compiled_recipe(arch: str) -> None:
    found = plan_recipe(load_recipe(PLANS / "whole.yaml"), parse_arch(arch), LIBRARY)
    text = render_compiled(found, ["make=4.4-r0", "busybox=1.37-r0"])
    assert yaml.safe_load(text)["environment"]["contents"]["packages"] == ["busybox=1.37-r0", "make=4.4-r0"]
    compare(PLANS / f"whole-{arch}.melange.yaml", text)


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_a_compiled_recipe_is_a_recipe_with_the_same_packages(arch: str) -> None:
    first = plan_recipe(load_recipe(PLANS / "whole.yaml"), parse_arch(arch), LIBRARY)
    text = render_compiled(first, first.environment.packages)
    again = plan_recipe(parse_recipe(text, Path("whole.yaml")), parse_arch(arch), LIBRARY)
    assert [package.name for package in again.packages] == [package.name for package in first.packages]
    for one, two in zip(first.packages, again.packages, strict=True):
        assert [(step.script, step.workdir) for step in two.steps if step.script] == [
            (step.script, step.workdir) for step in one.steps if step.script
        ]
