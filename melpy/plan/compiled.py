"""The compiled recipe: what a recipe evaluates to, in the form of melange's compiled recipes.

As YAML every package carries it (`.melange.yaml`), without tests, since these have no part in the package; as JSON
`melpy compile` prints it, whole. Source of the form: melange's `compile` command, measured on public recipes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from melpy.plan.template import render_loosely

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from melpy.plan.model import Evaluation, PackagePlan, Plan, PlanEnvironment
    from melpy.plan.step import CompiledStep
    from melpy.recipe.image import Environment
    from melpy.recipe.model import Test
    from melpy.recipe.part import Part

    Dump = Callable[[Part], Any]

_SCRIPTLETS = (
    "trigger",
    "pre-install",
    "post-install",
    "pre-deinstall",
    "post-deinstall",
    "pre-upgrade",
    "post-upgrade",
)


def compile_recipe(found: Evaluation, *, tests: bool = True) -> dict[str, Any]:
    """Return the compiled recipe; empty values are left out.

    Args:
        found: the evaluated recipe.
        tests: whether its tests are in it.
    """
    kept = _without_empty(describe_recipe(found, tests=tests, whole=False))
    assert isinstance(kept, dict)
    return kept


def describe_recipe(found: Evaluation, *, tests: bool = True, whole: bool = True) -> dict[str, Any]:
    """Return the compiled recipe with everything that a recipe may say, be it empty.

    Args:
        found: the evaluated recipe.
        tests: whether its tests are in it.
        whole: whether what the recipe does not say is in it, too.
    """
    model = found.recipe.model

    def dump(part: Part) -> Any:  # whatever the part holds
        return part.model_dump(by_alias=True, exclude_defaults=not whole)

    return {
        "package": _package(found, dump),
        "environment": _environment(found.environment, dict(found.environment.variables), model.environment, dump),
        "capabilities": {"add": model.capabilities.add, "drop": model.capabilities.drop},
        "pipeline": _steps(found.steps[0]),
        "subpackages": [
            {
                **_metadata(package, dump(entry.options)),
                "checks": {"disabled": entry.checks.disabled},
                "pipeline": _steps(steps),
                "test": _test(found, package.name, entry.test, dump) if tests else {},
            }
            for package, steps, entry in zip(found.packages[1:], found.steps[1:], found.subpackages, strict=True)
        ],
        "vars": model.vars,
        "update": _rendered(dump(model.update), found.variables),
        "test": _test(found, found.packages[0].name, model.test, dump) if tests else {},
    }


def compiled_text(data: Mapping[str, Any]) -> str:
    """Return a compiled recipe as JSON text."""
    return json.dumps(data, ensure_ascii=False)


def render_compiled(plan: Plan, locked: Sequence[str]) -> str:
    """Return the YAML text of `.melange.yaml`: the compiled recipe with its environment locked to exact versions.

    Args:
        plan: the recipe's plan.
        locked: the environment's packages as `name=version`.
    """
    data = json.loads(plan.compiled)
    data.setdefault("environment", {}).setdefault("contents", {})["packages"] = sorted(locked)
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000
    )
    return text


class _Dumper(yaml.CSafeDumper):
    """Writes multi-line text as blocks, so that scripts stay readable."""


def _represent_text(dumper: yaml.CSafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _rendered(value: object, variables: Mapping[str, str]) -> object:
    """Return a value with all texts in it rendered."""
    if isinstance(value, str):
        return render_loosely(value, variables)
    if isinstance(value, dict):
        return {key: _rendered(item, variables) for key, item in value.items()}
    return [_rendered(item, variables) for item in value] if isinstance(value, list) else value


def _package(found: Evaluation, dump: Dump) -> dict[str, object]:
    model = found.recipe.model.package
    metadata = _metadata(found.packages[0], dump(model.options))
    return {
        "name": metadata.pop("name"),
        "version": found.variables["package.version"],
        "epoch": model.epoch,
        **metadata,
        "target-architecture": model.target_architecture,
        "copyright": [
            {
                **dump(entry),
                "license": licence.license,
                "license-path": licence.license_path,
                "paths": licence.paths,
            }
            for entry, licence in zip(model.copyright, found.licences, strict=True)
        ],
        "checks": {"disabled": model.checks.disabled},
        "cpe": dump(model.cpe),
        "timeout": model.timeout,
        "resources": dump(model.resources),
        "test-resources": dump(model.test_resources),
    }


def _metadata(package: PackagePlan, options: Mapping[str, object]) -> dict[str, object]:
    scripts = {**dict.fromkeys(_SCRIPTLETS, ""), **dict(package.scriptlets)}
    trigger = {"script": scripts.pop("trigger"), "paths": package.triggers}
    return {
        "name": package.name,
        "description": package.description,
        "url": package.url,
        "commit": package.commit,
        "annotations": dict(package.annotations),
        "dependencies": {
            "runtime": package.runtime,
            "provides": package.provides,
            "replaces": package.replaces,
            "provider-priority": package.provider_priority,
            "replaces-priority": package.replaces_priority,
        },
        "options": options,
        "scriptlets": {"trigger": trigger, **scripts},
        "setcap": [{"path": entry.path, "add": dict(entry.add), "reason": entry.reason} for entry in package.setcap],
    }


def _environment(
    plan: PlanEnvironment, variables: Mapping[str, str], model: Environment, dump: Dump
) -> dict[str, object]:
    return {
        "contents": {
            "build_repositories": plan.repositories[: len(model.contents.build_repositories)],
            "repositories": plan.repositories[len(model.contents.build_repositories) :],
            "keyring": plan.keyring,
            "packages": plan.packages,
        },
        "accounts": dump(model.accounts),
        "environment": variables,
    }


def _test(found: Evaluation, name: str, model: Test, dump: Dump) -> dict[str, object]:
    plan = next((test for test in found.tests if test.package == name), None)
    if plan is None:
        return {}
    stated = dict(plan.environment.variables)
    own = {key: stated[key] for key in model.environment.environment if key in stated}
    return {
        "environment": _environment(plan.environment, own, model.environment, dump),
        "pipeline": _steps(found.test_steps[name]),
    }


def _steps(steps: Iterable[CompiledStep]) -> list[dict[str, object]]:
    return [_step(step) for step in steps]


def _step(step: CompiledStep) -> dict[str, object]:
    return {
        "name": step.name,
        "uses": step.uses,
        "with": dict(step.given),
        "runs": step.runs,
        "working-directory": step.directory,
        "environment": dict(step.own),
        "pipeline": _steps(step.children),
    }


_WHOLE = {"environment", "vars", "annotations", "with"}
"""Mappings of the user's own, in which an empty text means something."""


def _is_flat(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        kept = {
            key: item if key in _WHOLE and _is_flat(item) else _without_empty(item)
            for key, item in value.items()
            if item or item == 0
        }
        return {key: item for key, item in kept.items() if item or item == 0}
    if isinstance(value, (list, tuple)):
        return [_without_empty(item) if isinstance(item, (dict, list, tuple)) else item for item in value]
    return value
