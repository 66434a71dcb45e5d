"""A recipe becomes a plan for one architecture."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from melpy.apk.version import is_version
from melpy.errors import FaultsError, RecipeError, WrongTypeError, fault_position, hint_near
from melpy.plan.compiled import compile_recipe
from melpy.plan.condition import evaluate_condition
from melpy.plan.git import NATIVE, GitSource
from melpy.plan.model import (
    OUTPUT,
    WORKSPACE,
    Licence,
    PackagePlan,
    Pairs,
    Plan,
    PlanEnvironment,
    SetCapability,
    Source,
    pairs,
)
from melpy.plan.step import CompiledStep, Compiler, Scope
from melpy.plan.template import Spot, render, render_loosely
from melpy.plan.variable import arch_variables, recipe_variables
from melpy.recipe.model import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from melpy.arch import Arch
    from melpy.plan.library import Library
    from melpy.recipe.model import Dependencies, Package, Recipe, Scriptlets, SetCap, Step, Subpackage

DEFAULT_VARIABLES = {
    "HOME": WORKSPACE,
    "GOPATH": f"{WORKSPACE}/.cache/go",
    "GOMODCACHE": "/var/cache/melange/gomodcache",
    "UV_CACHE_DIR": "/var/cache/melange/uv",
    "PIP_CACHE_DIR": "/var/cache/melange/pip",
    "COMPOSER_CACHE_DIR": "/var/cache/melange/composer",
    "npm_config_cache": "/var/cache/melange/npm",
}
"""Variables that every build has unless the recipe says otherwise."""

_BUILD_USER = (1000, 1000)
_LONGEST = 100  # names and versions become file names, which have 255 bytes


@dataclass(frozen=True)
class PlanOptions:
    """What the caller sets beside the recipe.

    Attributes:
        enabled: build options that are on.
        libc: flavour in host triplets.
        packages: further packages of the environment.
        variables: environment variables from env-files; the recipe's own win.
    """

    enabled: tuple[str, ...] = ()
    libc: str = "gnu"
    packages: tuple[str, ...] = ()
    variables: Pairs = field(default=())


def is_for(recipe: Recipe, arch: Arch) -> bool:
    """Tell whether a recipe is meant for an architecture."""
    wanted = recipe.model.package.target_architecture
    return not wanted or wanted == ["all"] or bool({arch.apk, arch.go} & set(wanted))


def plan_recipe(recipe: Recipe, arch: Arch, library: Library, options: PlanOptions | None = None) -> Plan:
    """Evaluate a recipe for an architecture.

    Raises:
        RecipeError: something in it does not evaluate; a FaultsError holds all faults that were found.
    """
    planner = _Planner(recipe, arch, library, options or PlanOptions())
    plan = planner.plan()
    if planner.faults:
        # One place is complained of once, however many subpackages share it.
        unique = {(str(fault), fault.hint): fault for fault in planner.faults}
        raise FaultsError(sorted(unique.values(), key=fault_position))
    return plan


class _Planner:
    def __init__(self, recipe: Recipe, arch: Arch, library: Library, options: PlanOptions) -> None:
        self.recipe = recipe
        self.model = recipe.model
        self.arch = arch
        self.options = options
        self.faults: list[RecipeError] = []
        self.compiler = Compiler(library, self.faults)
        self.root = Spot(recipe.document, ())

    def plan(self) -> Plan:
        self._check_options()
        variables = self._variables()
        subpackages = list(self._subpackages(variables))
        name = variables["package.name"]
        self._check_names(name, subpackages)
        for other in (name, *(found.name for found in subpackages)):
            variables[f"targets.package.{other}"] = f"{OUTPUT}/{other}"
        variables["targets.destdir"] = f"{OUTPUT}/{name}"

        main_steps = self._steps(self.model.pipeline, name, variables, self.root.below("pipeline"))
        packages = [self._main(name, variables, main_steps)]
        compiled_subs = []
        for found in subpackages:
            scope = {
                **variables,
                **found.variables,
                "subpkg.name": found.name,
                "targets.subpkgdir": f"{OUTPUT}/{found.name}",
            }
            steps = self._steps(found.model.pipeline, found.name, scope, found.spot.below("pipeline"))
            packages.append(self._sub(found, scope, packages[0], steps))
            compiled_subs.append(steps)
        every = [main_steps, *compiled_subs]
        environment = self._environment(variables, every)
        return self._assemble(variables, packages, environment, every)

    def _assemble(
        self,
        variables: Mapping[str, str],
        packages: Sequence[PackagePlan],
        environment: PlanEnvironment,
        steps: Sequence[tuple[CompiledStep, ...]],
    ) -> Plan:
        package = self.model.package
        plan = Plan(
            recipe=self.recipe.path.name,
            name=variables["package.name"],
            version=self._version(variables),
            epoch=package.epoch,
            arch=self.arch.apk,
            packages=tuple(packages),
            environment=environment,
            sources=tuple(dict.fromkeys(_sources(step for group in steps for step in group))),
            licences=tuple(self._licences(variables)),
            cpe=_cpe(package, variables),
            annotations=pairs({key: render_loosely(text, variables) for key, text in package.annotations.items()}),
            capabilities_add=tuple(self.model.capabilities.add),
            capabilities_drop=tuple(self.model.capabilities.drop),
            pipelines=tuple(sorted(self.compiler.used)),
        )
        return dataclasses.replace(plan, compiled=compile_recipe(plan, self.recipe, steps))

    def _check_options(self) -> None:
        for name in self.options.enabled:
            if name not in self.model.options:
                known = hint_near(name, self.model.options, f"it has {', '.join(self.model.options) or 'none'}")
                self.faults.append(
                    RecipeError(f"no build option is called {name!r}", where=self.root.document.file, hint=known)
                )

    def _variables(self) -> dict[str, str]:
        constants = arch_variables(self.arch, self.options.libc)
        constants["package.srcdir"] = WORKSPACE
        constants["targets.outdir"] = OUTPUT
        overrides: dict[str, str] = {}
        for name in self.options.enabled:
            if name in self.model.options:
                overrides |= self.model.options[name].vars
        for name in self.model.options:
            constants[f"options.{name}.enabled"] = "true" if name in self.options.enabled else "false"
        return recipe_variables(self.recipe, constants, overrides, self.faults)

    def _version(self, variables: Mapping[str, str]) -> str:
        version = variables["package.version"]
        if not is_version(version) or "-r" in version or len(version) > _LONGEST:
            hint = "a version looks like 1.2.3, 1.2_rc1 or 20240101; the release goes into epoch"
            self.faults.append(
                self.root.below("package", "version").at(
                    version, 0, WrongTypeError, f"{version!r} is not an APK version", hint
                )
            )
        return version

    # -- packages

    def _subpackages(self, variables: Mapping[str, str]) -> Iterator[_Found]:
        tables = {table.name: table.items for table in self.model.data}
        for index, model in enumerate(self.model.subpackages):
            spot = self.root.below("subpackages", index)
            if model.range and model.range not in tables:
                hint = hint_near(model.range, tables, "define it under `data`")
                message = f"no data is called {model.range!r}"
                self.faults.append(spot.below("range").at(model.range, 0, RecipeError, message, hint))
                continue
            for own in self._ranges(model, tables, variables):
                scope = {**variables, **own}
                name = self._render(model.name, scope, spot.below("name"))
                if self._holds(model.if_, scope, spot.below("if")):
                    yield _Found(model, name, own, spot)

    def _ranges(
        self, model: Subpackage, tables: Mapping[str, Mapping[str, str]], variables: Mapping[str, str]
    ) -> Iterator[dict[str, str]]:
        if not model.range:
            yield {}
            return
        table = next(number for number, data in enumerate(self.model.data) if data.name == model.range)
        for key, text in sorted(tables[model.range].items()):
            value = self._render(text, variables, self.root.below("data", table, "items", key))
            yield {"range.key": key, "range.value": value}

    def _check_names(self, main: str, subpackages: Iterable[_Found]) -> None:
        self._check_name(main, self.root.below("package", "name"))
        seen = {main}
        for found in subpackages:
            spot = found.spot.below("name")
            if found.name in seen:
                message = f"two packages of this recipe are called {found.name!r}"
                self.faults.append(spot.at(found.name, 0, RecipeError, message, None))
            self._check_name(found.name, spot)
            seen.add(found.name)

    def _check_name(self, name: str, spot: Spot) -> None:
        if NAME.fullmatch(name) and len(name) <= _LONGEST:
            return
        hint = "names begin with a letter or digit and go on with letters, digits, + _ . -"
        self.faults.append(spot.at(name, 0, WrongTypeError, f"{name!r} is not a package name", hint))

    def _main(self, name: str, variables: Mapping[str, str], steps: tuple[CompiledStep, ...]) -> PackagePlan:
        package = self.model.package
        spot = self.root.below("package")
        return PackagePlan(
            name=name,
            description=render_loosely(package.description, variables),
            url=render_loosely(package.url, variables),
            commit=package.commit,
            **self._dependencies(package.dependencies, variables, spot.below("dependencies")),
            **package.options.model_dump(),
            scriptlets=_scriptlets(package.scriptlets, variables),
            triggers=tuple(render_loosely(path, variables) for path in package.scriptlets.trigger.paths),
            setcap=tuple(_setcap(package.setcap)),
            steps=tuple(step for compiled in steps for step in compiled.flat()),
        )

    def _sub(
        self, found: _Found, variables: Mapping[str, str], main: PackagePlan, steps: tuple[CompiledStep, ...]
    ) -> PackagePlan:
        model = found.model
        return PackagePlan(
            name=found.name,
            description=render_loosely(model.description, variables),
            url=render_loosely(model.url, variables),
            commit=model.commit or main.commit,
            **self._dependencies(model.dependencies, variables, found.spot.below("dependencies")),
            **model.options.model_dump(),
            scriptlets=_scriptlets(model.scriptlets, variables),
            triggers=tuple(render_loosely(path, variables) for path in model.scriptlets.trigger.paths),
            setcap=tuple(_setcap(model.setcap)),
            steps=tuple(step for compiled in steps for step in compiled.flat()),
        )

    def _dependencies(self, model: Dependencies, variables: Mapping[str, str], spot: Spot) -> dict[str, Any]:
        lists = {
            key: tuple(
                self._render(item, variables, spot.below(key, index)) for index, item in enumerate(getattr(model, key))
            )
            for key in ("runtime", "provides", "replaces")
        }
        priorities = {
            key.replace("-", "_"): self._priority(getattr(model, key.replace("-", "_")), variables, spot.below(key))
            for key in ("provider-priority", "replaces-priority")
        }
        return {**lists, **priorities}

    def _priority(self, text: str, variables: Mapping[str, str], spot: Spot) -> str:
        value = self._render(text, variables, spot)
        if value and not value.removeprefix("-").isdecimal():
            self.faults.append(spot.at(text, 0, WrongTypeError, f"expected a whole number, found {value!r}", None))
        return value

    # -- steps and environment

    def _steps(
        self, steps: list[Step], context: str, variables: Mapping[str, str], spot: Spot
    ) -> tuple[CompiledStep, ...]:
        scope = {**variables, "context.name": context, "targets.contextdir": f"{OUTPUT}/{context}"}
        return self.compiler.compile_all(steps, Scope(scope), spot)

    def _environment(self, variables: Mapping[str, str], steps: Iterable[tuple[CompiledStep, ...]]) -> PlanEnvironment:
        model = self.model.environment
        contents = model.contents
        spot = self.root.below("environment")
        stated = [
            self._render(name, variables, spot.below("contents", "packages", index))
            for index, name in enumerate(contents.packages)
        ]
        needed = [name for group in steps for top in group for step in top.walk() for name in step.packages]
        own = {
            key: self._render(value, variables, spot.below("environment", key))
            for key, value in model.environment.items()
        }
        names = self._apply_options([*stated, *needed])
        return PlanEnvironment(
            packages=tuple(dict.fromkeys([*names, *self.options.packages])),
            repositories=(*contents.build_repositories, *contents.repositories),
            keyring=tuple(contents.keyring),
            variables=pairs(
                {**DEFAULT_VARIABLES, **dict(self.options.variables), **{k: v for k, v in own.items() if v}}
            ),
            user=self._user(),
        )

    def _apply_options(self, names: list[str]) -> list[str]:
        for option in self.options.enabled:
            if option in self.model.options:
                change = self.model.options[option].environment.contents.packages
                names = [name for name in names if name not in change.remove] + change.add
        return names

    def _user(self) -> tuple[int, int]:
        accounts = self.model.environment.accounts
        name = accounts.run_as
        for user in accounts.users:
            if name in {user.username, str(user.uid)}:
                return user.uid, user.gid or user.uid
        if name.isdecimal():
            return int(name), int(name)
        return {"": _BUILD_USER, "build": _BUILD_USER, "root": (0, 0)}.get(name) or self._unknown_user(name)

    def _unknown_user(self, name: str) -> tuple[int, int]:
        known = ["build", "root", *(user.username for user in self.model.environment.accounts.users)]
        spot = self.root.below("environment", "accounts", "run-as")
        hint = hint_near(name, known, f"known are {', '.join(known)}")
        self.faults.append(spot.at(name, 0, RecipeError, f"no user is called {name!r}", hint))
        return _BUILD_USER

    # -- evaluation that collects faults

    def _licences(self, variables: Mapping[str, str]) -> Iterator[Licence]:
        for entry in self.model.package.copyright:
            license_path = render_loosely(entry.license_path, variables)
            yield Licence(render_loosely(entry.license, variables), entry.attestation, license_path)

    def _render(self, text: str, variables: Mapping[str, str], spot: Spot) -> str:
        try:
            return render(text, variables, spot)
        except RecipeError as error:
            self.faults.append(error)
            return text

    def _holds(self, condition: str, variables: Mapping[str, str], spot: Spot) -> bool:
        try:
            return evaluate_condition(condition, variables, spot)
        except RecipeError as error:
            self.faults.append(error)
            return True


@dataclass(frozen=True)
class _Found:
    """A subpackage, expanded from its range."""

    model: Subpackage
    name: str
    variables: Mapping[str, str]
    spot: Spot


def _sources(steps: Iterable[CompiledStep]) -> Iterator[Source | GitSource]:
    for top in steps:
        for step in top.walk():
            if step.native == "fetch":
                yield Source.from_inputs(dict(step.inputs))
            elif step.native == NATIVE:
                yield GitSource.from_inputs(dict(step.inputs))


def _scriptlets(model: Scriptlets, variables: Mapping[str, str]) -> Pairs:
    scripts = {
        "trigger": model.trigger.script,
        "pre-install": model.pre_install,
        "post-install": model.post_install,
        "pre-deinstall": model.pre_deinstall,
        "post-deinstall": model.post_deinstall,
        "pre-upgrade": model.pre_upgrade,
        "post-upgrade": model.post_upgrade,
    }
    return pairs({name: render_loosely(text, variables) for name, text in scripts.items() if text})


def _setcap(entries: Iterable[SetCap]) -> Iterator[SetCapability]:
    return (SetCapability(entry.path.strip("/"), pairs(entry.add)) for entry in entries)


def _cpe(package: Package, variables: Mapping[str, str]) -> str:
    """Return the CPE 2.3 formatted string of a package, as melange writes it; empty without vendor and product."""
    cpe = package.cpe
    if not (cpe.vendor and cpe.product):
        return ""
    fields = [cpe.vendor, cpe.product, variables["package.version"], "*", cpe.edition, cpe.language]
    fields += [cpe.sw_edition, cpe.target_sw, cpe.target_hw, cpe.other]
    return f"cpe:2.3:{cpe.part or 'a'}:" + ":".join(field or "*" for field in fields)
