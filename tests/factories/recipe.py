"""Recipes and plans from a few lines of YAML."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from melpy.arch import parse_arch
from melpy.plan.library import Library
from melpy.plan.planner import PlanOptions, plan_recipe
from melpy.recipe.load import parse_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melpy.plan.model import Plan
    from melpy.recipe.model import Recipe

HEADER = "package:\n  name: hello\n  version: 1.2.3\n  epoch: 4\n"


def recipe(text: str = "", *, path: str = "hello.yaml") -> Recipe:
    """Return the recipe with this text; hello 1.2.3-r4 when it has no `package` of its own."""
    body = dedent(text)
    has_package = any(line.startswith("package:") for line in body.splitlines())
    return parse_recipe(body if has_package else HEADER + body, Path(path))


def library(directory: Path, definitions: Mapping[str, str]) -> Library:
    """Return a pipeline library with definitions of one's own, by name, before the built-in ones."""
    for name, text in definitions.items():
        file = directory / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return Library((directory,))


def plan(
    text: str = "", *, arch: str = "x86_64", pipelines: Library | None = None, options: PlanOptions | None = None
) -> Plan:
    """Return the plan of the recipe with this text."""
    return plan_recipe(recipe(text), parse_arch(arch), pipelines or Library(), options)


def git_inputs(**given: str) -> dict[str, str]:
    """Return the inputs of a git-checkout step: the built-in pipeline's defaults but for those that are given."""
    declared = Library().find("git-checkout").model.inputs
    assert set(given) <= set(declared)
    return {key: given.get(key, model.default) for key, model in declared.items()}


_GIVEN = {"repository": "https://example.com/x.git", "uri": "https://example.com/x.tar.gz"}
_DIGESTS = {"fetch": {"expected-sha256": "0" * 64}}


def built_in_use(name: str) -> str:
    """Return a recipe that uses a built-in pipeline in a subpackage, with the inputs that it requires."""
    declared = Library().find(name).model.inputs
    required = {key: _GIVEN.get(key, "x") for key, one in declared.items() if one.required}
    step = {"uses": name, "with": {**required, **_DIGESTS.get(name, {})}}
    return f"subpackages: [{{name: hello-part, pipeline: [{json.dumps(step)}]}}]\n"
