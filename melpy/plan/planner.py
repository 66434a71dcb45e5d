"""A recipe becomes a plan for one architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from melpy.apk.version import is_melange_version, is_version
from melpy.arch import NOARCH, choose_arch
from melpy.errors import RecipeError, WrongTypeError, hint_near
from melpy.plan import git
from melpy.plan.compiled import compile_recipe, compiled_text
from melpy.plan.environment import DEFAULT_VARIABLES, needed_packages, plan_environment
from melpy.plan.fault import Faults
from melpy.plan.metadata import format_cpe, plan_licences, plan_package, without_dependencies
from melpy.plan.model import OUTPUT, WORKSPACE, Evaluation, PackageTest, Pairs, Plan, PlanEnvironment, Source
from melpy.plan.step import CompiledStep, Compiler, Scope
from melpy.plan.subpackage import LONGEST, Expanded, expand_subpackages
from melpy.plan.template import Spot, render_loosely
from melpy.plan.variable import arch_variables, recipe_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from melpy.arch import Arch
    from melpy.plan.library import Library
    from melpy.recipe.model import Recipe, Test
    from melpy.recipe.step import Step


class PlanOptions(Struct, frozen=True):
    """What the caller sets beside the recipe.

    Attributes:
        enabled: build options that are on.
        libc: flavour in host triplets.
        packages: further packages of the environment.
        environment: environment variables of every step, from env-files; the recipe's own win.
        variables: `vars` that the caller sets, by name without `vars.`: the value, and where it stands.
        ranges: the keys that a range of subpackages is restricted to, by the name of its data.
    """

    enabled: tuple[str, ...] = ()
    libc: str = "gnu"
    packages: tuple[str, ...] = ()
    environment: Pairs = ()
    variables: Mapping[str, tuple[str, Spot]] = field(default_factory=dict)
    ranges: Mapping[str, frozenset[str]] = field(default_factory=dict)


def is_for(recipe: Recipe, arch: Arch, options: PlanOptions | None = None) -> bool:
    """Tell whether a recipe is meant for an architecture."""
    wanted = _find_wanted(recipe, arch, options)
    return not wanted or wanted == ["all"] or bool({arch.apk, arch.go, NOARCH} & set(wanted))


def find_arches(
    recipe: Recipe, arches: Sequence[Arch], options: Mapping[str, PlanOptions] | None = None
) -> tuple[Arch, ...]:
    """Return the architectures that a recipe is evaluated for: of one for `noarch`, that of its environment alone.

    Args:
        recipe: the recipe.
        arches: the architectures of the run.
        options: what the caller sets beside the recipe, by APK architecture.
    """
    known = options or {}
    found = tuple(arch for arch in arches if is_for(recipe, arch, known.get(arch.apk)))
    is_noarch = any(NOARCH in _find_wanted(recipe, arch, known.get(arch.apk)) for arch in found)
    return (choose_arch(found),) if is_noarch else found


def _find_wanted(recipe: Recipe, arch: Arch, options: PlanOptions | None) -> list[str]:
    wanted = recipe.model.package.target_architecture
    if any("${{" in name for name in wanted):
        variables, _ = recipe_variables(recipe, arch_variables(arch), options.variables if options else {}, Faults())
        return [render_loosely(name, variables) for name in wanted]
    return wanted


def plan_recipe(recipe: Recipe, arch: Arch, library: Library, options: PlanOptions | None = None) -> Plan:
    """Evaluate a recipe for an architecture and return what a build needs to know.

    Raises:
        RecipeError: something in it does not evaluate; a FaultsError holds all faults that were found.
    """
    return make_plan(evaluate_recipe(recipe, arch, library, options))


def make_plan(found: Evaluation, *, compiled: bool = True) -> Plan:
    """Return what a build needs to know of an evaluated recipe that has no faults.

    Args:
        found: the evaluated recipe.
        compiled: whether the plan has the compiled recipe, which takes half of the time and is no part of a key.
    """
    recipe, variables = found.recipe, found.variables
    package = recipe.model.package
    return Plan(
        recipe=recipe.path.name,
        name=variables["package.name"],
        version=variables["package.version"],
        epoch=package.epoch,
        arch=found.arch,
        packages=found.packages,
        environment=found.environment,
        sources=tuple(dict.fromkeys(_sources(step for group in found.steps for step in group))),
        licences=found.licences,
        cpe=format_cpe(package, variables),
        capabilities_add=tuple(recipe.model.capabilities.add),
        capabilities_drop=tuple(recipe.model.capabilities.drop),
        pipelines=found.pipelines,
        tests=found.tests,
        compiled=compiled_text(compile_recipe(found, tests=False)) if compiled else "{}",
        noarch=found.noarch,
    )


def evaluate_recipe(recipe: Recipe, arch: Arch, library: Library, options: PlanOptions | None = None) -> Evaluation:
    """Evaluate a recipe for an architecture: every template, condition and pipeline, those of tests too.

    Raises:
        RecipeError: something in it does not evaluate; a FaultsError holds all faults that were found.
    """
    found, faults = examine_recipe(recipe, arch, library, options)
    faults.raise_found()
    return found


def examine_recipe(
    recipe: Recipe, arch: Arch, library: Library, options: PlanOptions | None = None
) -> tuple[Evaluation, Faults]:
    """Evaluate a recipe as far as it can be evaluated, and return what is wrong with it beside the result."""
    evaluator = _Evaluator(recipe, arch, library, options or PlanOptions())
    return evaluator.evaluate(), evaluator.faults


class _Evaluator:
    def __init__(self, recipe: Recipe, arch: Arch, library: Library, options: PlanOptions) -> None:
        self.recipe = recipe
        self.model = recipe.model
        self.arch = arch
        self.options = options
        self.faults = Faults()
        self.compiler = Compiler(library, self.faults)
        self.root = Spot(recipe.document, ())

    def evaluate(self) -> Evaluation:
        self._check_options()
        self._check_single()
        variables, origins = self._variables()
        self._check_version(variables["package.version"])
        ranges = self.options.ranges
        subpackages, left_out = expand_subpackages(self.model, variables, self.root, self.faults, ranges)
        name = variables["package.name"]
        for other in (name, *(found.name for found in subpackages), *left_out):
            variables[f"targets.package.{other}"] = f"{OUTPUT}/{other}"
        variables["targets.destdir"] = f"{OUTPUT}/{name}"

        package = self.model.package
        scopes = [_context(variables, name), *(_context(variables, found.name, found) for found in subpackages)]
        steps = [self._steps(self.model.pipeline, scopes[0], self.root.below("pipeline"))]
        packages = [plan_package(package, name, scopes[0], steps[0], self.root.below("package"), self.faults)]
        for found, scope in zip(subpackages, scopes[1:], strict=True):
            steps.append(self._steps(found.model.pipeline, scope, found.spot.below("pipeline")))
            packages.append(
                plan_package(found.model, found.name, scope, steps[-1], found.spot, self.faults, package.commit)
            )
        environment = self._environment(variables, steps)
        pipelines = tuple(sorted(self.compiler.used))  # those of tests, which come next, are no part of a build
        models = [(self.model.test, self.root), *((found.model.test, found.spot) for found in subpackages)]
        tests = [
            self._test(model, scope, dict(environment.variables), spot.below("test"))
            for (model, spot), scope in zip(models, scopes, strict=True)
            if model.pipeline
        ]
        return Evaluation(
            recipe=self.recipe,
            arch=self.arch.apk,
            variables=variables,
            origins=origins,
            packages=tuple(without_dependencies(package, left_out) for package in packages),
            scopes=tuple(scopes),
            subpackages=tuple([found.model for found in subpackages]),
            spots=(self.root.below("package"), *(found.spot for found in subpackages)),
            licences=tuple(plan_licences(package, variables, self.root.below("package"), self.faults)),
            steps=tuple(steps),
            environment=environment,
            tests=tuple(test for test, _ in tests),
            test_steps={test.package: compiled for test, compiled in tests},
            pipelines=pipelines,
            left_out=left_out,
            noarch=self._find_noarch(),
        )

    def _find_noarch(self) -> bool:
        """Tell whether the packages are for every architecture."""
        wanted = _find_wanted(self.recipe, self.arch, self.options)
        if NOARCH in wanted and len(wanted) > 1:
            text = self.model.package.target_architecture[wanted.index(NOARCH)]
            spot = self.root.below("package", "target-architecture", wanted.index(NOARCH))
            message = f"`{NOARCH}` stands for every architecture, so no other can be named"
            hint = f"leave the others out, or leave {NOARCH} out to build for each of them"
            self.faults.add(spot.at(text, 0, RecipeError, message, hint))
        return NOARCH in wanted

    def _check_options(self) -> None:
        for name in self.options.enabled:
            if name not in self.model.options:
                known = hint_near(name, self.model.options, f"it has {', '.join(self.model.options) or 'none'}")
                error = RecipeError(f"no build option is called {name!r}", where=self.root.document.file, hint=known)
                self.faults.add(error)

    def _check_single(self) -> None:
        document = self.recipe.document
        place = document.second
        if place:
            message, hint = "a second document, which is not read", "write each recipe into a file of its own"
            self.faults.warnings.append(RecipeError(message, where=place, hint=hint, details=document.excerpt(place)))

    def _variables(self) -> tuple[dict[str, str], dict[str, Spot]]:
        constants = arch_variables(self.arch, self.options.libc)
        constants["package.srcdir"] = WORKSPACE
        constants["targets.outdir"] = OUTPUT
        overrides: dict[str, tuple[str, Spot]] = dict(self.options.variables)
        for name, option in self.model.options.items():
            enabled = name in self.options.enabled
            constants[f"options.{name}.enabled"] = "true" if enabled else "false"
            if enabled:
                where = self.root.below("options", name, "vars")
                overrides |= {key: (text, where.below(key)) for key, text in option.vars.items()}
        return recipe_variables(self.recipe, constants, overrides, self.faults)

    def _check_version(self, version: str) -> None:
        spot = self.root.below("package", "version")
        if "${{" in version:
            return
        if not is_version(version) or "-" in version or len(version) > LONGEST:
            hint = "a version looks like 1.2.3, 1.2_rc1 or 20240101; the release goes into epoch"
            self.faults.add(spot.at(version, 0, WrongTypeError, f"{version!r} is not an APK version", hint))
        elif not is_melange_version(version):
            hint = "they know one of _alpha, _beta, _pre, _rc, then one of _cvs, _svn, _git, _hg, _p, and no ~"
            message = f"{version!r} is a version for apk, but not for melange and apko"
            self.faults.warnings.append(spot.at(version, 0, WrongTypeError, message, hint))

    def _steps(self, steps: Sequence[Step], variables: Mapping[str, str], spot: Spot) -> tuple[CompiledStep, ...]:
        return self.compiler.compile_all(steps, Scope(variables), spot) if steps else ()

    def _environment(self, variables: Mapping[str, str], steps: Iterable[tuple[CompiledStep, ...]]) -> PlanEnvironment:
        spot = self.root.below("environment")
        needed = [name for group in steps for name in needed_packages(group)]
        defaults = {**DEFAULT_VARIABLES, **dict(self.options.environment)}
        changes = [
            (
                self.model.options[name].environment.contents.packages,
                self.root.below("options", name, "environment", "contents", "packages"),
            )
            for name in self.options.enabled
            if name in self.model.options
        ]
        found = plan_environment(self.model.environment, defaults, needed, variables, spot, self.faults, changes)
        return found.with_packages([*found.packages, *self.options.packages])

    def _test(
        self, model: Test, variables: Mapping[str, str], defaults: Mapping[str, str], spot: Spot
    ) -> tuple[PackageTest, tuple[CompiledStep, ...]]:
        """Return the test of a package and its compiled steps."""
        name = variables["context.name"]
        steps = self._steps(model.pipeline, variables, spot.below("pipeline"))
        needed = [name, *needed_packages(steps)]
        found = plan_environment(model.environment, defaults, needed, variables, spot.below("environment"), self.faults)
        environment = found.with_packages(sorted(found.packages))
        return PackageTest(name, environment, tuple([step for top in steps for step in top.flat()])), steps


def _context(variables: Mapping[str, str], name: str, found: Expanded | None = None) -> dict[str, str]:
    """Return what the texts of one package see."""
    directory = f"{OUTPUT}/{name}"
    own = {"context.name": name, "targets.contextdir": directory}
    if found is None:
        return {**variables, **own}
    return {**variables, **found.variables, **own, "subpkg.name": name, "targets.subpkgdir": directory}


def _sources(steps: Iterable[CompiledStep]) -> Iterator[Source | git.GitSource]:
    for top in steps:
        for step in top.walk():
            if step.native == "fetch":
                yield Source.from_inputs(step.inputs)
            elif step.native == git.NATIVE:
                yield git.GitSource.from_inputs(step.inputs)
