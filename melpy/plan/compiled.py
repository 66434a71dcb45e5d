"""The compiled recipe: a plan in the form of melange's `.melange.yaml`, which every package carries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from melpy.plan.model import PackagePlan, Plan
    from melpy.plan.step import CompiledStep
    from melpy.recipe.model import Recipe


def compile_recipe(plan: Plan, recipe: Recipe, steps: Sequence[tuple[CompiledStep, ...]]) -> str:
    """Return the compiled recipe as JSON; empty values are left out.

    Args:
        plan: the recipe's plan.
        recipe: what it was made from.
        steps: compiled steps of each package, in the plan's order.
    """
    model = recipe.model
    data = {
        "package": _package(plan, recipe),
        "environment": _environment(plan),
        "capabilities": {"add": list(plan.capabilities_add), "drop": list(plan.capabilities_drop)},
        "pipeline": [step.to_json() for step in steps[0]],
        "subpackages": [
            {**_metadata(package), "pipeline": [step.to_json() for step in own]}
            for package, own in zip(plan.packages[1:], steps[1:], strict=True)
        ],
        "vars": dict(model.vars),
        "update": model.update.model_dump(by_alias=True, exclude_defaults=True),
    }
    return json.dumps(_without_empty(data), ensure_ascii=False)


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


def _package(plan: Plan, recipe: Recipe) -> dict[str, object]:
    model = recipe.model.package
    main = plan.packages[0]
    metadata = _metadata(main)
    return {
        "name": metadata.pop("name"),
        "version": plan.version,
        "epoch": plan.epoch,
        **metadata,
        "annotations": dict(plan.annotations),
        "target-architecture": list(model.target_architecture),
        "copyright": [entry.model_dump(by_alias=True, exclude_defaults=True) for entry in model.copyright],
        "cpe": model.cpe.model_dump(by_alias=True, exclude_defaults=True),
        "timeout": model.timeout,
        "resources": model.resources.model_dump(by_alias=True, exclude_defaults=True),
    }


def _metadata(package: PackagePlan) -> dict[str, object]:
    scripts = dict(package.scriptlets)
    trigger = {"script": scripts.pop("trigger", ""), "paths": list(package.triggers)}
    options = ("no_provides", "no_depends", "no_commands", "no_versioned_shlib_deps")
    return {
        "name": package.name,
        "description": package.description,
        "url": package.url,
        "commit": package.commit,
        "dependencies": {
            "runtime": list(package.runtime),
            "provides": list(package.provides),
            "replaces": list(package.replaces),
            "provider-priority": package.provider_priority,
            "replaces-priority": package.replaces_priority,
        },
        "options": {name.replace("_", "-"): True for name in options if getattr(package, name)},
        "scriptlets": {"trigger": trigger, **scripts},
        "setcap": [{"path": entry.path, "add": dict(entry.add)} for entry in package.setcap],
    }


def _environment(plan: Plan) -> dict[str, object]:
    environment = plan.environment
    return {
        "contents": {
            "repositories": list(environment.repositories),
            "keyring": list(environment.keyring),
            "packages": list(environment.packages),
        },
        "environment": dict(environment.variables),
    }


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ("", {}, [], None)}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
