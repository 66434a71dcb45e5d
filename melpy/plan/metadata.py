"""What a package says about itself: descriptions, dependencies, scriptlets, licences, capabilities."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from melpy.apk.acceptance import find_script_problem, find_trigger_problem
from melpy.apk.atom import parse_dependency
from melpy.codec import replace
from melpy.errors import PackageFormatError, RecipeError, ScriptError, WrongTypeError
from melpy.plan.licence import parse_licence
from melpy.plan.model import Licence, PackagePlan, Pairs, SetCapability, pairs
from melpy.recipe.part import WHOLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from melpy.plan.fault import Faults
    from melpy.plan.step import CompiledStep
    from melpy.plan.template import Spot
    from melpy.recipe.model import Subpackage
    from melpy.recipe.package import Dependencies, Package, Scriptlets

_LICENCE_HINT = "write `copyright: [{license: MIT}]` with the licence as an SPDX expression, or NOASSERTION"


def plan_package(
    model: Package | Subpackage,
    name: str,
    variables: Mapping[str, str],
    steps: Iterable[CompiledStep],
    spot: Spot,
    faults: Faults,
    commit: str = "",
) -> PackagePlan:
    """Return the plan of one package.

    Args:
        model: what the recipe says of it.
        name: its name.
        variables: what its texts may name.
        steps: its compiled steps.
        spot: where it is in the recipe.
        faults: receives what is wrong.
        commit: commit of the recipe, unless the package names one itself.
    """
    return PackagePlan(
        name=name,
        description=faults.render_prose(model.description, variables, spot, "description"),
        url=faults.render_prose(model.url, variables, spot, "url"),
        commit=model.commit or commit,
        **_dependencies(model.dependencies, variables, spot.below("dependencies"), faults),
        no_provides=model.options.no_provides,
        no_depends=model.options.no_depends,
        no_commands=model.options.no_commands,
        no_versioned_shlib_deps=model.options.no_versioned_shlib_deps,
        scriptlets=_scriptlets(model.scriptlets, variables, spot.below("scriptlets"), faults),
        triggers=_triggers(model.scriptlets, variables, spot.below("scriptlets"), faults),
        setcap=tuple([SetCapability(entry.path.strip("/"), pairs(entry.add), entry.reason) for entry in model.setcap]),
        annotations=pairs(
            {
                key: faults.render_prose(text, variables, spot, "annotations", key)
                for key, text in model.annotations.items()
            }
        ),
        steps=tuple([step for compiled in steps for step in compiled.flat()]),
    )


def without_dependencies(package: PackagePlan, names: Collection[str]) -> PackagePlan:
    """Return the plan of a package that does not need these packages at run time, since they are not made."""
    if not names:
        return package
    return replace(package, runtime=tuple(text for text in package.runtime if _name(text) not in names))


def _name(text: str) -> str:
    try:
        return parse_dependency(text).name
    except PackageFormatError:
        return ""  # told already, as a fault of the recipe


def plan_licences(package: Package, variables: Mapping[str, str], spot: Spot, faults: Faults) -> Iterator[Licence]:
    """Yield the copyright entries of a recipe, whose licences must be expressions of SPDX.

    Args:
        package: what the recipe says of its main package.
        variables: what its texts may name.
        spot: where it is in the recipe.
        faults: receives what is wrong.
    """
    if not any(entry.license for entry in package.copyright):
        faults.warnings.append(spot.at_key(RecipeError, "names no licence", _LICENCE_HINT))
    for number, entry in enumerate(package.copyright):
        here = spot.below("copyright", number)
        license_path = faults.render(entry.license_path, variables, here, "license-path")
        path = PurePosixPath(posixpath.normpath(license_path))
        if path.is_absolute() or ".." in path.parts:
            where = here.below("license-path")
            message = f"{license_path!r} leaves the workspace"
            faults.add(where.at("", 0, RecipeError, message, "name a file below the workspace, such as COPYING"))
        license_text = faults.render_prose(entry.license, variables, here, "license")
        _check_licence(license_text, entry.license, here.below("license"), faults)
        paths = tuple(
            [faults.render_prose(path, variables, here, "paths", index) for index, path in enumerate(entry.paths)]
        )
        yield Licence(license_text, entry.attestation, license_path, paths)


def _check_licence(licence: str, written: str, spot: Spot, faults: Faults) -> None:
    for problem in parse_licence(licence).problems if "${{" not in licence else ():
        offset = problem.offset if licence == written else 0
        fault = spot.at(written, offset, RecipeError, problem.message, problem.hint)
        faults.add(fault) if problem.fatal else faults.warnings.append(fault)


def format_cpe(package: Package, variables: Mapping[str, str]) -> str:
    """Return the CPE 2.3 formatted string of a package, as melange writes it; empty without vendor and product."""
    cpe = package.cpe
    if not (cpe.vendor and cpe.product):
        return ""
    fields = [cpe.vendor, cpe.product, variables["package.version"], "*", cpe.edition, cpe.language]
    fields += [cpe.sw_edition, cpe.target_sw, cpe.target_hw, cpe.other]
    # Of what fields may hold, only the plus has to be escaped; NISTIR 7695, 6.2.
    return f"cpe:2.3:{cpe.part or 'a'}:" + ":".join(field.replace("+", r"\+") or "*" for field in fields)


def _dependencies(model: Dependencies, variables: Mapping[str, str], spot: Spot, faults: Faults) -> dict[str, Any]:
    return {
        "runtime": faults.render_constraints(model.runtime, variables, spot, "runtime"),
        "provides": faults.render_provides(model.provides, variables, spot, "provides"),
        "replaces": faults.render_constraints(model.replaces, variables, spot, "replaces"),
        "provider_priority": _priority(model.provider_priority, variables, spot, "provider-priority", faults),
        "replaces_priority": _priority(model.replaces_priority, variables, spot, "replaces-priority", faults),
    }


def _priority(text: str, variables: Mapping[str, str], spot: Spot, key: str, faults: Faults) -> str:
    value = faults.render(text, variables, spot, key)
    if value and "${{" not in value and not WHOLE.fullmatch(value):
        message = f"expected a whole number, found {value!r}"
        faults.add(spot.below(key).at(text, 0, WrongTypeError, message, None))
    return value


def _scriptlets(model: Scriptlets, variables: Mapping[str, str], spot: Spot, faults: Faults) -> Pairs:
    scripts = {
        "pre-install": model.pre_install,
        "post-install": model.post_install,
        "pre-deinstall": model.pre_deinstall,
        "post-deinstall": model.post_deinstall,
        "pre-upgrade": model.pre_upgrade,
        "post-upgrade": model.post_upgrade,
    }
    rendered = {name: _scriptlet(text, variables, spot.below(name), faults) for name, text in scripts.items() if text}
    if model.trigger.script:
        rendered["trigger"] = _scriptlet(model.trigger.script, variables, spot.below("trigger", "script"), faults)
    return pairs({name: script for name, script in rendered.items() if script})


def _scriptlet(text: str, variables: Mapping[str, str], spot: Spot, faults: Faults) -> str:
    script = faults.render(text, variables, spot)
    problem = find_script_problem(script)
    if script and problem and "${{" not in script:
        faults.add(spot.at(text, 0, ScriptError, f"the script {problem}", "begin it with a line such as #!/bin/sh"))
    return script


def _triggers(model: Scriptlets, variables: Mapping[str, str], spot: Spot, faults: Faults) -> tuple[str, ...]:
    paths = faults.render_all(model.trigger.paths, variables, spot, "trigger", "paths")
    for index, path in enumerate(paths):
        problem = None if "${{" in path else find_trigger_problem(path)
        if problem:
            place = spot.below("trigger", "paths", index)
            hint = "name a directory by its absolute path, such as /usr/share/fonts, or a pattern for several"
            faults.add(place.at("", 0, WrongTypeError, f"the path {path!r} {problem}", hint))
    return paths
