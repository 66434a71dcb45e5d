"""The digested form of a plan: JSON with keys of its own, apart from the names that Python has for them.

`PLAN_FORM` names the form of `plan_digest`; `render_key_form` is part of the form of a key. Who changes what
they count changes those names, since digests of the same recipe would otherwise differ between versions of melpy
without a word. A golden test holds the forms.

Tests have no part in a plan's digest, since they cannot change a package, nor do labels of steps, which only logs show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from melpy.digest import identity, sha256_hex
from melpy.plan import git

if TYPE_CHECKING:
    from melpy.plan.model import PackagePlan, Plan, PlanEnvironment, PlanStep

PLAN_FORM = "melpy-plan-1"
_UNCOUNTED = {
    "fetch": {"timeout", "dns-timeout", "retry-limit", "reason", "expected-none"},
    git.NATIVE: {"max-retries", "initial-backoff", "max-backoff", "submodule-jobs", "type-hint", "reason"},
}
"""Inputs of what melpy does itself that change nothing of what it makes."""


def plan_digest(plan: Plan) -> str:
    """Return the identity of a plan: SHA-256, in hex, of all that a recipe says of its packages for an architecture."""
    return identity(
        {
            "form": PLAN_FORM,
            **_render_plan_form(plan),
            "recipe": plan.recipe,
            "needs": list(plan.environment.packages),
            "repositories": list(plan.environment.repositories),
            "keys": list(plan.environment.keyring),
            "compiled": sha256_hex(plan.compiled.encode(errors="surrogateescape")),
        }
    )


def render_key_form(plan: Plan) -> dict[str, object]:
    """Return what decides the content of a plan's packages, once its environment is resolved.

    That leaves out the names that the environment is resolved from, the name of the recipe's file, and the compiled
    recipe, which packages carry for information: sections such as `update` are in it, and annotations. Nor does it
    count how long a server is waited for, or why something is fetched. Sources count as they were found, which is not
    known here.
    """
    return {**_plan(plan), "packages": [_package(package) for package in plan.packages]}


def _render_plan_form(plan: Plan) -> dict[str, object]:
    packages = [
        {
            **_package(package),
            "annotations": dict(package.annotations),
            "steps": [{**_step(step), "with": dict(step.inputs)} for step in package.steps],
        }
        for package in plan.packages
    ]
    return {**_plan(plan), "packages": packages, "sources": [source.material for source in plan.sources]}


def _plan(plan: Plan) -> dict[str, object]:
    return {
        "name": plan.name,
        "version": plan.version,
        "epoch": plan.epoch,
        "arch": plan.package_arch,
        "environment": _environment(plan.environment),
        "licences": [
            {
                "license": licence.license,
                "attestation": licence.attestation,
                "license-path": licence.license_path,
                "paths": list(licence.paths),
            }
            for licence in plan.licences
        ],
        "cpe": plan.cpe,
        "capabilities": {"add": list(plan.capabilities_add), "drop": list(plan.capabilities_drop)},
    }


def _package(package: PackagePlan) -> dict[str, object]:
    return {
        "name": package.name,
        "description": package.description,
        "url": package.url,
        "commit": package.commit,
        "runtime": list(package.runtime),
        "provides": list(package.provides),
        "replaces": list(package.replaces),
        "provider-priority": package.provider_priority,
        "replaces-priority": package.replaces_priority,
        "options": {
            "no-provides": package.no_provides,
            "no-depends": package.no_depends,
            "no-commands": package.no_commands,
            "no-versioned-shlib-deps": package.no_versioned_shlib_deps,
        },
        "scriptlets": dict(package.scriptlets),
        "triggers": list(package.triggers),
        "setcap": [{"path": cap.path, "add": dict(cap.add)} for cap in package.setcap],
        "steps": [_step(step) for step in package.steps],
    }


def _step(step: PlanStep) -> dict[str, object]:
    return {
        "script": step.script,
        "builtin": step.native,
        "with": {name: text for name, text in step.inputs if name not in _UNCOUNTED.get(step.native, ())},
        "working-directory": step.workdir,
        "env": dict(step.environment),
        "network": step.network,
    }


def _environment(environment: PlanEnvironment) -> dict[str, object]:
    return {
        "env": dict(environment.variables),
        "run-as": list(environment.user),
        "users": [[user.name, user.uid, user.gid, user.home, user.shell] for user in environment.users],
        "groups": [[group.name, group.gid, list(group.members)] for group in environment.groups],
        "certificates": [[certificate.name, certificate.content] for certificate in environment.certificates],
    }
